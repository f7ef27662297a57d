"""Which tokens are words: not white space, nor what nobody sees.

Text from PDFs, web pages and hospital systems has soft hyphens, zero-width spaces,
byte order marks and stray control characters. An encoder reads over them, and so does
all that compares words.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

# For a character class. Without white space, and without the joiner and the selectors
# of emoji and of Indic scripts, which change what is seen.
HIDDEN = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u180e"
    r"\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
)
_HIDDEN = re.compile(f"[{HIDDEN}]+")


def visible(text: str) -> str:
    """The text without characters that nobody sees."""
    return _HIDDEN.sub("", text)


def is_word(doc: Doc) -> NDArray[np.bool_]:
    """Which tokens are neither white space nor hidden.  # (tokens,)"""
    word = doc.to_array("IS_SPACE") == 0
    if _HIDDEN.search(doc.text):
        word &= [bool(visible(token.text).strip()) for token in doc]
    return word
