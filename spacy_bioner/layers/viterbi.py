"""Exact best BIO paths under hard constraints, without learned transitions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

MOST_GROWTH = 8


def best_path(
    scores: NDArray[np.float32], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The best valid path through each sequence of tag scores, one after another in
    one row.

    The highest tag at every token is the best path of all wherever it breaks no
    rule, which is nearly everywhere; only the runs around a broken rule pay for the
    search.

    scores (array): Log probabilities, or logits.  # (tokens, tags)
    ends (array): Where each sequence ends.
    RETURNS (array): (tokens,)
    """
    path = scores.argmax(axis=1)
    begins = np.zeros(len(path) + 1, dtype=bool)
    begins[0] = True
    begins[ends] = True
    inside = (path > 0) & (path % 2 == 0)
    kind = (path - 1) // 2
    previous = np.concatenate([[-1], kind[:-1]])
    broken = np.nonzero(inside & (begins[:-1] | (kind != previous)))[0]
    if len(broken):
        _mend(scores, path, broken, begins)
    return path


def _mend(scores, path, broken, begins) -> None:
    """Search the runs of a path around its broken tokens: from the last O or B before
    one to the next. A run that could be better if it went on from what comes before is
    grown to the left; one that grows too far begins where its sequence does.

    path (array): Changed in place.  # (tokens,)
    broken (array): The tokens whose I continues no entity of its own label.
    begins (array): Where a sequence begins, or all end.  # (tokens + 1,)
    """
    is_cut = begins.copy()
    is_cut[:-1] |= (path == 0) | (path % 2 == 1)
    cuts = np.nonzero(is_cut)[0]
    first = np.searchsorted(cuts, broken, side="right") - 1  # of each run, in cuts
    waiting = _merge((i, i + 1) for i in np.unique(first).tolist())
    done: list[tuple[int, int]] = []
    for growth in range(MOST_GROWTH + 1):
        places = [slice(cuts[i], cuts[j]) for i, j in waiting]
        found = _search([scores[place] for place in places])
        grown = []
        for (i, j), place, best in zip(waiting, places, found, strict=True):
            if begins[place.start] or _may_begin(scores[place], best):
                path[place] = best
                done.append((i, j))
            elif growth < MOST_GROWTH - 1:
                grown.append((i - 1, j))
            else:
                start = np.nonzero(begins[: place.start])[0][-1]
                grown.append((int(np.searchsorted(cuts, start)), j))
        if not grown:
            return
        settled = set(done)
        waiting = [run for run in _merge([*done, *grown]) if run not in settled]


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
