"""Exact best BIO paths under hard constraints, without learned transitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_GROWTH = 8


def best_paths(scores: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
    """The best valid path through each sequence of tag scores.

    The highest tag at every token is the best path of all wherever it breaks no
    rule, which is nearly everywhere; only the runs around a broken rule pay for the
    search.

    scores (list of arrays): Log probabilities, or logits.  # (tokens, tags) each
    RETURNS (list of arrays): Tags.  # (tokens,) each
    """
    if not sum(map(len, scores)):
        return [np.zeros(0, dtype="int64") for _ in scores]
    ends = np.cumsum([len(x) for x in scores])
    row = np.concatenate(scores).argmax(axis=1)  # all sequences, one after the other
    paths = np.split(row, ends[:-1])
    inside = (row > 0) & (row % 2 == 0)
    kind = (row - 1) // 2
    previous = np.concatenate([[-1], kind[:-1]])
    previous[ends[:-1][ends[:-1] < len(row)]] = -1
    broken = np.nonzero(inside & (kind != previous))[0]
    owner = np.searchsorted(ends, broken, side="right")  # of each broken token
    for i in np.unique(owner):
        tokens = broken[owner == i]
        start = int(ends[i]) - len(scores[i])
        paths[i] = _mend(scores[i], paths[i], tokens - start)
    return paths


def _mend(
    scores: NDArray[np.float32], path: NDArray[np.int64], broken: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Search the runs of a path around its broken tokens: from the last O or B before
    one to the next. A run that could be better if it went on from what comes before is
    grown to the left; one that grows too far is no run.

    broken (array): The tokens whose I continues no entity of its own label.
    """
    is_cut = (path == 0) | (path % 2 == 1)
    cuts = np.append(np.union1d([0], np.nonzero(is_cut)[0]), len(path))
    first = np.searchsorted(cuts, broken, side="right") - 1  # of each run, in cuts
    runs = _merge((i, i + 1) for i in first.tolist())
    for _ in range(MOST_GROWTH):
        places = [slice(cuts[i], cuts[j]) for i, j in runs]
        found = _search([scores[place] for place in places])
        stands = [
            i == 0 or _may_begin(scores[place], best)
            for (i, _), place, best in zip(runs, places, found, strict=True)
        ]
        if all(stands):
            path = path.copy()
            for place, best in zip(places, found, strict=True):
                path[place] = best
            return path
        grown = zip(runs, stands, strict=True)
        runs = _merge((i if ok else i - 1, j) for (i, j), ok in grown)
    return _search([scores])[0]


def _merge(runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Overlapping runs as one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(runs):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


def _may_begin(scores: NDArray[np.float32], path: NDArray[np.int64]) -> bool:
    """Whether no path through a run could be better for an I at its first token, so
    that the run needs to know nothing of what comes before it.

    Such a path loses at least what the best I there is behind the best other tag; the
    run's own best path may have lost no more than that in all.
    """
    lost = scores.max(axis=1).sum() - scores[np.arange(len(path)), path].sum()
    inside = scores[0, 2::2].max(initial=-np.inf)
    return lost <= max(scores[0, 0], scores[0, 1::2].max(initial=-np.inf)) - inside


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
