"""What it changes that all places of the same words decide together (`consistent`).

    python benchmarks/agreement.py PIPELINE DATA

F1 of each corpus's own head, test and dev; exact characters and type, all gold;
the difference with its 95% interval, paired bootstrap over documents (BC2GM's are
sentences). Of BC5CDR's and BC2GM's dev sets only what the shipped pipeline was not
trained on: DATA/CORPUS/held.spacy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import spacy
from bootstrap import RESAMPLES, compare, prf
from gerbera import count
from results import save_records

from spacy_bioner.cli.evaluate import find_tagger

COMMAND = "python benchmarks/agreement.py PIPELINE DATA"
CORPORA = ("ncbi_disease", "bc5cdr", "bc2gm", "jnlpba", "linnaeus", "species800")
SYSTEMS = {"each place alone": False, "places together": True}


def measure(nlp, corpus: str, split: str, path: Path) -> Iterator[dict[str, Any]]:
    """Records of both ways and, with the second, of the difference."""
    cfg, counts = find_tagger(nlp, "").cfg, []
    for system, consistent in SYSTEMS.items():
        cfg["consistent"] = consistent
        counts.append(count(nlp, corpus, path))
        values = dict(zip(("own_p", "own_r", "own_f"), prf(counts[-1]), strict=True))
        note = f"{len(counts[-1])} documents"
        if len(counts) == 2:
            values |= asdict(compare([counts[1]], [counts[0]]))
            note += f"; paired bootstrap, {RESAMPLES} resamples"
        print(corpus, split, system, {k: round(v, 2) for k, v in values.items()})
        for metric, value in values.items():
            yield {
                "benchmark": "agreement",
                "system": system,
                "corpus": corpus,
                "split": split,
                "metric": metric,
                "value": round(value, 2),
                "seed": 0,
                "command": COMMAND,
                "note": note,
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    nlp = spacy.load(args.pipeline)
    nlp.max_length = 10**9
    records: list[dict[str, Any]] = []
    for corpus in CORPORA:
        for split in ("test", "dev"):
            path = args.data / corpus / f"{split}.spacy"
            held = args.data / corpus / "held.spacy"
            if split == "dev" and held.exists():
                path = held
            records += measure(nlp, corpus, split, path)
    save_records("agreement", records)


if __name__ == "__main__":
    main()
