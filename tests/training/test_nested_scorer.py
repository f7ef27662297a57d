"""The scorer counts what was annotated, by characters."""

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bioner.task import set_task
from spacy_bioner.training.nested_scorer import score_nested

VOCAB = spacy.blank("en").vocab


def make(found, gold, task=None):
    docs = []
    for spans in (found, gold):
        doc = Doc(VOCAB, ["a", "b", "c"])
        if spans is not None:
            doc.spans["sc"] = [Span(doc, *span) for span in spans]
        docs.append(doc)
    set_task(docs[0], task)
    return Example(*docs)


def test_nested_spans_and_types():
    one = make([(0, 3, "X"), (0, 1, "Y")], [(0, 3, "X"), (0, 1, "X"), (1, 2, "Y")])
    scores = score_nested(
        [one, make([], []), make(None, [(2, 3, "X")])], spans_key="sc"
    )
    assert scores["spans_sc_p"] == pytest.approx(1 / 2)
    assert scores["spans_sc_r"] == pytest.approx(1 / 4)
    assert scores["spans_sc_f"] == pytest.approx(1 / 3)
    assert scores["spans_sc_per_type"]["X"]["p"] == 1.0
    assert scores["spans_sc_per_type"]["Y"]["f"] == 0.0


def test_what_is_not_annotated_does_not_count():
    unknown = make([(0, 1, "X")], None)
    assert set(score_nested([unknown], spans_key="sc").values()) == {None}
    good = make([(0, 1, "X")], [(0, 1, "X")])
    assert score_nested([unknown, good], spans_key="sc")["spans_sc_f"] == 1.0


def test_other_tasks_do_not_count():
    examples = [make([(0, 1, "X")], [(0, 1, "X")], task) for task in ("mine", None)]
    examples.append(make([(0, 1, "X")], [], "other"))
    assert score_nested(examples, spans_key="sc", task="mine")["spans_sc_p"] == 1.0
    assert score_nested(examples, spans_key="sc")["spans_sc_p"] < 1.0
