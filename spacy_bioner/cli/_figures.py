"""Counts of spans found and missed, and what is made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from spacy.scorer import PRFScore

BINS = 10
Place = tuple[int, int, str]  # first character, end (exclusive), label
Spans = set[Place]


@dataclass
class Figures:
    """Precision, recall and F, overall and by type."""

    overall: PRFScore = field(default_factory=PRFScore)
    per_type: dict[str, PRFScore] = field(default_factory=lambda: defaultdict(PRFScore))

    def add(self, found: Spans, gold: Spans) -> None:
        """Count one document."""
        self.overall.score_set(found, gold)
        for label in {label for *_, label in found | gold}:
            self.per_type[label].score_set(only(found, {label}), only(gold, {label}))

    def to_json(self) -> dict[str, Any]:
        """Shares, and the counts behind the overall ones."""
        counts = {
            "gold": self.overall.tp + self.overall.fn,
            "found": self.overall.tp + self.overall.fp,
            "correct": self.overall.tp,
        }
        per_type = {k: v.to_dict() for k, v in sorted(self.per_type.items())}
        return {**self.overall.to_dict(), **counts, "per_type": per_type}


def place_of(span: Any) -> Place:
    """Where a span is, and what."""
    return span.start_char, span.end_char, span.label_


def only(spans: Iterable[Place], labels: Iterable[str]) -> Spans:
    """Those with one of the labels."""
    return {span for span in spans if span[2] in labels}


def calibration_error(scored: list[tuple[float, bool]]) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015): how far scores are from
    the share of correct spans, averaged over the spans in bins of equal width."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for score, correct in scored:
        bins[min(int(score * BINS), BINS - 1)].append((score, correct))
    gaps = (abs(sum(score - right for score, right in bin_)) for bin_ in bins.values())
    return sum(gaps) / max(len(scored), 1)
