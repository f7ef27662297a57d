"""Exact and relaxed, by characters."""

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy import partly_annotated

from spacy_bioner.training.filter_scorer import score_filtered

VOCAB = spacy.blank("en").vocab


def make(found, gold, key="gold"):
    docs = []
    for spans, name in ((found, "filtered"), (gold, key)):
        doc = Doc(VOCAB, ["a", "b", "c", "d"])
        if spans is not None and name == "ents":
            doc.set_ents([Span(doc, *span) for span in spans])
        elif spans is not None:
            doc.spans[name] = [Span(doc, *span) for span in spans]
        docs.append(doc)
    return Example(*docs)


def score(*examples):
    return score_filtered(examples, spans_key="filtered", gold_key="gold")


def test_exact_and_relaxed():
    found = [(0, 2, "X"), (3, 4, "X"), (2, 3, "Y")]
    scores = score(make(found, [(0, 1, "X"), (3, 4, "X"), (2, 3, "X")]), make([], []))
    assert scores["spans_filtered_p"] == scores["spans_filtered_r"] == 1 / 3
    assert scores["spans_filtered_relaxed_p"] == 2 / 3
    assert scores["spans_filtered_relaxed_f"] == pytest.approx(2 / 3)
    assert scores["spans_filtered_per_type"]["Y"]["p"] == 0.0


def test_entities_are_gold_where_the_group_lacks():
    assert score(make([(0, 1, "X")], [(0, 1, "X")], "ents"))["spans_filtered_f"] == 1.0


def test_what_is_not_annotated_does_not_count():
    scores = score(make([(0, 1, "X")], None))
    assert set(scores.values()) == {None}


def test_where_nobody_annotated_nothing_is_wrong():
    example, found = partly_annotated()
    example.predicted.spans["x"] = found
    scores = score_filtered([example], spans_key="x", gold_key="gold")
    assert scores["spans_x_p"] == scores["spans_x_r"] == 1.0
