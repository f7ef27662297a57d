"""The spans around a span: what its borders could have been."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shifts(window: int) -> NDArray[np.int64]:
    """How far start and end may move, by at most `window` tokens each.

    RETURNS (array): (variants, 2); the first is (0, 0), then the nearest first.
    """
    steps = np.arange(-window, window + 1)
    pairs = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    return pairs[np.argsort(np.abs(pairs).sum(axis=1), kind="stable")]


def variants(
    spans: NDArray[np.int64], window: int, word: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """All spans whose borders are at most `window` tokens from a span's own.

    spans (array): (spans, 2), start and end (exclusive) in tokens.
    word (array): (tokens,), False for white space, where no other span begins or ends.
    RETURNS (tuple): (spans, variants, 2), a span itself first; and which of them are
        spans of the text that overlap it, (spans, variants). The span itself always
        is; what is not must not be looked up.
    """
    moved = spans[:, None, :2] + shifts(window)  # (spans, variants, 2)
    start, end = moved[..., 0], moved[..., 1]
    n = len(word)
    valid = (start >= 0) & (end <= n) & (start < end)
    valid &= (start < spans[:, None, 1]) & (end > spans[:, None, 0])
    if n:
        valid &= word[np.clip(start, 0, n - 1)] & word[np.clip(end - 1, 0, n - 1)]
    valid[:, 0] = True
    return moved, valid
