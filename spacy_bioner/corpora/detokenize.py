"""Guess the spaces of a tokenized sentence (English conventions)."""

from __future__ import annotations

from collections.abc import Iterable

CLOSING = frozenset(". , ; : ! ? ) ] } % … ” ’ 'm 's 're 've 'll 'd n't ''".split())
CLOSING_LOWER = frozenset({"’s", "’m", "’re", "’ve", "’ll", "’d", "n’t"})
OPENING = frozenset("( [ { “ ‘ `` $ £ € @ #".split())


def join_tokens(tokens: Iterable[str]) -> tuple[str, list[tuple[int, int]]]:
    """Text and the (start, end) of every token in it.

    The tokens themselves are never changed: only spaces are put between them, none
    before closing punctuation and clitics, none after opening punctuation, and none
    inside a pair of straight quotes.
    """
    text, offsets = "", []
    quoted, glue = False, True
    for token in tokens:
        closes = token.lower() in CLOSING or token.lower() in CLOSING_LOWER
        closes = closes or (token == '"' and quoted)
        if not (glue or closes):
            text += " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
        opens = token == '"' and not quoted
        quoted ^= token == '"'
        glue = opens or token in OPENING
    return text, offsets
