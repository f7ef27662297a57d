"""Sentence boundaries by rule, for corpora that mark none.

A sentence ends at `.`, `!` or `?` (and closing brackets or quotes after it) when the
next word does not begin in lower case and what stands before the full stop is neither
an initial nor a common abbreviation; and at a line break.
"""

from __future__ import annotations

from collections.abc import Iterable

from spacy.tokens import Doc

ENDS = frozenset(".!?。！？")
CLOSES = frozenset("\"')]}”’")
ABBREVIATIONS = frozenset(
    "al approx ca cf cv dr eq eqs etc ex fig figs i.e e.g mr mrs ms no nos p pp prof "
    "ref refs resp sect sp spp ssp st subsp subsect syn tab var viz vol vs u.s".split()
)


def set_sentences(doc: Doc, starts: Iterable[int] = ()) -> None:
    """Set `is_sent_start` on every token.

    starts (Iterable[int]): Character offsets that the corpus gives; then the rules
        are not asked.
    """
    given = sorted(starts)
    chosen = _tokens_at(doc, given) if given else _by_rule(doc)
    for token in doc:
        token.is_sent_start = token.i == 0 or token.i in chosen


def _tokens_at(doc: Doc, starts: list[int]) -> set[int]:
    """The first token that begins at or after each offset."""
    chosen, i = set(), 0
    for start in starts:
        while i < len(doc) and doc[i].idx < start:
            i += 1
        chosen.add(i)
    return chosen


def _by_rule(doc: Doc) -> set[int]:
    chosen: set[int] = set()
    ended = line_ended = False
    for token in doc:
        if token.is_space:
            line_ended |= "\n" in token.text
        elif line_ended or (ended and token.text not in CLOSES and _begins(token.text)):
            chosen.add(token.i)
            ended = line_ended = False
        elif token.text[-1] in ENDS:
            ended = _ends(doc, token.i)
        else:
            ended &= token.text in CLOSES
    return chosen


def _begins(text: str) -> bool:
    return not text[0].islower()


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
