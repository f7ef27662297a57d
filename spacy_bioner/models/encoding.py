"""From a document to an encoder's input: word pieces, word shapes and windows.

Both forms of a pipeline, the torch encoder and the compiled graph, use this, so they
read the same pieces in the same windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc
from tokenizers import Tokenizer

from ..layers.windows import Window, cut_windows, first_pieces
from ..shapes import piece_shapes

STRETCH = 50_000  # characters


@dataclass
class Encoded:
    """The word pieces of one document and its windows."""

    ids: NDArray[np.int64]  # (pieces,)
    shapes: NDArray[np.int64]  # (pieces,)
    windows: list[Window]


def uncut(tokenizer: Tokenizer) -> Tokenizer:
    """Forbid a tokenizer to truncate or pad, as its file may ask; changed in place."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode(tokenizer: Tokenizer, doc: Doc, window: int, overlap: int) -> Encoded:
    """Cut a document into word pieces and windows.

    tokenizer (Tokenizer): One that is `uncut`.
    window, overlap (int): Length of a window with its two special tokens, and what
        neighbours share, in word pieces.
    """
    parts = [_cut(tokenizer, *stretch) for stretch in _stretches(doc.text)]
    ids, shapes, starts, ends = (np.concatenate(x) for x in zip(*parts, strict=True))
    tokens = doc.to_array([IDX, LENGTH]).astype("int64").reshape(-1, 2)
    first = first_pieces(tokens[:, 0], tokens.sum(axis=1), starts, ends)
    return Encoded(ids, shapes, cut_windows(len(ids), first, window - 2, overlap))


def _cut(tokenizer: Tokenizer, place: int, text: str) -> tuple[NDArray[np.int64], ...]:
    """The pieces of a stretch of text: ids, shapes, starts and ends."""
    pieces = tokenizer.encode(text, add_special_tokens=False)
    offsets = np.array(pieces.offsets, dtype="int64").reshape(-1, 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    shapes = piece_shapes(text, starts, ends)
    return np.array(pieces.ids, dtype="int64"), shapes, starts + place, ends + place


def _stretches(text: str) -> Iterator[tuple[int, str]]:
    """A long text in parts, each with its place: a tokenizer needs hundreds of bytes a
    character. A part ends before a space, where no word piece can be cut."""
    start = 0
    while len(text) - start > STRETCH:
        end = text.rfind(" ", start + 1, start + STRETCH)
        end = end if end > 0 else text.find(" ", start + STRETCH)
        if end < 0:
            break
        yield start, text[start:end]
        start = end
    yield start, text[start:]


def frame(
    encoded: Encoded, window: Window, first: int, last: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A window's ids and shapes between special tokens.  # (pieces + 2,) each"""
    ids, shapes = np.zeros((2, window.stop - window.start + 2), dtype="int64")
    ids[0], ids[-1] = first, last
    ids[1:-1] = encoded.ids[window.start : window.stop]
    shapes[1:-1] = encoded.shapes[window.start : window.stop]
    return ids, shapes
