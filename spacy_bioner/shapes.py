"""The shape of each word piece: what an uncased vocabulary forgets.

An uncased encoder reads *was* and *WAS* (a gene) alike, and *IL-2* like
*IL - 2*. A piece's shape names its letter case, the spaces around it and
the look of the word it is cut from. The encoder adds it as a token-type
embedding: the input is there already, its rows start as copies of row 0, so
nothing changes until training finds a use for them, and it costs no time.
"""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

from .words import visible

# Character kinds.
SPACE, LOWER, UPPER, DIGIT, OTHER, FOREIGN = range(6)

# Piece kinds; every kind comes with 4 bits of context.
NOTHING, LOWERCASE, SINGLE, TITLE, CAPITALS = range(5)
MIXED, NUMBER, CODE, SYMBOL, NON_ASCII = range(5, 10)
SPACE_BEFORE, SPACE_AFTER, WORD_HAS_CAPITAL, WORD_HAS_DIGIT = 1, 2, 4, 8
N_SHAPES = 160


def _kind(char: str) -> int:
    if char.isspace():
        return SPACE
    if char.isascii():
        if char.isdigit():
            return DIGIT
        return UPPER if char.isupper() else LOWER if char.isalpha() else OTHER
    return FOREIGN if unicodedata.category(char).startswith("L") else OTHER


_ASCII = np.array([_kind(chr(code)) for code in range(128)], dtype="uint8")
_cache: dict[int, int] = {}


def character_kinds(text: str) -> NDArray[np.uint8]:
    """One kind a character.  # (characters,)"""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="uint32")
    kinds = _ASCII[np.minimum(codes, 127)]
    wide = np.nonzero(codes > 127)[0]
    for i in wide:
        code = int(codes[i])
        if code not in _cache:
            _cache[code] = _kind(chr(code))
        kinds[i] = _cache[code]
    return kinds


def piece_shapes(
    text: str, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The shape of every word piece of `text`.

    text (str): What was cut into pieces.
    starts, ends (arrays): Character offsets of each piece, end exclusive; an
        empty piece (a special token, padding) gets shape 0. What nobody sees does
        not count.
    RETURNS (array): Integers below `N_SHAPES`, one a piece.
    """
    starts, ends = np.asarray(starts, "int64"), np.asarray(ends, "int64")
    shown = visible(text)
    if len(shown) < len(text):
        before = np.cumsum([0, *map(len, map(visible, text))])  # (characters + 1,)
        starts, ends = before[starts], before[ends]
    kinds = character_kinds(shown)
    size = len(kinds)
    if size == 0 or len(starts) == 0:
        return np.zeros(len(starts), dtype="int64")
    totals = np.zeros((6, size + 1), dtype="int64")  # (kind, characters + 1)
    for kind in (LOWER, UPPER, DIGIT, OTHER, FOREIGN):
        np.cumsum(kinds == kind, out=totals[kind, 1:])
    count = totals[:, ends] - totals[:, starts]  # (kind, pieces)
    length = ends - starts
    lower, upper, digit = count[LOWER], count[UPPER], count[DIGIT]
    first_upper = kinds[np.minimum(starts, size - 1)] == UPPER
    piece = np.select(
        [
            length == 0,
            count[FOREIGN] > 0,
            lower == length,
            digit == length,
            (upper == 1) & (length == 1),
            upper == length,
            first_upper & (upper == 1) & (lower == length - 1),
            (digit > 0) & (digit + lower + upper == length),
            (lower + upper) == length,
        ],
        [
            NOTHING,
            NON_ASCII,
            LOWERCASE,
            NUMBER,
            SINGLE,
            CAPITALS,
            TITLE,
            CODE,
            MIXED,
        ],
        default=SYMBOL,
    )
    context = _context(kinds, totals, starts, ends)
    return np.where(length == 0, 0, piece * 16 + context)


def _context(kinds, totals, starts, ends):
    """The bits for the spaces around a piece and for the word it stands in."""
    size = len(kinds)
    space = kinds == SPACE
    before = (starts == 0) | space[np.maximum(starts - 1, 0)]
    after = (ends >= size) | space[np.minimum(ends, size - 1)]
    position = np.arange(size)
    # A word runs from the character after the last space to the next space.
    word_start = np.maximum.accumulate(np.where(space, position + 1, 0))
    word_end = np.minimum.accumulate(np.where(space, position, size)[::-1])[::-1]
    at = np.minimum(starts, size - 1)
    left, right = word_start[at], np.maximum(word_end[at], word_start[at])
    inner = np.minimum(left + 1, right)  # a capital first letter is no news
    capital = totals[UPPER, right] > totals[UPPER, inner]
    digit = totals[DIGIT, right] > totals[DIGIT, left]
    return (
        before * SPACE_BEFORE
        + after * SPACE_AFTER
        + capital * WORD_HAS_CAPITAL
        + digit * WORD_HAS_DIGIT
    )
