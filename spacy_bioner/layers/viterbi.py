"""Exact best BIO paths under hard constraints, without learned transitions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
    """Viterbi over a padded batch.

    BIO spares the full table of transitions: O and B follow whatever scores best, I
    follows only the B or I of its own label.
    """
    lengths = np.array([len(x) for x in scores])
    n_docs, n_steps, n = len(scores), int(lengths.max()), scores[0].shape[1]
    padded = np.zeros((n_steps, n_docs, n))  # (tokens, docs, tags)
    for i, x in enumerate(scores):
        padded[: len(x), i] = x
    top = np.zeros((n_steps, n_docs), dtype="int64")  # the best tag so far
    stays = np.zeros((n_steps, n_docs, n // 2), dtype=bool)  # I after I, not after B
    final = np.zeros((n_docs, n))
    best = padded[0].copy()
    best[:, 2::2] = -np.inf  # nothing begins with I
    docs = np.arange(n_docs)
    for t in range(1, n_steps):
        final[lengths == t] = best[lengths == t]
        top[t] = best.argmax(axis=1)
        begun, inside = best[:, 1::2], best[:, 2::2]  # (docs, labels)
        stays[t] = inside > begun
        goes_on = np.maximum(begun, inside)
        best = np.repeat(best[docs, top[t]][:, None], n, axis=1)
        best[:, 2::2] = goes_on
        best += padded[t]
    final[lengths == n_steps] = best[lengths == n_steps]
    paths = np.zeros((n_docs, n_steps), dtype="int64")
    tag = final.argmax(axis=1)
    for t in range(n_steps - 1, -1, -1):
        paths[:, t] = tag
        if t:
            is_inside = (tag > 0) & (tag % 2 == 0)
            label = np.maximum(tag - 1, 0) // 2
            after = 2 * label + 1 + stays[t, docs, np.minimum(label, n // 2 - 1)]
            back = np.where(is_inside, after, top[t])
            tag = np.where(t < lengths, back, tag)
    return [paths[i, :length] for i, length in enumerate(lengths)]
