"""CoNLL columns: the token first, its BIO tag last, an empty line after a sentence.

Accepts IOB1, IOB2 and BIOES tags. `-DOCSTART-` lines begin a document; without them
every block is a document of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from spacy_bioner.corpora.common import files_in, malformed, read_lines
from spacy_bioner.corpora.detokenize import join_tokens
from spacy_bioner.corpora.document import Mention, SourceDocument

DOCSTART = "-DOCSTART-"
BLANK = " \t"  # other white space, such as U+3000, may be a token
TAG = re.compile(r"O|[BIESLU][-_].+")


class Row(NamedTuple):
    """One token and its tag."""

    token: str
    tag: str


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one file, or every `.conll`, `.tsv`, `.bio`, `.iob` and `.txt` file."""
    for file in files_in(path, ".conll", ".tsv", ".bio", ".iob", ".iob2", ".txt"):
        documents = _documents(read_blocks(file))
        for number, sentences in enumerate(documents, 1):
            yield to_document(f"{file.name}-{number}", sentences)


def to_document(
    identifier: str, sentences: Iterable[list[Row]], join=join_tokens, glue: str = " "
) -> SourceDocument:
    """Sentences put together; `join` makes text and token offsets of the tokens."""
    document = SourceDocument(identifier, "", exact_text=False)
    for rows in sentences:
        if document.text:
            document.text += glue
        start = len(document.text)
        text, offsets = join([row.token for row in rows])
        document.sentence_starts.append(start)
        document.text += text
        for first, last, label in tag_spans([row.tag for row in rows]):
            document.mentions.append(
                Mention(start + offsets[first][0], start + offsets[last][1], label)
            )
    return document


def tag_spans(tags: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield (first, last, label) of each mention of a tag sequence, last included.

    An `I-` that continues nothing begins a mention, as in IOB1.
    """
    first, current = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, label = tag[0], tag[2:]
        ended = i and tags[i - 1][0] in "SUEL"
        if current and (ended or prefix not in "IEL" or label != current):
            yield first, i - 1, current
            current = ""
        if label and not current:
            first, current = i, label


def _documents(blocks: Iterator[list[Row]]) -> Iterator[list[list[Row]]]:
    """Group sentences at `-DOCSTART-`, or leave each alone where there is none."""
    group: list[list[Row]] | None = None
    for block in blocks:
        if block[0].token == DOCSTART:
            if group:
                yield group
            group, block = [], block[1:]
        if group is None:
            yield [block]
        elif block:
            group.append(block)
    if group:
        yield group


def read_blocks(path: Path) -> Iterator[list[Row]]:
    rows: list[Row] = []
    for number, line in read_lines(path):
        found = list(_row(path, number, line)) if line.strip(BLANK) else []
        begins = bool(found) and found[0].token == DOCSTART
        if rows and (begins or not line.strip(BLANK)):
            yield rows
            rows = []
        rows += found
    if rows:
        yield rows


def _row(path: Path, number: int, line: str) -> Iterator[Row]:
    """The row of a line; none for an empty token outside of any mention, which
    Broad Twitter has where a tweet held an invisible character."""
    fields = line.split("\t") if "\t" in line else line.strip(BLANK).split(" ")
    token, tag = fields[0].strip(BLANK), fields[-1].strip(BLANK)
    if len(fields) < 2 or (not token and tag != "O"):
        raise malformed(path, number, f"expected a token and its tag, got {line!r}")
    if not TAG.fullmatch(tag):
        raise malformed(path, number, f"{tag!r} is no BIO tag")
    if token:
        yield Row(token, tag)
