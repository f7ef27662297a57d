"""What teachers give a `nested_spancat`: pipelines of several seeds, on dev and test.

    python benchmarks/nested_taught.py corpus/genia PIPELINE ...

The first is seed 0's, and so on: what `train-nested` and `compile-nested` make with
--vars.seed 0 to 2, kept apart, each with thresholds fitted on dev by `calibrate`.
Once more, every label's threshold is lowered by the same log-odds, as little as gives
INNER percent of the inner mentions of the dev split.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from nested_thresholds import move
from results import save_records
from spacy.language import Language

from spacy_bioner.cli._nested import nested_values
from spacy_bioner.cli.evaluate import evaluate_nested
from spacy_bioner.pipeline.nested_spancat import NestedSpancat

NAME, INNER, STEP, LONGEST = "nested_taught", 65.0, 0.1, 40
FITTED, LOWERED = "fitted for F", "fitted for inner mentions"
METRICS = tuple(f"nested_{k}" for k in "prf")
METRICS += tuple(f"nested_r/{kind}" for kind in ("flat", "inner", "outer"))


def measure(nlp: Language, data: Path) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Thresholds, split and figures of one pipeline."""
    (spancat,) = (p for _, p in nlp.pipeline if isinstance(p, NestedSpancat))
    fitted = dict(zip(spancat.labels, spancat.thresholds, strict=True))

    def figures(split: str, shift: float = 0.0) -> dict[str, float]:
        spancat.cfg["thresholds"] = {k: move(p, -shift) for k, p in fitted.items()}
        path = data / f"{split}.spacy"
        values = nested_values(evaluate_nested(nlp, spancat.key, path)["nested"])
        return {"shift": shift} | {metric: values[metric] for metric in METRICS}

    for split in ("dev", "test"):
        yield FITTED, split, figures(split)
    lowered = (figures("dev", n * STEP) for n in range(LONGEST))
    enough = next(f for f in lowered if f["nested_r/inner"] >= INNER)
    yield LOWERED, "dev", enough
    yield LOWERED, "test", figures("test", enough["shift"])


def make_records(data: Path, models: list[str]) -> Iterator[dict[str, Any]]:
    """Each seed's figures, their mean and their deviation."""
    seeds = [list(measure(spacy.load(model), data)) for model in models]
    for rows in zip(*seeds, strict=True):
        thresholds, split, _ = rows[0]
        for metric in rows[0][2]:
            values = [figures[metric] for _, _, figures in rows]
            figures = {(metric, seed): value for seed, value in enumerate(values)}
            figures[f"mean {metric}", None] = statistics.fmean(values)
            if len(values) > 1:
                figures[f"deviation {metric}", None] = statistics.stdev(values)
            for (name, seed), value in figures.items():
                yield {
                    "benchmark": NAME,
                    "system": f"taught, {thresholds}",
                    "corpus": "genia",
                    "split": split,
                    "metric": name,
                    "value": round(value, 2),
                    "seed": seed,
                    "command": f"python benchmarks/{NAME}.py corpus/genia PIPELINE ...",
                    "note": f"{len(values)} seeds",
                }


if __name__ == "__main__":
    save_records(NAME, list(make_records(Path(sys.argv[1]), sys.argv[2:])))
