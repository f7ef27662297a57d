"""A label's text as hashed features: words and parts of words.

A label is known by what it is called, not by a number, so that any label has features.
Those of two names that share a word or a stem are partly the same.
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WORD = re.compile(r"[^\W_]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
SIZES = range(2, 6)  # of the parts of a word; two, for a script of syllables


@lru_cache(maxsize=4096)
def label_features(text: str, rows: int) -> NDArray[np.int64]:
    """The rows of a table of `rows` that a label's text stands for.

    text (str): A name, or a name and a definition; case and separators do not count.
    RETURNS (array): Sorted, each once; none for a text without a letter or digit.
    """
    words = {word.casefold() for word in WORD.findall(CAMEL.sub(" ", text))}
    parts = {part for word in words for part in _parts(f"<{word}>")}
    codes = {zlib.crc32(part.encode("utf8")) % rows for part in parts}
    features = np.array(sorted(codes), dtype="int64")
    features.flags.writeable = False  # it is shared
    return features


def _parts(word: str) -> set[str]:
    """The word itself, and its runs of a few characters, borders included."""
    runs = {word[i : i + n] for n in SIZES for i in range(len(word) - n + 1)}
    return runs | {word}
