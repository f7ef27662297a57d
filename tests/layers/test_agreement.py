"""The same words are the same entity all document long, or none."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from spacy.tokens import Doc

from spacy_bioner.layers.agreement import Words, agree, score_places
from spacy_bioner.layers.decoding import decode_spans

LABELS = ["A", "B"]
VOCAB = spacy.blank("en").vocab


def words_of(text: str) -> Words:
    return Words(Doc(VOCAB, words=text.split()))


@st.composite
def documents(draw):
    """Few different words, and tag scores for each."""
    words = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=8))
    scores = st.floats(-6, 6, width=32)
    return words, draw(arrays("float32", (len(words), 5), elements=scores))


def agreed(words, logits, temperature=1.0):
    (spans,) = decode_spans([logits], LABELS, temperature)
    return agree(spans, logits, LABELS, temperature, words), spans


@given(documents(), st.sampled_from([0.5, 1.0, 3.0]))
def test_places_get_the_score_that_decoding_gives(document, temperature):
    _, logits = document
    (spans,) = decode_spans([logits], LABELS, temperature)
    for start, end, label, score in spans:
        begin = 2 * LABELS.index(label) + 1
        starts = np.array([start, 0])
        found = score_places(logits, starts, end - start, begin, temperature)
        assert found[0] == pytest.approx(score, abs=1e-6)


@given(documents())
def test_what_is_left_agrees(document):
    forms, logits = document
    words = words_of(" ".join(forms))
    result, found = agreed(words, logits)
    inside = [i for start, end, *_ in result for i in range(start, end)]
    assert len(inside) == len(set(inside)) and result == sorted(result)
    known = {(*forms[start:end], label) for start, end, label, _ in found}
    means: dict[tuple, tuple[str, float]] = {}
    for start, end, label, score in result:
        assert 0.5 <= score <= 1.0
        assert (*forms[start:end], label) in known
        own = means.setdefault(tuple(forms[start:end]), (label, score))
        assert own == (label, score)  # at all places


def sure(probability: float) -> np.ndarray:
    """Logits of a word that is an A by itself with this probability."""
    return np.log(np.array([1 - probability, probability, 1e-6]) + 1e-9)


def one_word(text: str, entity: str, *probabilities: float):
    """The places of a word in a text, each scored otherwise; other words are none."""
    words, rest = text.split(), iter(probabilities)
    logits = np.stack([sure(next(rest) if w == entity else 0.0) for w in words])
    (spans,) = decode_spans([logits.astype("float32")], ["A"], 1.0)
    return agree(spans, logits, ["A"], 1.0, words_of(text))


def test_sure_places_win_over_doubtful_ones():
    found = one_word("ALS is , ALS was", "ALS", 0.9, 0.3)
    assert [s[:3] for s in found] == [(0, 1, "A"), (3, 4, "A")]
    assert found[0][3] == found[1][3] == pytest.approx(0.6, abs=1e-3)
    assert one_word("ALS is , ALS was", "ALS", 0.7, 0.1) == []
    assert len(one_word("ALS is", "ALS", 0.7)) == 1


def test_the_same_words_have_one_label():
    words = words_of("p53 and p53")
    probabilities = [[0.1, 0.7, 0, 0.2, 0], [1, 0, 0, 0, 0], [0, 0.4, 0, 0.6, 0]]
    found, before = agreed(words, np.log(np.array(probabilities) + 1e-9))
    assert [s[2] for s in before] == ["A", "B"]
    assert [s[2] for s in found] == ["A", "A"]
    assert found[0][3] == pytest.approx(0.55, abs=1e-3)


def test_places_inside_other_spans_have_no_say():
    text = "lung cancer and cancer"
    logits = np.full((4, 3), -9.0, dtype="float32")
    logits[[0, 3], 1] = logits[1, 2] = logits[2, 0] = 9.0
    (spans,) = decode_spans([logits], ["A"], 1.0)
    found = agree(spans, logits, ["A"], 1.0, words_of(text))
    assert [s[:2] for s in found] == [(0, 2), (3, 4)]


def test_case_makes_another_word_of_acronyms_alone():
    words = words_of("Cisplatin cisplatin AIDS aids CISPLATIN")
    first, second, acronym, word, third = words.forms
    assert first == second == third and acronym != word
    assert words.find((first,)) == [0, 1, 4]
    assert words.find((second, acronym)) == [1]
    assert words.find((0,)) == []


def test_white_space_is_no_word():
    doc = spacy.blank("en")("lung  cancer\nlung cancer")
    words = Words(doc)
    assert len(words) == 4 and words.find(words.forms[:2]) == [0, 2]
    assert [doc[int(i)].text for i in words.rows] == ["lung", "cancer"] * 2
