"""JSON lines: `{"id": …, "text": …, "spans": [{"start", "end", "label"}]}`.

Offsets are characters, the end exclusive; `kb_id` may stand in a span. spaCy's and
Prodigy's own exports have this form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
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
                yield _document(file, number, line)


def _document(path: Path, number: int, line: str) -> SourceDocument:
    try:
        record = json.loads(line)
        text = record["text"]
        spans = [(s["start"], s["end"], s["label"], s) for s in record.get("spans", [])]
    except json.JSONDecodeError as error:
        raise malformed(path, number, f"not JSON: {error.msg}") from None
    except (KeyError, TypeError, AttributeError):
        raise malformed(
            path, number, "expected `text`, and `start`, `end`, `label` in each span"
        ) from None
    if not isinstance(text, str):
        raise malformed(path, number, "`text` is no string")
    mentions = [
        checked_mention(
            path, number, text, start, end, str(label), kb_id=str(s.get("kb_id", ""))
        )
        for start, end, label, s in spans
    ]
    return SourceDocument(str(record.get("id", number)), text, mentions)
