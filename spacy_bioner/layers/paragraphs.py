"""Where a text begins anew: behind an empty line, and at an item of a list.

An encoder has no word piece for a line break: a tagger sees a list of diagnoses as one
run of words.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from .decoding import ScoredSpan

Breaks = list[tuple[int, int]]
BULLETS = frozenset("-*•·–—▪●◦‣")


def find_breaks(doc: Doc, rows: NDArray[np.int64]) -> Breaks:
    """The words that stand first in a paragraph or an item of a list, in order, and
    with each the first word that is no bullet. A line break alone is none: notes are
    wrapped.

    rows: The tokens that are words.  # (words,)
    """
    found = []
    for word in (np.flatnonzero(np.diff(rows) > 1) + 1).tolist():
        between = doc[int(rows[word - 1]) + 1 : int(rows[word])].text
        is_item = doc[int(rows[word])].text in BULLETS
        if between.count("\n") > 1 or ("\n" in between and is_item):
            found.append((word, word + is_item))
    return found


def cut_at(breaks: Breaks, spans: Iterable[ScoredSpan]) -> list[ScoredSpan]:
    """Spans of words, those that reach over a break in pieces, each as likely as
    all."""
    pieces = []
    for start, end, label, score in spans:
        inside = slice(bisect(breaks, (start, end)), bisect_left(breaks, (end, 0)))
        for first, behind in breaks[inside]:
            pieces.append((start, first, label, score))
            start = behind
        if start < end:
            pieces.append((start, end, label, score))
    return pieces
