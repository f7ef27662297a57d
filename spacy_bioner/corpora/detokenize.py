"""Guess the spaces of a tokenized sentence (English conventions)."""

from __future__ import annotations

from collections.abc import Iterable

CLOSING = frozenset(".,;:!?)]}%…”’") | {"''"}
CLITICS = frozenset(f"{a}{c}" for a in "'’" for c in ("m", "s", "re", "ve", "ll", "d"))
OPENING = frozenset("([{“‘$£€@#") | {"``"}


def join_tokens(tokens: Iterable[str]) -> tuple[str, list[tuple[int, int]]]:
    """Text and the (start, end) of every token in it.

    The tokens themselves are never changed: only spaces are put between them, none
    before closing punctuation and clitics, none after opening punctuation, and none
    inside a pair of straight quotes.
    """
    text, offsets = "", []
    quoted, glue = False, True
    for token in tokens:
        closes = token in CLOSING or token.lower() in CLITICS | {"n't", "n’t"}
        closes = closes or (token == '"' and quoted)
        if not (glue or closes):
            text += " "
        offsets.append((len(text), len(text) + len(token)))
        text += token
        opens = token == '"' and not quoted
        quoted ^= token == '"'
        glue = opens or token in OPENING
    return text, offsets
