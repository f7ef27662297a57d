"""Cut a long sequence of word pieces into overlapping windows; lose nothing.

Both forms of a pipeline use this: the torch encoder and the compiled graph see the
same windows, and every token is read in exactly one of them, the one that gives it
the most context.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass
class Window:
    """One call of the encoder on one stretch of one document.

    start, stop (int): The stretch, in word pieces without special tokens.
    tokens (array): The document's tokens that are read here.
    rows (array): Where each is read, in pieces from `start`; -1 for a token
        without pieces, which is read at the window's first special token.
    """

    start: int
    stop: int
    tokens: NDArray[np.int64]
    rows: NDArray[np.int64]


def first_pieces(
    token_starts: NDArray[np.int64],
    token_ends: NDArray[np.int64],
    piece_starts: NDArray[np.int64],
    piece_ends: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The first word piece that touches each token, by character offsets.

    RETURNS (array): Piece numbers; -1 where no piece does.  # (tokens,)
    """
    if not len(piece_starts):
        return np.full(len(token_starts), -1, dtype="int64")
    first = np.searchsorted(piece_ends, token_starts, side="right")
    safe = np.minimum(first, len(piece_starts) - 1)
    touches = (first < len(piece_starts)) & (piece_starts[safe] < token_ends)
    return np.where(touches, first, -1)


def cut_windows(
    n_pieces: int, first: NDArray[np.int64], length: int, overlap: int
) -> list[Window]:
    """Windows of at most `length` pieces that overlap by at least `overlap`.

    The windows share the text evenly, so the last is as long as the others. A token
    belongs to the window whose middle is nearest to it.

    first (array): From `first_pieces`.
    RETURNS (list): At least one window, if there is a token at all; together they
        hold every token once.
    """
    n_tokens = len(first)
    if not n_tokens:
        return []
    if n_pieces <= length:
        return [Window(0, n_pieces, np.arange(n_tokens), first)]
    count = -(-(n_pieces - overlap) // (length - overlap))
    size = min(length, -(-(n_pieces + (count - 1) * overlap) // count))
    starts = np.round(np.linspace(0, n_pieces - size, count)).astype("int64")
    # Border between neighbours: the middle of what they share.
    borders = (starts[1:] + starts[:-1] + size) // 2
    ends = [*np.searchsorted(_fill_forward(first), borders).tolist(), n_tokens]
    windows, token = [], 0
    for start, end in zip(starts.tolist(), ends, strict=True):
        own = first[token:end]
        rows = np.where(own < 0, -1, own - start)
        windows.append(Window(start, start + size, np.arange(token, end), rows))
        token = end
    return windows


def _fill_forward(first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give a token without pieces the place of the token before it."""
    return np.maximum.accumulate(np.maximum(first, 0))
