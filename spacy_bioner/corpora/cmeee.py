"""CMeEE (CBLUE): a JSON array of texts with nested entities.

`end_idx` is exclusive in version 2 and inclusive in version 1: the mention's own
text, which each entity carries, tells which.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    checked_text,
    malformed,
    read_text,
)
from spacy_bioner.corpora.document import SourceDocument


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one JSON file; documents are named by their place, from 1."""
    try:
        records = json.loads(read_text(path).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise malformed(path, error.lineno, f"not JSON: {error.msg}") from None
    if not isinstance(records, list):
        raise malformed(path, 1, "expected a JSON array of texts")
    for number, record in enumerate(records, 1):
        try:
            yield _document(path, f"{path.name}-{number}", record)
        except (KeyError, TypeError, AttributeError):
            raise malformed(
                path,
                0,
                f"text {number} lacks `text` or an entity its "
                "`start_idx`, `end_idx`, `type`",
            ) from None


def _document(path: Path, identifier: str, record: dict) -> SourceDocument:
    text, mentions = checked_text(path, 0, record["text"], "`text`"), []
    for entity in record.get("entities", []):
        start, end, name = entity["start_idx"], entity["end_idx"], entity.get("entity")
        label = checked_text(path, 0, entity["type"], "`type`")
        if name is not None and len(name) == end - start + 1:
            end += 1  # version 1
        mentions.append(
            checked_mention(path, 0, text, start, end, label, expected=name)
        )
    return SourceDocument(identifier, text, mentions, sentence_starts=[0])
