"""Spans that are nearly right: what the candidate filter learns to tell from gold.

Of a gold span: other borders nearby, spans inside and around it, its own words with
another label. Besides: a generator's mistakes where there are any, and random spans.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.util import registry

from ..layers.span_variants import variants

Rows = NDArray[np.int64]  # (spans, 3): start, end (exclusive) and label's number
OUTER = 6  # tokens by which an outer span may go beyond a gold span, on each side
RANDOM_WIDTH = 8


@dataclass(frozen=True)
class Text:
    """What is known of a document.

    gold (array): (gold, 3).
    known (array): (tokens,), False where nothing is annotated.
    word (array): (tokens,), False for white space.
    labels (int): How many labels there are to mistake one for another.
    candidates (array): (candidates, 3), what a generator found.
    """

    gold: Rows
    known: NDArray[np.bool_]
    word: NDArray[np.bool_]
    labels: int
    candidates: Rows


@dataclass(frozen=True)
class Sample:
    """Spans to learn from, each once, the gold ones first.

    spans (array): (spans, 3).
    anchor (array): (spans,), the number of the gold span that a span perturbs, its
        own for gold spans, -1 for none.
    gold (int): How many are gold.
    """

    spans: Rows
    anchor: NDArray[np.int64]
    gold: int


@registry.misc("spacy-bioner.SpanNegatives.v1")
def create_span_negatives(
    boundary: int = 12,
    window: int = 2,
    nested: int = 3,
    wrong_type: int = 2,
    random: int = 12,
    generator: bool = True,
) -> SpanNegatives:
    """Say how many negatives of each kind are drawn; 0 leaves a kind out.

    boundary (int): Of each gold span, spans whose borders are at most `window` tokens
        away: shifted, grown, shrunk.
    nested (int): Of each gold span, spans inside it and around it, at random.
    wrong_type (int): Of each gold span, the same words with another label.
    random (int): Of each document, spans of up to eight tokens.
    generator (bool): Whether candidates that are not gold are learnt from.
    """
    return SpanNegatives(boundary, window, nested, wrong_type, random, generator)


@dataclass(frozen=True)
class SpanNegatives:
    """Draws the spans that a document teaches."""

    boundary: int
    window: int
    nested: int
    wrong_type: int
    random: int
    generator: bool

    def __call__(self, text: Text, rng: np.random.Generator) -> Sample:
        """The document's gold spans and negatives for them.

        The same state of `rng` gives the same sample.
        """
        gold = np.unique(text.gold, axis=0)
        anchored = [
            _anchored(np.arange(len(gold)), gold),
            moved_borders(gold, self.boundary, self.window, text.word, rng),
            inner_and_outer(gold, self.nested, len(text.word), rng),
            other_labels(gold, self.wrong_type, text.labels, rng),
        ]
        free = [random_spans(self.random, len(text.word), text.labels, rng)]
        if self.generator:
            free.append(text.candidates)
        rows = np.concatenate([*anchored, _anchored(-1, np.concatenate(free))])
        rows = rows[_kept(rows, len(gold), text)]
        return Sample(rows[:, :3], rows[:, 3], len(gold))


def moved_borders(
    gold: Rows, count: int, window: int, word: NDArray, rng: np.random.Generator
) -> NDArray[np.int64]:
    """At most `count` spans nearby of each gold span.  # (spans, 4), anchor last"""
    places, valid = variants(gold, window, word)
    valid[:, 0] = False  # the span itself
    order = np.where(valid, rng.random(valid.shape), np.inf).argsort(axis=1)
    chosen = order[:, :count]
    which = np.arange(len(gold))[:, None]
    keep = valid[which, chosen]
    numbers = np.broadcast_to(which, chosen.shape)[keep]
    return _rows(places[which, chosen][keep], gold[numbers, 2], numbers)


def inner_and_outer(
    gold: Rows, count: int, size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """`count` spans of each gold span, half of them inside it, half around it, as the
    other span of a nest would be."""
    numbers = np.repeat(np.arange(len(gold)), count)
    start, end, label = gold[numbers].T
    first = rng.integers(start, end)
    inside = np.stack([first, rng.integers(first, end) + 1], axis=1)
    growth = rng.integers(0, OUTER + 1, size=(len(numbers), 2))
    around = np.stack([start - growth[:, 0], end + growth[:, 1]], axis=1)
    places = np.where(rng.random((len(numbers), 1)) < 0.5, inside, around)
    return _rows(np.clip(places, 0, size), label, numbers)


def other_labels(
    gold: Rows, count: int, labels: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """At most `count` labels of each gold span that are not its own."""
    order = rng.random((len(gold), labels)).argsort(axis=1)
    others = order[order != gold[:, 2:]].reshape(len(gold), max(labels - 1, 0))
    others = others[:, :count]
    numbers = np.repeat(np.arange(len(gold)), others.shape[1])
    return _rows(gold[numbers, :2], others.reshape(-1), numbers)


def random_spans(
    count: int, size: int, labels: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Any spans of up to eight tokens, with any label.  # (spans, 3)"""
    if not size or not labels:
        return np.zeros((0, 3), dtype="int64")
    start = rng.integers(0, size, count)
    end = np.minimum(start + rng.integers(1, RANDOM_WIDTH + 1, count), size)
    return np.stack([start, end, rng.integers(0, labels, count)], axis=1)


def simulate_candidates(text: Text, rng: np.random.Generator) -> Rows:
    """What a generator might have found: for tuning where none has run.

    Of ten gold spans one is missed, four have wrong borders and half a one a wrong
    label; for every four there is a span that is none.
    """
    gold = np.unique(text.gold, axis=0)
    moved = moved_borders(gold, 1, 2, text.word, rng)
    relabelled = other_labels(gold, 1, text.labels, rng)
    found, fate = gold.copy(), rng.random(len(gold))
    for low, high, rows in ((0.1, 0.5, moved), (0.5, 0.55, relabelled)):
        rows = rows[(fate[rows[:, 3]] >= low) & (fate[rows[:, 3]] < high)]
        found[rows[:, 3]] = rows[:, :3]
    invented = rng.poisson((len(gold) + 1) / 4)
    free = random_spans(invented, len(text.word), text.labels, rng)
    return np.unique(np.concatenate([found[fate >= 0.1], free]), axis=0)


def _rows(places: NDArray, labels: NDArray, anchors: NDArray) -> NDArray[np.int64]:
    return np.column_stack([places.reshape(-1, 2), labels, anchors]).astype("int64")


def _anchored(anchor: int | NDArray, spans: Rows) -> NDArray[np.int64]:
    return _rows(spans[:, :2], spans[:, 2], np.broadcast_to(anchor, len(spans)))


def _kept(rows: NDArray[np.int64], gold: int, text: Text) -> NDArray[np.int64]:
    """The numbers of the rows that teach: each span once, the first of equals, and
    no negative where nothing is annotated."""
    _, first = np.unique(rows[:, :3], axis=0, return_index=True)
    unknown = np.concatenate([[0], np.cumsum(~text.known)])
    clear = unknown[rows[:, 1]] == unknown[rows[:, 0]]
    first = first[clear[first] | (first < gold)]
    return np.sort(first)
