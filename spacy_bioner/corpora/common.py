"""What the readers share: reading text without changing a character, and errors that
name file and line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.document import Mention
from spacy_bioner.errors import BionerError, Errors


def malformed(path: Path, line: int, problem: str) -> BionerError:
    """The error for bad input; to be raised by the caller."""
    return BionerError(Errors.B101.format(path=path, line=line, problem=problem))


def missing(what: str, module: str) -> BionerError:
    """The error for a library that a reader needs; to be raised by the caller."""
    need = {"what": what, "modules": module, "extra": "convert"}
    return BionerError(Errors.BA02.format(**need))


def read_text(path: Path) -> str:
    """Decode a UTF-8 file, keeping line ends as they are (offsets count them).

    Raises BionerError for a missing file or bytes that are not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise malformed(path, 0, f"cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise malformed(path, line, "not UTF-8; convert the file first") from None


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end).

    Only `\\n` and `\\r\\n` end a line: `str.splitlines` would also break at
    characters that biomedical text does contain, such as U+2028.
    """
    text = read_text(path).removeprefix("\ufeff")
    for number, line in enumerate(text.split("\n"), 1):
        yield number, line.removesuffix("\r")


def files_in(path: Path, *suffixes: str) -> list[Path]:
    """The file itself, or the files of a folder that end in one of `suffixes`.

    Raises BionerError when there is none.
    """
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.iterdir() if p.name.lower().endswith(suffixes))
    if not found:
        raise malformed(path, 0, f"no file here ends in {' or '.join(suffixes)}")
    return found


def checked_text(path: Path, line: int, value: object, what: str) -> str:
    """A string that UTF-8 can hold: JSON may give anything.

    Raises BionerError naming file and line.
    """
    if not isinstance(value, str):
        raise malformed(path, line, f"{what} is no string: {value!r}")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise malformed(path, line, f"{what} has half of a surrogate pair")
    return value


def checked_mention(
    path: Path,
    line: int,
    text: str,
    start: str | int,
    end: str | int,
    label: str,
    *,
    kb_id: str = "",
    expected: str | None = None,
) -> Mention:
    """A mention whose offsets are numbers and lie inside the text.

    expected (str | None): What the source says the mention reads; when given, it
        must be what stands at the offsets, white space aside.
    Raises BionerError naming file and line.
    """
    if not label:
        raise malformed(path, line, f"the mention at {start}-{end} has no label")
    try:
        first, last = int(start), int(end)
        if isinstance(start, float | bool) or isinstance(end, float | bool):
            raise TypeError  # as JSON may have them
    except (ValueError, TypeError):
        raise malformed(
            path, line, f"offsets {start!r}, {end!r} are no whole numbers"
        ) from (None)
    if not 0 <= first <= last <= len(text):
        raise malformed(
            path,
            line,
            f"offsets {first}-{last} lie outside the text of {len(text)} characters",
        )
    if expected is not None and _squash(text[first:last]) != _squash(expected):
        raise malformed(
            path,
            line,
            f"the text at {first}-{last} reads {text[first:last]!r}, "
            f"not {expected!r}: the offsets do not belong to this text",
        )
    return Mention(first, last, label, kb_id)


def _squash(text: str) -> str:
    return "".join(text.split())
