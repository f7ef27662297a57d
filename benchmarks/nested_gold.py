"""How often a known name inside another mention is a mention too: GENIA's gold.

    python benchmarks/nested_gold.py corpus/genia

A name is known if the train split has it as a mention five times or more, and at six
of ten of its places or more. Counted are its places inside a longer mention, the
longest known name at each, that lie in no other mention between the two.

Agreement: of all pairs of places at which the same name lies in a longer mention of the
same words, how many are annotated alike, and Cohen's kappa of that.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

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


def places_of(docs: list[Doc], names: set[str]) -> Iterator[tuple[Span, Span, bool]]:
    """A mention, a known name in it, and whether that is a mention too."""
    for doc in docs:
        gold = {(span.start, span.end) for span in doc.spans[KEY]}
        for span in {(s.start, s.end): s for s in doc.spans[KEY]}.values():
            for start, end in names_within(span, names, gold):
                yield span, doc[start:end], (start, end) in gold


def count(docs: list[Doc], names: set[str]) -> dict[str, Counter[bool]]:
    """Type of the outer mention -> how many names in it are mentions, and are not."""
    counts: dict[str, Counter[bool]] = {}
    for mention, _, annotated in places_of(docs, names):
        counts.setdefault(mention.label_, Counter())[annotated] += 1
    return counts


def agreement(docs: list[Doc], names: set[str]) -> tuple[int, float, float]:
    """Pairs of places with the same words, the share of them that are annotated alike,
    and kappa: how far that is beyond chance, from 0 to 1."""
    groups: dict[tuple[str, str], Counter[bool]] = {}
    for mention, name, annotated in places_of(docs, names):
        words = text_of(mention), text_of(name)
        groups.setdefault(words, Counter())[annotated] += 1
    alike = sum(pairs(n) for group in groups.values() for n in group.values())
    every = sum(pairs(group.total()) for group in groups.values())
    # How often a place of a pair is annotated: each place is in so many pairs.
    total: Counter[bool] = Counter()
    for group in groups.values():
        total.update({x: n * (group.total() - 1) for x, n in group.items()})
    chance = sum((n / total.total()) ** 2 for n in total.values())
    share = alike / every
    return every, share, (share - chance) / (1 - chance)


def pairs(n: int) -> int:
    return n * (n - 1) // 2


def record(split: str, metric: str, value: float, note: str) -> dict[str, Any]:
    return {
        "benchmark": NAME,
        "system": "gold",
        "corpus": "genia",
        "split": split,
        "metric": metric,
        "value": round(value, 2),
        "seed": None,
        "command": f"python benchmarks/{NAME}.py corpus/genia",
        "note": note,
    }


def make_records(docs: dict[str, list[Doc]]) -> Iterable[dict[str, Any]]:
    names = known_names(docs["train"])
    note = f"{len(names)} known names"
    for split, some in docs.items():
        counts = count(some, names)
        counts["all"] = sum(counts.values(), Counter())
        for label, tally in sorted(counts.items()):
            share = 100 * tally[True] / tally.total()
            yield record(split, f"names, in {label}", tally.total(), note)
            yield record(split, f"annotated, %, in {label}", share, note)
    every, share, kappa = agreement(
        [doc for some in docs.values() for doc in some], names
    )
    yield record("all", "pairs of places", every, note)
    yield record("all", "annotated alike, %", 100 * share, note)
    yield record("all", "kappa", kappa, note)


def main(folder: Path) -> None:
    splits = ("train", "dev", "test")
    records = list(make_records({s: read(folder / f"{s}.spacy") for s in splits}))
    for row in records:
        print(f"{row['split']:6} {row['metric']:28} {row['value']:9.2f}")
    save_records(NAME, records)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
