"""How often a known name inside another mention is a mention too: GENIA's gold.

    python benchmarks/nested_gold.py corpus/genia

A name is known if the train split has it as a mention five times or more, and at six
of ten of its places or more. Counted are its places inside a longer mention, the
longest known name at each, that lie in no other mention between the two.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import spacy
from results import save_records
from spacy.tokens import Doc, DocBin, Span

NAME, KEY = "nested_gold", "sc"
LONGEST = 4  # tokens of a name
OFTEN, SHARE = 5, 0.6

Place = tuple[int, int]


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def text_of(span: Span) -> str:
    return " ".join(token.lower_ for token in span)


def pieces(span: Span | Doc) -> Iterator[Span]:
    """All parts of at most LONGEST tokens."""
    for start in range(len(span)):
        for end in range(start + 1, min(start + LONGEST, len(span)) + 1):
            yield span[start:end]


def known_names(docs: list[Doc]) -> set[str]:
    mentions = Counter(text_of(span) for doc in docs for span in doc.spans[KEY])
    places = Counter(text_of(piece) for doc in docs for piece in pieces(doc))
    return {
        name
        for name, count in mentions.items()
        if count >= OFTEN and count >= SHARE * places[name] > 0
    }


def inside(inner: Place, outer: Place) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1] and inner != outer


def names_within(mention: Span, names: set[str], gold: set[Place]) -> Iterator[Place]:
    """Places of the longest known names in a mention, but for those that a smaller
    mention holds: they are that one's."""
    whole = mention.start, mention.end
    found = [(p.start, p.end) for p in pieces(mention) if text_of(p) in names]
    between = {place for place in gold if inside(place, whole)}
    larger = between | {place for place in found if place != whole}
    for place in found:
        if place != whole and not any(inside(place, other) for other in larger):
            yield place


def count(docs: list[Doc], names: set[str]) -> dict[str, Counter[bool]]:
    """Type of the outer mention -> how many names in it are mentions, and are not."""
    counts: dict[str, Counter[bool]] = {}
    for doc in docs:
        gold = {(span.start, span.end) for span in doc.spans[KEY]}
        for span in {(s.start, s.end): s for s in doc.spans[KEY]}.values():
            for place in names_within(span, names, gold):
                counts.setdefault(span.label_, Counter())[place in gold] += 1
    return counts


def make_records(split: str, label: str, tally: Counter[bool], note: str):
    share = 100 * tally[True] / tally.total()
    for metric, value in [("names", tally.total()), ("annotated, %", share)]:
        yield {
            "benchmark": NAME,
            "system": "gold",
            "corpus": "genia",
            "split": split,
            "metric": f"{metric}, in {label}",
            "value": round(value, 2),
            "seed": None,
            "command": f"python benchmarks/{NAME}.py corpus/genia",
            "note": note,
        }


def main(folder: Path) -> None:
    names = known_names(read(folder / "train.spacy"))
    records = []
    for split in ("train", "dev", "test"):
        counts = count(read(folder / f"{split}.spacy"), names)
        counts["all"] = sum(counts.values(), Counter())
        for label, tally in sorted(counts.items()):
            print(f"{split:6} {label:10} {tally[True]:5} of {tally.total():5}")
            note = f"{len(names)} known names"
            records += make_records(split, label, tally, note)
    save_records(NAME, records)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
