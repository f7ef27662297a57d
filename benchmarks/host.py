"""Ours in a pipeline with tagger, lemmatizer and parser: neither changes the other.

    python -m spacy project run host     # trains such a pipeline on GUM, then runs
    python benchmarks/host.py HOST PIPELINE TREEBANK TEXTS...

HOST's scores on TREEBANK, then both orders on the texts of all `.spacy` files. Fails if
one token's tag, lemma, head or sentence is another than without ours, if ours finds
anything else than alone on the same tokens, or if `analyze_pipes` sees a problem. What
ours finds on tokens of its own is beside that a matter of the host's tokenizer:
`agreement`, F1 of one against the other by exact characters and type.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import spacy
from results import save_records
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, DocBin
from spacy.training import Corpus

from spacy_bioner.cli._figures import Spans, place_of
from spacy_bioner.cli.evaluate import shown

SYNTAX = ["TAG", "POS", "MORPH", "LEMMA", "HEAD", "DEP", "SENT_START"]
SCORES = ("tag_acc", "pos_acc", "lemma_acc", "dep_uas", "dep_las", "sents_f")
NAME = "gerbera_ner"


def read_texts(paths: Iterable[Path]) -> list[str]:
    vocab = spacy.blank("en").vocab
    return [d.text for p in paths for d in DocBin().from_disk(p).get_docs(vocab)]


def entities(doc: Doc) -> Spans:
    return set(map(place_of, doc.ents))


def find_alone(ours: Language, docs: Iterable[Doc]) -> list[Spans]:
    """What ours finds by itself on these documents' tokens."""
    copies = []
    for doc in docs:
        spaces = [bool(token.whitespace_) for token in doc]
        copies.append(Doc(ours.vocab, [token.text for token in doc], spaces))
    return list(map(entities, ours.pipe(copies)))


def count_changes(before: list[Doc], after: list[Doc]) -> int:
    """Tokens of which anything the host writes is another."""
    changed = 0
    for one, two in zip(before, after, strict=True):
        if [token.text for token in one] != [token.text for token in two]:
            raise SystemExit("the host's tokens changed")
        changed += int(np.any(one.to_array(SYNTAX) != two.to_array(SYNTAX), 1).sum())
    return changed


def compare(host: Language, ours: Language, texts: list[str]) -> Iterator[tuple]:
    """Name, value and what the value must be; None if it may be anything."""
    before = list(host.pipe(texts))
    alone, own = find_alone(ours, before), list(map(entities, ours.pipe(texts)))
    yield "tokens", sum(map(len, before)), None
    yield "entities", sum(map(len, alone)), None
    for order in ("first", "last"):
        host.add_pipe("ner", name=NAME, source=ours, **{order: True})
        after = list(host.pipe(texts))
        found = list(map(entities, after))
        problems = host.analyze_pipes()["problems"].values()
        yield f"tokens that change, ours {order}", count_changes(before, after), 0
        different = sum(len(a ^ b) for a, b in zip(found, alone, strict=True))
        yield f"entities other than alone, ours {order}", different, 0
        yield f"problems of analyze_pipes, ours {order}", sum(map(len, problems)), 0
        host.remove_pipe(NAME)
    agreement = PRFScore()
    for found, expected in zip(alone, own, strict=True):
        agreement.score_set(found, expected)
    yield "agreement", round(100 * agreement.fscore, 2), None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("host")
    parser.add_argument("pipeline")
    parser.add_argument("treebank", type=Path)
    parser.add_argument("texts", type=Path, nargs="+")
    args = parser.parse_args()
    host, ours = spacy.load(args.host), spacy.load(args.pipeline)
    scores = host.evaluate(list(Corpus(args.treebank)(host)))
    rows = [(name, round(100 * scores[name], 2), None) for name in SCORES]
    rows += compare(host, ours, read_texts([args.treebank, *args.texts]))
    paths = (args.host, args.pipeline, args.treebank, *args.texts)
    command = " ".join(("python benchmarks/host.py", *map(shown, paths)))
    origin = {"benchmark": "host", "system": "tagger and parser on GUM"}
    origin |= {"corpus": shown(args.treebank), "split": "test", "seed": 0}
    end = {"command": command, "note": ""}
    records = [{**origin, "metric": name, "value": v, **end} for name, v, _ in rows]
    for name, value, wanted in rows:
        print(f"{name:44}{value:>12}{'' if wanted in (None, value) else '  WRONG'}")
    save_records("host", records)
    if any(wanted not in (None, value) for _, value, wanted in rows):
        raise SystemExit("the two change each other")


if __name__ == "__main__":
    main()
