"""From a document to an encoder's input: word pieces, word shapes and windows.

Both forms of a pipeline, the torch encoder and the compiled graph, use this, so they
read the same pieces in the same windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from spacy.attrs import IDX, LENGTH
from spacy.tokens import Doc
from tokenizers import Tokenizer

from ..layers.windows import Window, cut_windows, first_pieces
from ..shapes import piece_shapes

STRETCH = 50_000  # characters
TOGETHER = 4_000  # characters


# The pieces of a stretch of text: ids, shapes, starts and ends.  # (pieces,) each
Cut = tuple[NDArray[np.int64], ...]


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
    return next(encode_all(tokenizer, [doc], window, overlap))


def encode_all(
    tokenizer: Tokenizer, docs: Sequence[Doc], window: int, overlap: int
) -> Iterator[Encoded]:
    """The same for each of many documents, faster: short ones are read together."""
    stretches = [list(_stretches(doc.text)) for doc in docs]
    cut = _cut(tokenizer, chain.from_iterable(stretches))
    for doc, own in zip(docs, stretches, strict=True):
        parts = [next(cut) for _ in own]
        columns = (np.concatenate(x) for x in zip(*parts, strict=True))
        ids, shapes, starts, ends = columns
        tokens = doc.to_array([IDX, LENGTH]).astype("int64").reshape(-1, 2)
        first = first_pieces(tokens[:, 0], tokens.sum(axis=1), starts, ends)
        windows = cut_windows(len(ids), first, window - 2, overlap)
        yield Encoded(ids, shapes, windows)


def _cut(tokenizer: Tokenizer, stretches: Iterable[tuple[int, str]]) -> Iterator[Cut]:
    """The pieces of each stretch of text, which comes with its place."""
    group: list[tuple[int, str]] = []
    size = 0
    for stretch in stretches:
        group.append(stretch)
        size += len(stretch[1])
        if size >= TOGETHER:
            yield from _cut_group(tokenizer, group)
            group, size = [], 0
    if group:
        yield from _cut_group(tokenizer, group)


def _cut_group(tokenizer: Tokenizer, group: list[tuple[int, str]]) -> Iterator[Cut]:
    """Shapes take some forty numpy calls, whatever the length: one text for all."""
    text = " ".join(text for _, text in group)  # a space ends every word
    cut = [tokenizer.encode(text, add_special_tokens=False) for _, text in group]
    offsets = [np.array(x.offsets, dtype="int64").reshape(-1, 2) for x in cut]
    shifts = np.cumsum([0, *(len(text) + 1 for _, text in group)])
    shifted = [x + shift for x, shift in zip(offsets, shifts, strict=False)]
    shapes = piece_shapes(text, *np.concatenate(shifted).T)
    borders = np.cumsum([len(x) for x in offsets])[:-1]
    for i, part in enumerate(np.split(shapes, borders)):
        ids = np.array(cut[i].ids, dtype="int64")
        starts, ends = (offsets[i] + group[i][0]).T
        yield ids, part, starts, ends


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
