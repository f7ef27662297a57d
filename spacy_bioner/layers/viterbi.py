"""Exact best BIO paths under hard constraints, without learned transitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def forbidden(n_tags: int) -> NDArray[np.bool_]:
    """What BIO forbids: I-X after anything but B-X or I-X.

    RETURNS (array): True where `previous -> next` may not be.  # (tags, tags)
    """
    tags = np.arange(n_tags)
    inside = (tags > 0) & (tags % 2 == 0)
    return inside & ((tags[:, None] - 1) // 2 != (tags - 1) // 2)


def best_paths(scores: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """The best valid path through each sequence of tag scores.

    The highest tag at every token is the best path of all wherever it breaks no
    rule, which is nearly everywhere; only the other sequences pay for the search.

    scores (list of arrays): Log probabilities, or logits.  # (tokens, tags) each
    RETURNS (list of arrays): Tags.  # (tokens,) each
    """
    paths = [np.asarray(x.argmax(axis=1)) for x in scores]
    broken = [i for i, path in enumerate(paths) if not is_valid(path)]
    if broken:
        for i, path in zip(broken, _search([scores[i] for i in broken]), strict=True):
            paths[i] = path
    return paths


def is_valid(path: NDArray[np.int64]) -> bool:
    """Whether every I continues an entity of its own label."""
    inside = (path > 0) & (path % 2 == 0)
    kind = (path - 1) // 2
    previous = np.concatenate([[-1], kind[:-1]])
    return not (inside & (kind != previous)).any()


def _search(scores: list[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """Viterbi over a padded batch; padding repeats the last column's best tag."""
    lengths = np.array([len(x) for x in scores])
    n_docs, n_steps, n = len(scores), int(lengths.max()), scores[0].shape[1]
    padded = np.zeros((n_steps, n_docs, n), dtype="float64")  # (tokens, docs, tags)
    for i, x in enumerate(scores):
        padded[: len(x), i] = x
    bans = forbidden(n)
    cost = np.where(bans, -np.inf, 0.0)  # (previous, next)
    # Sentence start behaves like an O before the first token.
    best = padded[0] + cost[0]  # (docs, tags)
    back = np.zeros((n_steps, n_docs, n), dtype="int16")
    final = np.zeros((n_docs, n))
    final[lengths == 1] = best[lengths == 1]
    for t in range(1, n_steps):
        through = best[:, :, None] + cost  # (docs, previous, next)
        back[t] = through.argmax(axis=1)
        best = through.max(axis=1) + padded[t]
        final[lengths == t + 1] = best[lengths == t + 1]
    paths = np.zeros((n_docs, n_steps), dtype="int64")
    tag = np.zeros(n_docs, dtype="int64")
    rows = np.arange(n_docs)
    for t in range(n_steps - 1, -1, -1):
        ends_here = lengths == t + 1
        tag = np.where(ends_here, final.argmax(axis=1), tag)
        paths[:, t] = tag
        if t:
            inside = t < lengths
            tag = np.where(inside, back[t, rows, tag], tag)
    return [paths[i, :length] for i, length in enumerate(lengths)]
