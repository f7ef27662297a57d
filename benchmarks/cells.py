"""From records to Markdown: what the README's tables have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from results import Records

# Row -> the record's corpus, and its label where the row is one type of several.
ROWS: dict[str, tuple[str, str]] = {
    "NCBI-disease": ("ncbi_disease", ""),
    "BC5CDR": ("bc5cdr", ""),
    "BC5CDR, chemicals": ("bc5cdr", "CHEMICAL"),
    "BC5CDR, diseases": ("bc5cdr", "DISEASE"),
    "BC2GM": ("bc2gm", ""),
    "JNLPBA, five types": ("jnlpba", ""),
    "LINNAEUS": ("linnaeus", ""),
    "Species-800": ("species800", ""),
}
NOTHING = "*Not measured yet.*"


def values_of(records: Records, benchmark: str, split: str):
    return {
        (record["system"], record["corpus"], record["metric"]): record["value"]
        for record in records
        if record["benchmark"] == benchmark and record["split"] == split
    }


def table_of(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    header = list(header)
    lines = [
        header,
        ["---"] * len(header),
        *([cell_of(x) for x in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell_of(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)
