"""Raw texts out of text files and converted corpora."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import spacy

from ..docbin import read_docs
from ..errors import BionerError, Errors


def read_texts(paths: list[Path]) -> Iterator[str]:
    """The lines of `.txt` files that are not empty, and the texts of the documents in
    `.spacy` files; a folder stands for all such files below it.

    Raises BionerError for a path that is neither, or is not UTF-8.
    """
    vocab = spacy.blank("en").vocab
    for path in paths:
        found = [path] if path.is_file() else sorted(path.rglob("*.*"))
        files = [file for file in found if file.suffix in (".txt", ".spacy")]
        if not files:
            raise BionerError(Errors.B608.format(path=path))
        for file in files:
            if file.suffix == ".txt":
                yield from _read_lines(file)
            else:
                yield from (doc.text for doc in read_docs(file, vocab))


def _read_lines(path: Path) -> Iterator[str]:
    """One after the other: a file may be larger than the memory."""
    try:
        with path.open(encoding="utf-8-sig") as lines:
            yield from filter(None, map(str.strip, lines))
    except UnicodeDecodeError:
        problem = "it is not UTF-8; convert it first"
        raise BionerError(Errors.B603.format(path=path, error=problem)) from None
