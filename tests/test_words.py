"""What nobody sees is no word, and changes none."""

import unicodedata

import numpy as np
import spacy
from hypothesis import example, given
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_bioner.kb.fold import fold
from spacy_bioner.llm.symbolic import decode
from spacy_bioner.shapes import piece_shapes
from spacy_bioner.tokenizer import make_tokenizer
from spacy_bioner.words import is_word, visible

NLP = spacy.blank("en")
HIDDEN = "\u00ad\u200b\u200e\u2060\ufeff\x07\x00\x9f"
TOKENIZER = make_tokenizer(Vocab())


def test_a_hidden_token_is_no_word():
    words = ["\ufeff", "gene", " ", "\n\u200b\u00ad", "p\u00ad53", "-"]
    doc = Doc(NLP.vocab, words)
    assert is_word(doc).tolist() == [False, True, False, False, True, True]
    assert is_word(Doc(NLP.vocab)).tolist() == []


@given(st.text())
def test_only_what_is_not_seen_goes(text):
    gone = [c for c in text if not visible(c)]
    assert all(unicodedata.category(c) in {"Cc", "Cf", "Mn"} for c in gone)
    assert not any(c.isspace() or c.isalnum() for c in gone)
    assert len(visible(text)) == len(text) - len(gone)


@st.composite
def spoiled(draw):
    """A text, and the same with hidden characters inside its words."""
    plain = draw(st.text("aβ1éBs'-/. \n", max_size=20))
    parts = []
    for left, right in zip(plain, f"{plain[1:]} ", strict=False):
        within = left.isalnum() and right.isalnum()
        parts += [left, draw(st.text(HIDDEN, max_size=2)) if within else ""]
    return plain, "".join(parts)


@given(spoiled())
@example(("1B.B.", "1\x9fB.B."))
def test_a_spoiled_text_has_the_same_tokens(texts):
    plain, text = texts
    assert visible(text) == plain
    assert TOKENIZER(text).text == text
    found = [visible(token.text) for token in TOKENIZER(text)]
    assert found == [token.text for token in TOKENIZER(plain)]


@given(st.text("aZ1é-( \n" + HIDDEN, min_size=1, max_size=12), st.data())
def test_the_shape_of_a_piece_is_that_of_what_is_seen(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    seen = len(visible(text[:start])), len(visible(text[:end]))
    found = piece_shapes(text, np.array([start]), np.array([end]))
    expected = piece_shapes(visible(text), *np.array(seen)[:, None])
    assert found.tolist() == expected.tolist()


def test_outside_words_it_is_a_token_of_its_own():
    found = [token.text for token in TOKENIZER("\ufeffBRCA1\u200b/p53\u00ad, x\u2060")]
    assert found == ["\ufeff", "BRCA1", "\u200b", "/", "p53", "\u00ad", ",", "x"] + [
        "\u2060"
    ]


def test_a_name_is_looked_up_as_it_is_seen():
    assert fold("hepa\u00adtitis\u200b B") == fold("hepatitis B")


def test_a_copy_that_leaves_them_out_is_found():
    text = "Loss of BRCA1\u200b gene in can\u00adcer."
    answer = (
        "GENE: Loss of [BRCA1 gene] in cancer.\n"
        "DISEASE: Loss of BRCA1 gene in [cancer]."
    )
    found, report = decode(answer, text, ["GENE", "DISEASE"])
    assert [(text[s:e], label) for s, e, label in found] == [
        ("BRCA1\u200b gene", "GENE"),
        ("can\u00adcer", "DISEASE"),
    ]
    assert not any(report.dropped.values())
