"""Does compiling change what is found? TRAINED in fp32 and COMPILED, test and dev.

    python benchmarks/fidelity.py TRAINED COMPILED DATA

F1 of both by each corpus's own head, their difference in points, and how far both
agree: F1 of the one's entities against the other's, in `doc.ents` and over the spans
of all heads; and by how much the logits of all heads differ (root mean square, on the
first documents).
"""

from __future__ import annotations

import argparse
import shlex
import sys
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from results import save_records
from spacy.language import Language
from spacy.scorer import PRFScore

from spacy_bioner.cli.evaluate import find_tagger, list_gold
from spacy_bioner.pipeline.export import full_precision

COMMAND = "python benchmarks/fidelity.py TRAINED COMPILED DATA"
DOCUMENTS = 50  # whose logits are compared
CORPORA = ("ncbi_disease", "bc5cdr", "bc2gm", "jnlpba", "linnaeus", "species800")
Found = list[dict[str, set[tuple]]]


def annotate(nlp: Language, path: Path, task: str) -> tuple[list[set], Found]:
    """The gold of every document; what its own head, all heads and `doc.ents` hold."""
    key = find_tagger(nlp, str(path)).cfg["spans_key"]
    gold, found = [], []
    pairs = list_gold(nlp, path, None)
    for doc, spans in nlp.pipe(pairs, as_tuples=True, batch_size=64):
        group = doc.spans[key]
        rows = list(zip(map(_place, group), group.attrs["heads"], strict=True))
        gold.append(spans)
        found.append(
            {
                "own": {place for place, head in rows if head == task},
                "all heads": set(rows),
                "doc.ents": set(map(_place, doc.ents)),
            }
        )
    return gold, found


def read_logits(nlp: Language, path: Path) -> np.ndarray:
    """What all heads say of each token of the first documents.  # (tokens, tags)"""
    tagger = find_tagger(nlp, str(path))
    docs = [doc for doc, _ in islice(list_gold(nlp, path, None), DOCUMENTS)]
    with nlp.select_pipes(enable=nlp.pipe_names[: nlp.pipe_names.index(tagger.name)]):
        docs = list(nlp.pipe(docs))
    by_head = tagger.predict(docs)
    rows = [np.concatenate([x[head] for head in sorted(x)], axis=1) for x in by_head]
    return np.concatenate(rows)


def f1(found: list[set], wanted: list[set]) -> float:
    score = PRFScore()
    for ours, theirs in zip(found, wanted, strict=True):
        score.score_set(ours, theirs)
    return 100 * score.fscore


def compare(trained: Language, compiled: Language, path: Path, task: str):
    """Each figure's name, value and system."""
    gold, exact = annotate(trained, path, task)
    _, fast = annotate(compiled, path, task)
    labels = find_tagger(compiled, "").heads[task]
    gold = [{span for span in spans if span[2] in labels} for spans in gold]
    scores = [f1([doc["own"] for doc in docs], gold) for docs in (exact, fast)]
    yield "own_f", scores[0], "trainable, fp32"
    yield "own_f", scores[1], "compiled"
    yield "own_f_difference", scores[1] - scores[0], "compiled"
    for what in ("own", "all heads", "doc.ents"):
        ours, theirs = ([doc[what] for doc in docs] for docs in (fast, exact))
        yield f"agreement, {what}", f1(ours, theirs), "compiled"
    noise = read_logits(compiled, path) - read_logits(trained, path)
    yield "logits, rms difference", float(np.sqrt(np.mean(noise**2))), "compiled"
    yield "entities", len(list(chain.from_iterable(d["own"] for d in fast))), "compiled"


def _place(span) -> tuple[int, int, str]:
    return span.start_char, span.end_char, span.label_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trained")
    parser.add_argument("compiled")
    parser.add_argument("data", type=Path)
    parser.add_argument("--corpora", nargs="+", default=CORPORA)
    parser.add_argument("--output", default="fidelity", help="name of the records")
    parser.add_argument("--splits", nargs="+", default=("test", "dev"))
    args = parser.parse_args()
    trained, compiled = spacy.load(args.trained), spacy.load(args.compiled)
    records: list[dict[str, Any]] = []
    for split, corpus in product(args.splits, args.corpora):
        with full_precision(trained):
            path = args.data / corpus / f"{split}.spacy"
            for metric, value, system in compare(trained, compiled, path, corpus):
                print(
                    f"{split:5} {corpus:14} {system:16} {metric:22} {value:9.3f}",
                    flush=True,
                )
                records.append(
                    {
                        "benchmark": args.output,
                        "system": system,
                        "corpus": corpus,
                        "split": split,
                        "metric": metric,
                        "value": round(value, 3 if metric.startswith("logits") else 2),
                        "seed": 0,
                        "command": f"{COMMAND} {shlex.join(sys.argv[4:])}".strip(),
                        "note": "",
                    }
                )
    save_records(args.output, records)


if __name__ == "__main__":
    main()
