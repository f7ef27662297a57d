"""Exact and relaxed scores of filtered spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry

from .gold import Place, only_known


@dataclass
class Counts:
    """Exact: the same characters and label. Relaxed: a character and the label in
    common; precision counts what was found, recall what was to be found."""

    exact: PRFScore = field(default_factory=PRFScore)
    found: list[int] = field(default_factory=lambda: [0, 0])  # touching gold, all
    gold: list[int] = field(default_factory=lambda: [0, 0])  # touched, all

    def add(self, found: set[Place], gold: set[Place]) -> None:
        """Count one document."""
        self.exact.score_set(found, gold)
        for counts, own, others in (self.found, found, gold), (self.gold, gold, found):
            counts[0] += sum(any(_touch(a, b) for b in others) for a in own)
            counts[1] += len(own)

    def relaxed(self) -> dict[str, float]:
        """Precision, recall and F; 0 where there is nothing to count."""
        p, r = (hit / max(total, 1) for hit, total in (self.found, self.gold))
        return {"p": p, "r": r, "f": 2 * p * r / max(p + r, 1e-12)}


@registry.scorers("spacy-bioner.filter_scorer.v1")
def make_filter_scorer() -> Callable:
    """The scorer of `candidate_filter`."""
    return score_filtered


def score_filtered(
    examples: Iterable[Example], *, spans_key: str, gold_key: str, **_: Any
) -> dict[str, Any]:
    """Score `doc.spans[spans_key]` against the reference's `doc.spans[gold_key]` or,
    where it lacks that, its `doc.ents`.

    RETURNS (dict): spans_KEY_p, _r, _f and _per_type by exact characters and label,
        and spans_KEY_relaxed_p, _r, _f; None where no document is annotated.
    """
    overall, annotated = Counts(), False
    per_type: dict[str, Counts] = defaultdict(Counts)
    for example in examples:
        gold = gold_places(example.reference, gold_key)
        if gold is None:
            continue
        annotated = True
        found = places(example.predicted.spans.get(spans_key, ()))
        if gold_key not in example.reference.spans:
            found = only_known(found, gold, example.reference)
        overall.add(found, gold)
        for label in {place[2] for place in gold | found}:
            per_type[label].add(_only(found, label), _only(gold, label))
    values = {
        "p": overall.exact.precision,
        "r": overall.exact.recall,
        "f": overall.exact.fscore,
        "per_type": {k: v.exact.to_dict() for k, v in sorted(per_type.items())},
        **{f"relaxed_{k}": v for k, v in overall.relaxed().items()},
    }
    return {
        f"spans_{spans_key}_{k}": v if annotated else None for k, v in values.items()
    }


def gold_places(reference: Doc, key: str) -> set[Place] | None:
    """Where a reference's gold spans are; None if it is not annotated."""
    if key in reference.spans:
        return places(reference.spans[key])
    return places(reference.ents) if reference.has_annotation("ENT_IOB") else None


def places(spans: Iterable[Span]) -> set[Place]:
    """By characters, so that tokens may differ."""
    return {(span.start_char, span.end_char, span.label_) for span in spans}


def _touch(a: Place, b: Place) -> bool:
    return a[2] == b[2] and a[0] < b[1] and b[0] < a[1]


def _only(spans: set[Place], label: str) -> set[Place]:
    return {span for span in spans if span[2] == label}
