"""PubTator: `id|t|title`, `id|a|abstract`, then one tab-separated mention a line.

`bioc.pubtator` is not used: it strips lines, which moves offsets, and prints lines
that it cannot parse instead of failing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    files_in,
    malformed,
    read_lines,
)
from spacy_bioner.corpora.document import SourceDocument

PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)


def read(path: Path) -> Iterator[SourceDocument]:
    """Read a PubTator file, or every `.pubtator` and `.txt` file of a folder.

    Title and abstract are joined by a line break, one character as the offsets
    count it. Relation lines are skipped.
    """
    for file in files_in(path, ".pubtator", ".txt"):
        yield from _read_file(file)


def _read_file(path: Path) -> Iterator[SourceDocument]:
    document: SourceDocument | None = None
    for number, line in read_lines(path):
        passage = PASSAGE.fullmatch(line)
        if passage is None and not line.strip():
            continue
        if passage is None:
            if document is None:
                raise malformed(path, number, "expected `id|t|title`")
            _add_mention(path, number, line, document)
        elif passage[2] == "t":
            if document is not None:
                yield document
            document = SourceDocument(passage[1].strip(), passage[3])
        elif document is None or document.id != passage[1].strip():
            raise malformed(path, number, f"abstract of {passage[1]} without its title")
        else:
            document.text += "\n" + passage[3]
    if document is not None:
        yield document


def _add_mention(path: Path, number: int, line: str, document: SourceDocument) -> None:
    fields = line.split("\t")
    if fields[0].strip() != document.id:
        raise malformed(path, number, f"expected a line of document {document.id}")
    if len(fields) in (4, 5) and not fields[1].isdigit():
        return  # a relation: type and two identifiers
    if len(fields) < 5:
        raise malformed(
            path, number, "expected id, start, end, text, type and identifier, by tabs"
        )
    _, start, end, text, label = (field.strip() for field in fields[:5])
    kb_id = fields[5].strip() if len(fields) > 5 else ""
    document.mentions.append(
        checked_mention(
            path, number, document.text, start, end, label, kb_id=kb_id, expected=text
        )
    )
