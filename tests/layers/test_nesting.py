"""Candidates stay inside their borders; crossing spans are settled by score."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc

from spacy_bioner.layers.nesting import candidate_mask, decode_table, without_crossings

NLP = spacy.blank("en")


def cross(a, b):
    return a[0] < b[0] < a[1] < b[1] or b[0] < a[0] < b[1] < a[1]


def slow(spans, scores):
    """Best first, the plain way."""
    kept: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: (-scores[i], i)):
        if not any(cross(spans[i], spans[j]) for j in kept):
            kept.append(i)
    return sorted(kept)


SPANS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 8), st.sampled_from([0.3, 0.6, 0.9])),
    max_size=40,
)


@given(SPANS)
def test_crossing_spans_are_settled_by_score_and_nested_ones_stay(drawn):
    drawn.sort()
    spans = np.array([(i, i + w) for i, w, _ in drawn], dtype="int64").reshape(-1, 2)
    scores = np.array([score for *_, score in drawn], dtype="float32")
    kept = np.flatnonzero(without_crossings(spans, scores)).tolist()
    assert kept == slow(spans.tolist(), scores)


def test_a_long_text_is_settled_at_once():
    starts = np.arange(100_000)
    spans = np.stack([starts, starts + 2], axis=1)  # each crosses its neighbours
    scores = np.tile(np.array([0.6, 0.9], dtype="float32"), 50_000)
    assert (without_crossings(spans, scores) == (starts % 2 == 1)).all()


def places(mask):
    return {(i, i + w + 1) for i, w in np.argwhere(mask).tolist()}


def test_candidates_end_with_the_text():
    doc = Doc(NLP.vocab, ["a", "b", "c"])
    wanted = {(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)}
    assert places(candidate_mask(doc, 2, True)) == wanted
    assert places(candidate_mask(doc, 9, True)) == wanted | {(0, 3)}
    assert candidate_mask(Doc(NLP.vocab), 4, True).shape == (0, 4)


def test_candidates_end_with_the_sentence_where_asked():
    words = ["a", "b", "c", "d"]
    doc = Doc(NLP.vocab, words, sent_starts=[True, False, True, False])
    crossing = {(1, 3), (0, 3), (1, 4), (0, 4)}
    assert places(candidate_mask(doc, 4, True)) == {
        (0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)
    }  # fmt: skip
    assert places(candidate_mask(doc, 4, False)) >= crossing


def test_candidates_do_not_begin_or_end_with_space():
    doc = Doc(NLP.vocab, ["a", "\n", "b", " "])
    assert places(candidate_mask(doc, 4, False)) == {(0, 1), (2, 3), (0, 3)}


def table_of(tokens, widths, labels, found):
    table = np.full((tokens, widths, labels), -9.0, dtype="float32")
    for (start, end, label), logit in found.items():
        table[start, end - start - 1, label] = logit
    return table


def test_decoding_in_text_order_with_scores():
    found = {(2, 3, 0): 1.0, (0, 3, 1): 2.0, (0, 2, 0): 3.0, (1, 4, 0): 0.5}
    table = table_of(4, 3, 2, found)
    mask = np.arange(4)[:, None] + np.arange(3) < 4
    spans, scores = decode_table(table, mask, [0.5, 0.5], 2.0)
    assert spans.tolist() == [[0, 3, 1], [0, 2, 0], [2, 3, 0]]  # (1, 4) crosses
    logits = np.array([2.0, 3.0, 1.0])
    assert scores == pytest.approx(1 / (1 + np.exp(-logits / 2.0)))
    spans, _ = decode_table(table, mask, [0.95, 0.5], 1.0)
    assert spans.tolist() == [[0, 3, 1], [0, 2, 0]]


@pytest.mark.parametrize("most", [1, 2, None])
def test_labels_on_the_same_words(most):
    table = table_of(1, 1, 3, {(0, 1, 0): 1.0, (0, 1, 1): 3.0, (0, 1, 2): 2.0})
    spans, _ = decode_table(table, np.ones((1, 1), bool), [0.5] * 3, 1.0, most)
    wanted = {1: [1], 2: [1, 2], None: [0, 1, 2]}[most]
    assert spans[:, 2].tolist() == wanted


def test_a_label_under_its_threshold_is_no_rival():
    logits = np.array([[[-0.4, -0.6]]], dtype="float32")  # 0.40 and 0.35
    mask = np.ones((1, 1), dtype=bool)
    spans, scores = decode_table(logits, mask, [0.5, 0.3], 1.0, max_positive=1)
    assert spans.tolist() == [[0, 1, 1]] and scores[0] == pytest.approx(
        0.354, abs=0.001
    )
