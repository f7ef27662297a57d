"""Where the benchmarks keep their figures: `benchmarks/results/NAME.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Records = list[dict[str, Any]]


def read_records() -> Records:
    """Every record of every file."""
    files = sorted(RESULTS.glob("*.json"))
    return [record for file in files for record in json.loads(file.read_text("utf8"))]


def save_records(
    name: str, records: Iterable[dict[str, Any]], folder: Path | None = None
) -> None:
    """A JSON list, one record a line, in `folder` or `RESULTS`; an earlier file of the
    name is replaced."""
    lines = ",\n".join(json.dumps(record) for record in records)
    ((folder or RESULTS) / f"{name}.json").write_text(f"[\n{lines}\n]\n", "utf8")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that an interruption leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text, "utf8")
    partial.replace(path)


def peak() -> float:
    """The most megabytes of memory that this process has had.

    Not `getrusage`'s figure, which a new process inherits from its parent.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(kilobytes) * 1024 / 1e6
