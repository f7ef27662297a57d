"""What lower thresholds of `nested_spancat` give and take, on GENIA's dev split.

    python benchmarks/nested_thresholds.py MODEL corpus/genia

Every label's threshold is moved by the same log-odds from the one fitted on dev.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from results import save_records

from spacy_bioner.cli._nested import nested_values
from spacy_bioner.cli.evaluate import evaluate_nested
from spacy_bioner.pipeline.nested_spancat import NestedSpancat

NAME, SHIFTS = "nested_thresholds", (0.5, 0.0, -0.5, -1.0, -1.5)
METRICS = ("nested_p", "nested_r", "nested_f", "nested_r/inner")


def move(probability: float, shift: float) -> float:
    odds = math.log(probability / (1 - probability)) + shift
    return 1 / (1 + math.exp(-odds))


def make_records(model: str, path: Path) -> Iterator[dict[str, Any]]:
    nlp = spacy.load(model)
    (spancat,) = (p for _, p in nlp.pipeline if isinstance(p, NestedSpancat))
    fitted = dict(zip(spancat.labels, spancat.thresholds, strict=True))
    for shift in SHIFTS:
        spancat.cfg["thresholds"] = {k: move(p, shift) for k, p in fitted.items()}
        values = nested_values(evaluate_nested(nlp, spancat.key, path)["nested"])
        for metric in METRICS:
            yield {
                "benchmark": NAME,
                "system": f"thresholds {shift:+.1f}",
                "corpus": "genia",
                "split": "dev",
                "metric": metric,
                "value": round(values[metric], 2),
                "seed": 0,
                "command": f"python benchmarks/{NAME}.py MODEL corpus/genia",
                "note": "log-odds, from the thresholds fitted on the same split",
            }


if __name__ == "__main__":
    records = list(make_records(sys.argv[1], Path(sys.argv[2]) / "dev.spacy"))
    save_records(NAME, records)
