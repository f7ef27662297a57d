"""From tag scores to spans with probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from .. import tags
from ..words import is_word
from .viterbi import best_path

Logits = NDArray[np.float32]  # (tokens, tags)
ScoredSpan = tuple[int, int, str, float]  # start, end (exclusive), label, probability


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log probabilities over the last axis."""
    top = logits - logits.max(axis=-1, keepdims=True)
    return top - np.log(np.exp(top).sum(axis=-1, keepdims=True))


def word_rows(doc: Doc) -> NDArray[np.int64]:
    """The tokens that are words, (words,). An encoder has no word piece for white space
    or what nobody sees, so what it says of such a token is about nothing."""
    return np.flatnonzero(is_word(doc))


def of_words(logits: Logits, rows: NDArray[np.int64]) -> Logits:
    """The rows of a document's words; what has no other is not copied."""
    return logits if len(rows) == len(logits) else logits[rows]


def on_tokens(spans: Iterable[ScoredSpan], rows: NDArray[np.int64]) -> list[ScoredSpan]:
    """Spans of words as spans of tokens: what white space is between is inside."""
    return [
        (int(rows[start]), int(rows[end - 1]) + 1, label, score)
        for start, end, label, score in spans
    ]


def decode_spans(
    logits: Sequence[NDArray[np.float32]], labels: Sequence[str], temperature: float
) -> list[list[ScoredSpan]]:
    """The best valid spans of each document under one head.

    logits (list of arrays): (tokens, tags) each.
    temperature (float): Divides the logits, so that probabilities are calibrated.
    RETURNS (list): For each document its spans in order. A span's probability is
        that of its least certain tag, the end (no I after it) included.
    """
    found: list[list[ScoredSpan]] = [[] for _ in logits]
    if not sum(map(len, logits)):
        return found
    # All documents' tokens; a long one alone is not copied.
    row = np.concatenate(logits) if len(logits) > 1 else logits[0]
    ends = np.cumsum([len(x) for x in logits])  # of each document
    path = best_path(row, ends)
    spans = tags.decode(path, labels)  # a valid path begins every document anew
    if not spans:
        return found
    probs = _probabilities(spans, path, row, temperature, ends)
    places = np.searchsorted(ends, [span[0] for span in spans], side="right")
    for i, (start, end, label), prob in zip(places, spans, probs, strict=True):
        before = int(ends[i]) - len(logits[i])
        found[i].append((start - before, end - before, label, prob))
    return found


def _probabilities(spans, path, logits, temperature, doc_ends) -> list[float]:
    """Spans of one row of tokens, a document after the other. Only the tokens in and
    behind spans are looked at: most are neither."""
    starts, ends = np.array([span[:2] for span in spans]).T
    (inside,) = np.nonzero(path)
    probs = np.exp(log_softmax(logits[inside] / temperature))  # (tokens, tags)
    chosen = np.ones(len(path) + 1, dtype=probs.dtype)
    chosen[inside] = probs[np.arange(len(inside)), path[inside]]
    borders = np.stack([starts, ends], axis=1).ravel()
    inner = np.minimum.reduceat(chosen, borders)[::2]  # (spans,)
    behind = logits[np.minimum(ends, len(path) - 1)]
    probs = np.exp(log_softmax(behind / temperature))  # (spans, tags)
    goes_on = path[starts] + 1  # the I after a B
    stops = 1.0 - probs[np.arange(len(ends)), goes_on]
    stops[np.isin(ends, doc_ends)] = 1.0  # nothing follows there
    return np.minimum(inner, stops).tolist()


def average_label(
    parts: Sequence[tuple[NDArray[np.float32], Sequence[str], float]], label: str
) -> NDArray[np.float32]:
    """Several heads' opinion of one label, as tag scores for that label alone.

    parts (list): (logits, labels, temperature) of each head that knows the label.
    RETURNS (array): Mean log probabilities of O, B and I.  # (tokens, 3)
    """
    total = np.zeros((len(parts[0][0]), 3), dtype="float32")
    for logits, labels, temperature in parts:
        probs = np.exp(log_softmax(logits / temperature))
        k = 2 * list(labels).index(label) + 1
        begin, inside = probs[:, k], probs[:, k + 1]
        rest = np.maximum(1.0 - begin - inside, 1e-9)
        total = total + np.log(np.stack([rest, begin, inside], axis=1) + 1e-9)
    return total / len(parts)
