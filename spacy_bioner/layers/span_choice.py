"""Which spans stand for candidates in the end: of each its best-scoring variant, and of
spans that overlap the likelier."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Span

from ..spans import best_first
from .nesting import without_crossings

OVERLAPS = ("flat", "nested", "all")
Rows = NDArray[np.int64]  # (spans, 3): start, end (exclusive) and label's number
# Spans in text order, outer ones first; their probabilities; which are repaired.
Choice = tuple[Rows, NDArray[np.float32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Judged:
    """A document's candidates and the scores of their variants.

    labels (list): The names that the numbers in `candidates` stand for.
    candidates (array): (candidates, 3), start, end (exclusive) and label, each once.
    places (array): (candidates, variants, 2); the candidate itself is the first.
    logits (array): (candidates, variants), -inf where there is no such span.
    """

    labels: list[str]
    candidates: Rows
    places: NDArray[np.int64]
    logits: NDArray[np.float32]

    def best(self) -> tuple[Rows, NDArray[np.float32], NDArray[np.bool_]]:
        """The variant that stands for each candidate: the span (candidates, 3), its
        logit, and whether it is another than the candidate."""
        chosen = self.logits.argmax(axis=1)  # of equals the first: the candidate
        row = np.arange(len(self.candidates))
        places = self.places[row, chosen]
        spans = np.column_stack([places, self.candidates[:, 2]])
        return spans, self.logits[row, chosen], chosen > 0


def rows_of(spans: Iterable[Span], numbers: dict[str, int]) -> Rows:
    """Spans as numbers, each once, empty ones left out.

    numbers (dict): Label to number; those that are new are added.
    """
    rows = [
        (span.start, span.end, numbers.setdefault(span.label_, len(numbers)))
        for span in spans
        if len(span)
    ]
    return np.unique(np.array(rows, dtype="int64").reshape(-1, 3), axis=0)


def unique_variants(
    candidates: Rows, places: NDArray[np.int64], valid: NDArray[np.bool_]
) -> tuple[Rows, NDArray[np.int64]]:
    """The spans to score: those that are variants of several candidates once.

    places, valid (arrays): Of `variants`.
    RETURNS (tuple): (spans, 3), and of each valid variant the number of its span.
    """
    labels = np.broadcast_to(candidates[:, None, 2:], (*valid.shape, 1))
    spans = np.concatenate([places, labels], axis=2)[valid]
    once, inverse = np.unique(spans, axis=0, return_inverse=True)
    return once, inverse.reshape(-1)


def choose(
    judged: Judged,
    probabilities: Callable[[NDArray], NDArray],
    threshold: float,
    overlap: str,
) -> Choice:
    """The spans that are kept.

    probabilities (callable): Of logits.
    threshold (float): The least probability of a span that is kept.
    overlap (str): One of OVERLAPS.
    """
    spans, logits, repaired = judged.best()
    scores = probabilities(logits).astype("float32")
    # where a repaired span is a candidate as well, that one stands for both
    order = np.lexsort((repaired, spans[:, 2], -spans[:, 1], spans[:, 0]))
    order = order[scores[order] >= threshold]
    spans, scores, repaired = spans[order], scores[order], repaired[order]
    new = np.ones(len(spans), dtype=bool)
    new[1:] = (spans[1:] != spans[:-1]).any(axis=1)
    spans, scores, repaired = spans[new], scores[new], repaired[new]
    free = without_overlaps(spans, scores, overlap)
    return spans[free], scores[free], repaired[free]


def without_overlaps(
    spans: Rows, scores: NDArray[np.float32], overlap: str
) -> NDArray[np.bool_]:
    """Which spans stay.

    spans (array): In text order, outer ones first.
    """
    if overlap == "nested":
        return without_crossings(spans, scores)
    keep = np.ones(len(spans), dtype=bool)
    if overlap == "flat":
        keep[:] = False
        keep[best_first(spans[:, :2].tolist(), scores.tolist())] = True
    return keep
