"""The words of a name, without what only its spelling varies.

Rules of D'Souza and Ng (ACL 2015, P15-2049) that need no list of a domain's words.
"""

from __future__ import annotations

import re
import unicodedata

from spacy_bioner.kb.search import normal_form

LETTERS = "αβγδεζηθικλμνξοπρσςτυφχψω"
SPELLED = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron "
    "pi rho sigma sigma tau upsilon phi chi psi omega"
)
GREEK = dict(zip(LETTERS, SPELLED.split(), strict=True))
# Without x, which is a chromosome more often than ten.
NUMBERS = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv"
ROMAN = {word: str(i) for i, word in enumerate(NUMBERS.split(), 1) if word != "x"}
# Without a, which tells hepatitis A from hepatitis.
FILLERS = {"an", "and", "by", "due", "for", "from", "in", "of", "on", "or", "the", "to"}
FILLERS |= {"with"}
POSSESSIVE = re.compile(r"['’`]s\b")
BRITISH_OR = re.compile(r"our(?=s?$)")


def fold(text: str) -> list[str]:
    """`Tumours of the β-cell, type II` -> `tumor beta cell type 2`, as a list.

    Greek letters are spelled out, accents and possessive endings go, roman numbers
    become digits, British spelling American and plurals singular; fillers go unless
    there is nothing else.
    """
    plain = unicodedata.normalize("NFKD", POSSESSIVE.sub("", text.casefold()))
    letters = (c for c in plain if not unicodedata.combining(c))
    spelled = "".join(f" {GREEK[c]} " if c in GREEK else c for c in letters)
    words = normal_form(spelled).split()
    return [_fold_word(word) for word in words if word not in FILLERS] or words


def _fold_word(word: str) -> str:
    if word in ROMAN:
        return ROMAN[word]
    if len(word) > 4:
        word = BRITISH_OR.sub("or", word).replace("ae", "e").replace("oe", "e")
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    return f"{word[:-3]}y" if word.endswith("ies") else word[:-1]
