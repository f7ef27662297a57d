"""Tokenizer settings under which biomedical names begin and end at tokens.

Everything is data of a stock `spacy.tokenizer.Tokenizer`: what a pipeline saves of it
loads into any other, without this module.

A name may start or stop at almost any punctuation mark (`IL-2-mediated`, `p53-/-`,
`[3H]thymidine`), so each mark is a token of its own, wherever it stands. That is cheap:
the word pieces of a BERT vocabulary are cut there as well. Kept whole are decimals
(`0.05`), abbreviations with inner periods (`e.g.`), web addresses, `+/-`, the
genitive `'s` and runs of one drawing mark (`...`). A soft hyphen, or what else nobody
sees, cuts no word.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.util import registry
from spacy.vocab import Vocab

from .words import HIDDEN

# Accents, variation selectors and joiners stay with what they are written after.
_JOINED = r"\u0300-\u036f\u200d\ufe0e\ufe0f"
_WITHIN = rf"(?<=[\w{HIDDEN}])[{HIDDEN}](?=[{HIDDEN}]*\w)"
_MARK = rf"(?:(?!{_WITHIN})[^\w\s{_JOINED}]|_)[{_JOINED}]*"
_RUN = r"\+/-|\.{2,}|-{2,}|={2,}|\*{2,}|_{2,}"
_WEB_ADDRESS = r"(?:https?://|ftp://|www\.)\S*[\w/]"
_ABBREVIATION = rf"(?<![\w{HIDDEN}])(?:[A-Za-z]\.){{2,}}"
_NUMBER_POINT = r"(?<=[0-9])[.,](?=[0-9])"
_GENITIVE = rf"['’]s(?![{HIDDEN}]*\w)"

# The stock tokenizer strips prefixes until none is left, then cuts at the infixes, of
# which one at the very start cuts nothing: hence both, and no suffixes.
PREFIX = rf"^(?:{_ABBREVIATION}|{_RUN}|{_MARK})"
INFIX = rf"{_WEB_ADDRESS}|{_ABBREVIATION}|{_GENITIVE}|{_RUN}|(?!{_NUMBER_POINT}){_MARK}"


def make_tokenizer(vocab: Vocab) -> Tokenizer:
    """Make a stock tokenizer with these settings.

    vocab (Vocab): The pipeline's vocabulary.
    RETURNS (Tokenizer): Lossless like any spaCy tokenizer, and serialisable.
    """
    return Tokenizer(
        vocab,
        prefix_search=re.compile(PREFIX).search,
        infix_finditer=re.compile(INFIX).finditer,
    )


@registry.tokenizers("spacy-bioner.Tokenizer.v1")
def create_bioner_tokenizer() -> Callable[[Language], Tokenizer]:
    """Registered form of `make_tokenizer`, for `[nlp.tokenizer]` in a config."""
    return lambda nlp: make_tokenizer(nlp.vocab)
