"""Pieces of long documents: nothing lost, cut where it hurts least."""

from __future__ import annotations

import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.llm.split import split

NLP = spacy.blank("en")
WORDS = ["renal", "failure", ".", ",", "\n", "\n\n", "  ", "。", "x" * 30, "Dr."]


@given(
    st.lists(st.sampled_from(WORDS)).map(" ".join), st.integers(1, 60), st.booleans()
)
def test_pieces_are_the_whole_document_but_spaces(text, max_chars, sentences):
    doc = NLP(text)
    if sentences and len(doc):
        for i, token in enumerate(doc):
            token.is_sent_start = i == 0 or doc[i - 1].text == "."
    pieces = split(doc, max_chars)
    covered = [token.i for piece in pieces for token in piece]
    assert covered == sorted(set(covered))
    left_out = set(range(len(doc))) - set(covered)
    assert all(doc[i].is_space for i in left_out)
    for piece in pieces:
        assert len(piece.text) <= max_chars or len(piece) == 1
        assert not piece[0].is_space and not piece[-1].is_space


def texts(text, max_chars, sentences=()):
    doc = NLP(text)
    for i in range(len(doc)) if sentences else ():
        doc[i].is_sent_start = i in sentences
    return [piece.text for piece in split(doc, max_chars)]


def test_where_it_cuts():
    assert texts("One two. Three four.", 100) == ["One two. Three four."]
    assert texts("One two. Three four.", 19) == ["One two.", "Three four."]
    assert texts("One two\nthree four. Five", 20) == ["One two", "three four. Five"]
    assert texts("One two, three four", 14) == ["One two,", "three four"]
    assert texts("One two three", 8) == ["One two", "three"]
    # known sentences count before signs: "p. 3" is none
    assert texts("See p. 3 for it. All", 16, {0, 7}) == ["See p. 3 for it.", "All"]
    assert texts("a" * 50, 10) == ["a" * 50]
    assert texts("", 10) == texts(" \n ", 10) == []
