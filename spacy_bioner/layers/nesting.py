"""From a table of span scores to spans: which are candidates, which are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from ..words import is_word
from .paragraphs import find_breaks
from .span_loss import sigmoid

# Columns start, end (exclusive) and label of each span, and their probabilities.
Found = tuple[NDArray[np.int64], NDArray[np.float32]]


def candidate_mask(doc: Doc, max_width: int, in_sentences: bool) -> NDArray[np.bool_]:
    """Which spans of at most `max_width` tokens may be entities.

    None leaves the text, reaches over an empty line or into the next item of a list,
    begins or ends with white space or, where sentences are known and `in_sentences`,
    crosses their borders.

    RETURNS (array): (tokens, max_width); `[i, w]` is the span of w + 1 tokens from i.
    """
    n = len(doc)
    ends = np.full(n, n)  # where the sentence of each token ends
    if in_sentences and doc.has_annotation("SENT_START"):
        starts = np.flatnonzero(doc.to_array("SENT_START") == 1)
        borders = np.union1d(starts, [0, n])
        ends = np.repeat(borders[1:], np.diff(borders))
    word = is_word(doc)
    rows = np.flatnonzero(word)
    if len(rows) < n:
        firsts = [int(rows[first]) for first, _ in find_breaks(doc, rows)]
        borders = np.union1d(firsts, [0, n]).astype("int64")
        ends = np.minimum(ends, np.repeat(borders[1:], np.diff(borders)))
    last = np.arange(n)[:, None] + np.arange(max_width)  # (tokens, max_width)
    return (last < ends[:, None]) & word[:, None] & word[np.minimum(last, n - 1)]


def decode_table(
    logits: NDArray[np.float32],
    mask: NDArray[np.bool_],
    thresholds: Sequence[float],
    temperature: float,
    max_positive: int | None = None,
) -> Found:
    """The spans that are likely enough, of crossing ones the likelier.

    logits (array): (tokens, widths, labels).
    mask (array): (tokens, widths), as of `candidate_mask`.
    thresholds (sequence): The least probability of each label.
    temperature (float): Divides the logits, so that probabilities are calibrated.
    max_positive (int): At most so many labels a span, the likeliest.
    RETURNS (tuple): In text order, outer spans first.
    """
    start, width = np.nonzero(mask)
    scores = sigmoid(logits[start, width] / temperature)  # (spans, labels)
    keep = scores >= np.asarray(thresholds, dtype="float32")
    if max_positive is not None:  # a label under its threshold is no rival
        likely = np.where(keep, -scores, 1.0)
        ranks = np.argsort(np.argsort(likely, axis=1, kind="stable"), axis=1)
        keep &= ranks < max_positive
    row, label = np.nonzero(keep)
    spans = np.stack([start[row], start[row] + width[row] + 1, label], axis=1)
    found = scores[row, label]
    order = np.lexsort((label, -spans[:, 1], spans[:, 0]))
    spans, found = spans[order], found[order]
    free = without_crossings(spans, found)
    return spans[free], found[free]


def without_crossings(
    spans: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Keep spans best first, leaving out those that cross a kept one.

    Spans cross when they overlap and neither holds the other.

    spans (array): (spans, 2 or more), sorted by start.
    RETURNS (array): Whether each is kept.
    """
    keep = np.ones(len(spans), dtype=bool)
    rivals: dict[int, list[int]] = {}
    for left, right in _crossings(spans[:, 0], spans[:, 1]):
        rivals.setdefault(left, []).append(right)
        rivals.setdefault(right, []).append(left)
    decided: set[int] = set()
    for i in sorted(rivals, key=lambda i: (-scores[i], i)):
        keep[i] = not any(keep[j] for j in rivals[i] if j in decided)
        decided.add(i)
    return keep


def _crossings(
    start: NDArray[np.int64], end: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Pairs that cross, compared with the next span, the next but one, and so on
    until none overlaps: its start is then past every end."""
    reach = np.searchsorted(start, end, side="left")  # the first span after each
    for step in range(1, int((reach - np.arange(len(start))).max(initial=0))):
        left = np.flatnonzero(np.arange(len(start)) + step < reach)
        right = left + step
        cross = (start[left] < start[right]) & (end[left] < end[right])
        yield from zip(left[cross].tolist(), right[cross].tolist(), strict=True)
