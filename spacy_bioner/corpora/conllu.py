"""CoNLL-U with `Entity=` in MISC, as in GUM and CorefUD: bracketed and nested,
`Entity=(1-person-new(2-place)` opens two, `Entity=1)` closes the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from spacy_bioner.corpora.common import files_in, malformed, missing, read_lines
from spacy_bioner.corpora.document import Mention, SourceDocument

BRACKET = re.compile(r"\((?P<opened>[^()]+)(?P<closed>\))?|(?P<closes>[^()]+)\)")
FRAGMENT = re.compile(r"\[(\d+)/\d+\]")


class _Word(NamedTuple):
    """A syntactic word: character offsets in its sentence and `Entity=` value."""

    start: int
    end: int
    entity: str


@dataclass
class _State:
    """The document being read, what is open in it, and which field holds what."""

    path: Path
    line: int
    document: SourceDocument
    group: int = 0
    etype: int = 1
    open: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one file, or every `.conllu` file of a folder; labels are entity types.

    The text is rebuilt from forms and `SpaceAfter=No`; sentences are joined by a
    space, paragraphs by a line break. Discontinuous entities count as lost.
    """
    for file in files_in(path, ".conllu"):
        state: _State | None = None
        unnamed = 0
        for line, block in _blocks(file):
            sentence = _parse(file, line, block)
            name = sentence.metadata.get("newdoc id")
            if state is None or name or "newdoc" in sentence.metadata:
                if state is not None:
                    yield _finish(state)
                if not name:
                    unnamed += 1
                    name = f"{file.stem}-{unnamed}" if unnamed > 1 else file.stem
                state = _begin(state, file, line, SourceDocument(name, ""))
            state.line = line
            _add_sentence(state, sentence)
        if state is not None:
            yield _finish(state)


def _begin(
    last: _State | None, path: Path, line: int, document: SourceDocument
) -> _State:
    """What a file declares once holds for all of its documents."""
    state = _State(path, line, document)
    if last is not None:
        state.group, state.etype = last.group, last.etype
    return state


def _blocks(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, sentence block)."""
    first, block = 1, []
    for number, line in read_lines(path):
        if line.strip():
            block.append(line)
            continue
        if block:
            yield first, "\n".join(block)
        first, block = number + 1, []
    if block:
        yield first, "\n".join(block)


def _parse(path: Path, line: int, block: str):
    try:
        import conllu
    except ImportError:
        raise missing("CoNLL-U", "conllu") from None
    try:
        [sentence] = conllu.parse(block + "\n\n")
    except (conllu.exceptions.ParseException, ValueError) as error:
        raise malformed(path, line, f"not CoNLL-U: {error}") from None
    return sentence


def _add_sentence(state: _State, sentence) -> None:
    _set_fields(state, sentence.metadata.get("global.Entity", ""))
    document = state.document
    if document.text:
        paragraph = any(key.startswith("newpar") for key in sentence.metadata)
        document.text += "\n" if paragraph else " "
    start = len(document.text)
    document.sentence_starts.append(start)
    text, words = _lay_out(sentence)
    document.text += text
    for word in words:
        for bracket in BRACKET.finditer(word.entity):
            _apply(state, bracket, start + word.start, start + word.end)


def _set_fields(state: _State, declared: str) -> None:
    """Read `# global.Entity`, which names the fields between the hyphens."""
    if not declared:
        return
    names = declared.strip().split("-")
    group = next((name for name in ("GRP", "eid") if name in names), None)
    if group is None or "etype" not in names:
        raise malformed(
            state.path, state.line, f"global.Entity = {declared} lacks GRP or etype"
        )
    state.group, state.etype = names.index(group), names.index("etype")


def _lay_out(sentence) -> tuple[str, list[_Word]]:
    """The text of a sentence and its words; those of a multiword token share its
    form when their own forms do not make it up."""
    text, words = "", []
    surface, last = "", 0  # the multiword token being read, and its last word
    space = True
    for token in sentence:
        identifier, misc = token["id"], token["misc"] or {}
        if isinstance(identifier, tuple) and identifier[1] == ".":
            continue  # an empty node stands for no text
        if isinstance(identifier, tuple):
            surface, last = token["form"], identifier[2]
            covered = [t["form"] for t in sentence if _within(t["id"], identifier)]
            if "".join(covered) == surface:
                surface = ""  # the words below write it
            else:
                text += surface
            space = misc.get("SpaceAfter") != "No"
            continue
        start = len(text) - len(surface)
        if not surface:
            text += token["form"]
        words.append(_Word(start, len(text), misc.get("Entity") or ""))
        if identifier > last:
            space = misc.get("SpaceAfter") != "No"
        if identifier >= last:
            surface = ""
            text += " " if space else ""
    return text.rstrip(" "), words


def _within(identifier, span: tuple) -> bool:
    return isinstance(identifier, int) and span[0] <= identifier <= span[2]


def _apply(state: _State, bracket: re.Match, start: int, end: int) -> None:
    """Open or close one entity at a word."""
    if bracket["opened"]:
        fields = bracket["opened"].split("-")
        if len(fields) <= max(state.group, state.etype):
            problem = f"Entity=({bracket['opened']} lacks its type"
            raise malformed(state.path, state.line, problem)
        group = fields[state.group]
        state.open.setdefault(group, []).append((start, fields[state.etype]))
        if not bracket["closed"]:
            return
    else:
        fields = bracket["closes"].split("-")
        group = fields[state.group if len(fields) > state.group else 0]
    if not state.open.get(group):
        raise malformed(state.path, state.line, f"Entity={group}) was never opened")
    first, label = state.open[group].pop()
    fragment = FRAGMENT.search(group)
    if fragment is None:
        state.document.mentions.append(Mention(first, end, label))
    elif fragment[1] == "1":
        state.document.lost.append((label, "discontinuous"))


def _finish(state: _State) -> SourceDocument:
    still_open = [group for group, stack in state.open.items() if stack]
    if still_open:
        raise malformed(
            state.path, state.line, f"Entity=({still_open[0]} is never closed"
        )
    return state.document
