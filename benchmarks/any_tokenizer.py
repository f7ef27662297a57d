"""F1 of a pipeline under other people's tokenizers.

    python benchmarks/any_tokenizer.py PIPELINE DATA [--targets ncbi_disease,bc5cdr]

The pipeline was trained on its own tokens; in another's pipeline it has to do with
theirs. Exact characters and type, all gold mentions: one whose ends are no ends of
tokens can only be missed. `aligned_percent` says of how many they are. Needs scispaCy
and medspaCy (requirements/lock-clinical.txt, Python 3.12).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import spacy
from results import save_records
from spacy.language import Language
from tokenization import percent, tokenizers

from spacy_bioner.cli._figures import only
from spacy_bioner.cli.evaluate import evaluate, find_tagger, list_gold

COMMAND = "python benchmarks/any_tokenizer.py PIPELINE DATA"


def aligned(nlp: Language, path: Path, labels: set[str]) -> float:
    """Percent of a corpus's mentions that begin and end at tokens."""
    mentions = misaligned = 0
    for doc, gold in list_gold(nlp, path, None):
        starts = {token.idx for token in doc}
        ends = {token.idx + len(token) for token in doc}
        places = only(gold, labels)
        mentions += len(places)
        misaligned += sum(a not in starts or b not in ends for a, b, _ in places)
    return percent(mentions - misaligned, mentions)


def measure(nlp: Language, task: str, path: Path) -> Iterator[tuple[str, float]]:
    """`own_p`, `own_r` and `own_f` of the corpus's head, `ents_f` of `doc.ents`, and
    `aligned_percent`, all in percent."""
    tagger = find_tagger(nlp, "")
    figures = evaluate(nlp, tagger, task, path)
    for kind in ("own", "ents"):
        for name in "prf":
            yield f"{kind}_{name}", round(100 * figures[kind][name], 2)
    yield "aligned_percent", aligned(nlp, path, set(tagger.heads[task]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("data", type=Path)
    parser.add_argument("--targets", help="corpora by name; all of them if left out")
    args = parser.parse_args()
    nlp = spacy.load(args.pipeline)
    heads = find_tagger(nlp, args.pipeline).heads
    targets = args.targets.split(",") if args.targets else list(heads)
    command = f"{COMMAND} --targets {args.targets}" if args.targets else COMMAND
    records: list[dict[str, Any]] = []
    for task in targets:
        path = args.data / task / "test.spacy"
        for system, make in tokenizers().items():
            nlp.tokenizer = make(nlp)
            figures = dict(measure(nlp, task, path))
            row = " ".join(f"{name} {value:.2f}" for name, value in figures.items())
            print(f"{task:13}{system:15} {row}", flush=True)
            shared = {"benchmark": "any_tokenizer", "system": system, "corpus": task}
            shared |= {"split": "test", "seed": None, "command": command, "note": ""}
            records += [
                {**shared, "metric": metric, "value": value}
                for metric, value in figures.items()
            ]
    save_records("any_tokenizer", records)


if __name__ == "__main__":
    main()
