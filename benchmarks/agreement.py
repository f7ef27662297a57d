"""What it changes that all places of the same words decide together (`consistent`).

    python benchmarks/agreement.py PIPELINE DATA

F1 of each corpus's own head, test and dev; exact characters and type, all gold;
the difference with its 95% interval, paired bootstrap over documents (BC2GM's are
sentences). Of BC5CDR's and BC2GM's dev sets only what the shipped pipeline was not
trained on: DATA/CORPUS/held.spacy. And the speed of both, in turn on the same texts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import spacy
from bootstrap import RESAMPLES, compare, prf
from gerbera import count
from results import save_records

from spacy_bioner.cli.evaluate import find_tagger
from spacy_bioner.docbin import read_docs

COMMAND = "python benchmarks/agreement.py PIPELINE DATA"
CORPORA = ("ncbi_disease", "bc5cdr", "bc2gm", "jnlpba", "linnaeus", "species800")
SYSTEMS = {"each place alone": False, "places together": True}
TURNS = 7


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
            yield record(system, corpus, split, metric, value, note)


def measure_speed(nlp, path: Path) -> Iterator[dict[str, Any]]:
    """Words a second on abstracts and on their sentences, the median of some turns."""
    cfg, docs = find_tagger(nlp, "").cfg, list(read_docs(path, nlp.vocab))
    kinds = {
        "abstracts": [doc.text for doc in docs],
        "sentences": [sent.text for doc in docs for sent in doc.sents],
    }
    for kind, texts in kinds.items():
        paces: dict[str, list[float]] = {system: [] for system in SYSTEMS}
        for _ in range(TURNS):
            for system, consistent in SYSTEMS.items():
                cfg["consistent"] = consistent
                begin = time.perf_counter()
                words = sum(map(len, nlp.pipe(texts)))
                paces[system].append(words / (time.perf_counter() - begin))
        for system, of_system in paces.items():
            pace, note = median(of_system), f"median of {TURNS}"
            print(kind, system, round(pace))
            yield record(system, kind, "test", "words_per_second", pace, note)


def record(
    system: str, corpus: str, split: str, metric: str, value: float, note: str
) -> dict[str, Any]:
    return {
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
    records += measure_speed(nlp, args.data / "ncbi_disease" / "test.spacy")
    save_records("agreement", records)


if __name__ == "__main__":
    main()
