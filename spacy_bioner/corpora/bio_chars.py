"""Character BIO (Chinese corpora such as cMedQANER): one character and tag a line,
sentences joined without a space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import files_in
from spacy_bioner.corpora.conll import read_blocks, to_document
from spacy_bioner.corpora.document import SourceDocument


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one file, or every `.txt`, `.bio` and `.tsv` file of a folder."""
    for file in files_in(path, ".txt", ".bio", ".tsv"):
        for number, rows in enumerate(read_blocks(file), 1):
            document = to_document(f"{file.name}-{number}", [rows], join=_join)
            document.exact_text = True
            yield document


def _join(tokens: list[str]) -> tuple[str, list[tuple[int, int]]]:
    offsets, end = [], 0
    for token in tokens:
        offsets.append((end, end + len(token)))
        end += len(token)
    return "".join(tokens), offsets
