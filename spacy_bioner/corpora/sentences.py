"""Sentence boundaries by rule, for corpora that mark none.

A sentence ends at `.`, `!` or `?` (and closing brackets or quotes after it) when the
next word does not begin in lower case and what stands before the full stop is neither
an initial nor a common abbreviation; and at a line break.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

import numpy
from spacy.attrs import SENT_START
from spacy.tokens import Doc

ENDS = frozenset(".!?。！？")
CLOSES = frozenset("\"')]}”’")
SHORT_FORMS = """
al approx ca cf cv dr eq eqs etc ex fig figs i.e e.g mr mrs ms no nos p pp prof ref
refs resp sect sp spp ssp st subsp subsect syn tab var viz vol vs u.s
"""
ABBREVIATIONS = frozenset(SHORT_FORMS.split())


def set_sentences(doc: Doc, starts: Iterable[int] = ()) -> int:
    """Set `is_sent_start` on every token; return the number of sentences.

    starts (Iterable[int]): Character offsets that the corpus gives; then the rules
        are not asked.
    """
    if not len(doc):
        return 0
    given = sorted(starts)
    chosen = _tokens_at(doc, given) if given else _by_rule(doc)
    values: Any = numpy.full((len(doc), 1), -1, dtype="int64").view("uint64")
    values[sorted({0, *chosen} - {len(doc)})] = 1
    doc.from_array([SENT_START], values)  # the setter of a token is slow
    return int((values == 1).sum())


def _tokens_at(doc: Doc, starts: list[int]) -> set[int]:
    """The first token that begins at or after each offset."""
    offsets = [token.idx for token in doc]
    return {bisect_left(offsets, start) for start in starts}


def _by_rule(doc: Doc) -> set[int]:
    chosen: set[int] = set()
    ended = line_ended = False
    for i, text in enumerate(token.text for token in doc):
        closes = text in CLOSES and i and not doc[i - 1].whitespace_
        if text.isspace():
            line_ended |= "\n" in text
        elif line_ended or (ended and not closes and not text[0].islower()):
            chosen.add(i)
            line_ended, ended = False, text[-1] in ENDS and _ends(doc, i)
        elif text[-1] in ENDS:
            ended = _ends(doc, i)
        elif not closes:
            ended = False
    return chosen


def _ends(doc: Doc, i: int) -> bool:
    """Whether the token at `i`, which ends in a full stop or the like, may end a
    sentence."""
    text = doc[i].text
    if text[-1] != ".":
        return True
    before = text[:-1]
    if not before and i and not doc[i - 1].whitespace_:
        before = doc[i - 1].text
    initial = len(before) == 1 and before.isalpha() and before.isupper()
    return not initial and before.lower() not in ABBREVIATIONS
