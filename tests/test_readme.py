"""README.md shows the figures of benchmarks/results, and no others."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import tables  # noqa: E402


def test_tables_are_up_to_date():
    text = (ROOT / "README.md").read_text("utf8")
    assert tables.render(text, tables.read_records()) == text


def test_tables_from_records():
    record = {
        "benchmark": "accuracy",
        "split": "test",
        "system": "s",
        "corpus": "bc2gm",
    }
    records = [
        {**record, "metric": metric, "value": value}
        for metric, value in [
            ("own_f", 80.0),
            ("ents_f", 79.5),
            ("own_p/GENE", 81.0),
            ("own_r/GENE", 79.0),
            ("own_f/GENE", 80.0),
            ("own_calibration_error", 1.25),
        ]
    ]
    text = "a\n<!-- table: accuracy -->\nold\n<!-- end -->\nb"
    made = tables.render(text, records)
    assert "| BC2GM | 80.00 | 79.50 |" in made and "old" not in made
    assert made.startswith("a\n") and made.endswith("\nb")
    assert tables.render(made, records) == made
    assert "| `s` | bc2gm | GENE | 81.00 | 79.00 | 80.00 |  |" in tables.types(records)
    assert "| `s` | bc2gm | 1.25 |" in tables.calibration(records)
    assert tables.accuracy([]) == tables.NOTHING
