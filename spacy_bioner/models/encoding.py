"""From a document to an encoder's input: word pieces, word shapes and windows.

Both forms of a pipeline, the torch encoder and the compiled graph, use this, so they
read the same pieces in the same windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc
from tokenizers import Tokenizer

from ..layers.windows import Window, cut_windows, first_pieces
from ..shapes import piece_shapes


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
    pieces = tokenizer.encode(doc.text, add_special_tokens=False)
    offsets = np.array(pieces.offsets, dtype="int64").reshape(-1, 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    tokens = doc.to_array([IDX, LENGTH]).astype("int64").reshape(-1, 2)
    first = first_pieces(tokens[:, 0], tokens.sum(axis=1), starts, ends)
    return Encoded(
        np.array(pieces.ids, dtype="int64"),
        piece_shapes(doc.text, starts, ends),
        cut_windows(len(offsets), first, window - 2, overlap),
    )
