"""JSON lines: `{"id": …, "text": …, "spans": [{"start", "end", "label"}]}`.

Offsets are characters, the end exclusive; `kb_id` may stand in a span. Prodigy's
exports have this form, of which those are read that were accepted; in spaCy's own
(`Doc.to_json`) the `ents` are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    checked_text,
    files_in,
    malformed,
    read_lines,
)
from spacy_bioner.corpora.document import SourceDocument


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one file, or every `.jsonl` file of a folder."""
    for file in files_in(path, ".jsonl"):
        for number, line in read_lines(file):
            if line.strip():
                document = _document(file, number, line)
                if document is not None:
                    yield document


def _document(path: Path, number: int, line: str) -> SourceDocument | None:
    """None for an annotation that was rejected or ignored."""
    try:
        record = json.loads(line)
        if record.get("answer", "accept") != "accept":
            return None
        text = record["text"]
        spans = record.get("spans")
        if not isinstance(spans, list):  # spaCy's groups by name, Prodigy's null
            spans = record.get("ents") or []
        spans = [(s["start"], s["end"], s["label"], s.get("kb_id")) for s in spans]
    except json.JSONDecodeError as error:
        raise malformed(path, number, f"not JSON: {error.msg}") from None
    except (KeyError, TypeError, AttributeError):
        raise malformed(
            path, number, "expected `text`, and `start`, `end`, `label` in each span"
        ) from None

    def checked(value: object, what: str) -> str:
        return checked_text(path, number, value, what)

    def name(value: object, what: str, default: str) -> str:
        """An identifier: a number will do."""
        if value is None:
            return default
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return str(value) if is_number else checked(value, what)

    text = checked(text, "`text`")
    mentions = [
        checked_mention(
            path,
            number,
            text,
            start,
            end,
            checked(label, "`label`"),
            kb_id=name(kb_id, "`kb_id`", ""),
        )
        for start, end, label, kb_id in spans
    ]
    identifier = name(record.get("id"), "`id`", f"{path.name}-{number}")
    return SourceDocument(identifier, text, mentions)
