"""Choosing documents: lists of ids (the split files of a corpus), slices, shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from spacy_bioner.corpora.common import read_lines
from spacy_bioner.corpora.document import SourceDocument
from spacy_bioner.errors import BionerError, Errors


def read_ids(path: Path) -> set[str]:
    """One id a line; `#` begins a comment line, ` #` a remark behind an id."""
    lines = (line.partition(" #")[0].strip() for _, line in read_lines(path))
    return {line for line in lines if line and not line.startswith("#")}


def with_ids(
    documents: Iterable[SourceDocument], path: Path, missing: set[str]
) -> Iterator[SourceDocument]:
    """The documents whose ids `path` lists; listed ids that the corpus lacks are
    left in `missing`. Raises BionerError when it lacks them all."""
    ids = read_ids(path)
    missing |= ids
    example = ""
    for document in documents:
        example = example or document.id
        if document.id in ids:
            missing.discard(document.id)
            yield document
    if len(missing) == len(ids):
        raise BionerError(
            Errors.B106.format(count=len(ids), path=path, example=example)
        )


def without_ids(
    documents: Iterable[SourceDocument], path: Path, unused: set[Path]
) -> Iterator[SourceDocument]:
    """The documents whose ids `path` does not list; where it lists none of them, it is
    left in `unused`."""
    ids = read_ids(path)
    unused.add(path)
    for document in documents:
        if document.id in ids:
            unused.discard(path)
        else:
            yield document


def sliced(
    documents: Iterable[SourceDocument], bounds: str
) -> Iterator[SourceDocument]:
    """Documents `START:STOP` in the order of the source, either end optional."""
    return islice(documents, *_parse_bounds("slice", bounds))


def shared_out(
    documents: Iterable[SourceDocument], bounds: str
) -> Iterator[SourceDocument]:
    """The documents whose text falls between `START:STOP` of 100 equal shares, by a
    hash: a split for corpora that have none, the same everywhere and in any order.
    Documents of the same text fall in the same share."""
    start, stop = _parse_bounds("share", bounds)
    for document in documents:
        digest = hashlib.sha256(document.text.encode("utf8")).digest()
        place = int.from_bytes(digest[:8], "big") % 100
        if start <= place and (stop is None or place < stop):
            yield document


def _parse_bounds(option: str, value: str) -> tuple[int, int | None]:
    start, colon, stop = value.partition(":")
    try:
        first, last = int(start or 0), int(stop) if stop else None
        if not colon or min(first, last or 0) < 0:
            raise ValueError
        return first, last
    except ValueError:
        expected = "START:STOP, such as 0:80 or 80:"
        message = Errors.B104.format(option=option, value=value, expected=expected)
        raise BionerError(message) from None
