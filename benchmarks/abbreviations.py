"""What `abbreviation_entities` changes: F1 of `doc.ents` without and with it.

    python benchmarks/abbreviations.py PIPELINE DATA

With scispaCy's detector before it, on the labels that both `doc.ents` and the corpus
have; exact characters and type, all gold mentions. Of BC5CDR's dev only the 100
abstracts that the shipped pipeline was not trained on; on most of BC2GM's it was, so
that dev set shows what the component does to entities that are right.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from itertools import islice
from pathlib import Path

import spacy
from results import save_records
from scispacy.abbreviation import AbbreviationDetector  # noqa: F401  (its factory)
from spacy.language import Language
from spacy.scorer import PRFScore

from spacy_bioner.cli.evaluate import find_tagger, list_gold

COMMAND = "python benchmarks/abbreviations.py PIPELINE DATA"
WITHOUT, WITH = "doc.ents", "doc.ents + abbreviations"
RUNS = (
    ("ncbi_disease", "dev", 0),
    ("bc5cdr", "dev", 400),
    ("bc2gm", "dev", 0),
    ("jnlpba", "dev", 0),
    ("linnaeus", "dev", 0),
    ("species800", "dev", 0),
    ("ncbi_disease", "test", 0),
    ("bc5cdr", "test", 0),
    ("bc2gm", "test", 0),
    ("jnlpba", "test", 0),
    ("linnaeus", "test", 0),
    ("species800", "test", 0),
)


def load(path: str) -> Language:
    """The pipeline with the detector and our component at its end. Genes are left
    alone: on BC2GM's training set it would add two wrong ones and no right one."""
    nlp = spacy.load(path)
    nlp.add_pipe("abbreviation_detector")
    labels = [label for label in find_tagger(nlp, "").owners if label != "GENE"]
    nlp.add_pipe("abbreviation_entities", config={"labels": labels})
    return nlp


def compare(nlp: Language, path: Path, corpus: str, first: int) -> dict[str, PRFScore]:
    """Scores without and with the component, of the same run of the tagger."""
    tagger = find_tagger(nlp, "")
    labels = set(tagger.heads[corpus]) & set(tagger.owners)
    scores: dict[str, PRFScore] = defaultdict(PRFScore)
    pairs = islice(list_gold(nlp, path, None), first, None)
    with nlp.select_pipes(disable=["abbreviation_detector", "abbreviation_entities"]):
        plain = list(nlp.pipe(pairs, as_tuples=True, batch_size=64))
    for doc, gold in plain:
        gold = {place for place in gold if place[2] in labels}
        scores[WITHOUT].score_set(places(doc, labels), gold)
        for name in ("abbreviation_detector", "abbreviation_entities"):
            doc = nlp.get_pipe(name)(doc)
        scores[WITH].score_set(places(doc, labels), gold)
    return scores


def places(doc, labels: set[str]) -> set[tuple[int, int, str]]:
    return {
        (ent.start_char, ent.end_char, ent.label_)
        for ent in doc.ents
        if ent.label_ in labels
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pipeline")
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    nlp = load(args.pipeline)
    records = []
    for corpus, split, first in RUNS:
        path = args.data / corpus / f"{split}.spacy"
        for system, score in compare(nlp, path, corpus, first).items():
            shares = {"p": score.precision, "r": score.recall, "f": score.fscore}
            row = " ".join(f"{100 * share:6.2f}" for share in shares.values())
            print(f"{corpus:14} {split:5} {system:26} {row}", flush=True)
            for name, share in shares.items():
                records.append(
                    {
                        "benchmark": "abbreviations",
                        "system": system,
                        "corpus": corpus,
                        "split": split,
                        "metric": f"ents_{name}",
                        "value": round(100 * share, 2),
                        "seed": 0,
                        "command": COMMAND,
                        "note": f"documents from number {first}" if first else "",
                    }
                )
    save_records("abbreviations", records)


if __name__ == "__main__":
    main()
