"""Temperatures and owners are what the development data say."""

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model
from toy import cnn_pipeline, toy_examples

from spacy_bioner.layers.decoding import log_softmax
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.tags import UNKNOWN, encode
from spacy_bioner.task import set_task
from spacy_bioner.training.calibration import (
    choose_owners,
    fit_temperature,
    score_heads_of,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(8_000, 1, 3)).astype("float32") * 3  # texts of one word
    shares = np.exp(log_softmax(logits / temperature))
    gold = (shares.cumsum(axis=2) > rng.random((len(logits), 1, 1))).argmax(axis=2)
    gold[gold == 2] = 0  # nothing begins with I
    gold[:100] = UNKNOWN  # must not count
    found = fit_temperature(list(logits), list(gold), ["X"])
    assert found == pytest.approx(temperature, rel=0.1)


def test_what_stands_before_runs_and_nothing_behind():
    """A function too: it has no `pipe` of its own."""
    nlp = cnn_pipeline()
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)

    @Language.component("test_calibration_marks")
    def mark(doc):
        doc.user_data["marked"] = True
        return doc

    @Language.component("test_calibration_fails")
    def fail(doc):
        raise ValueError

    nlp.add_pipe("test_calibration_marks", first=True)
    nlp.add_pipe("test_calibration_fails", last=True)
    scored = list(score_heads_of(nlp, "ner", examples))
    assert [example for example, _ in scored] == examples
    assert all(example.predicted.user_data["marked"] for example in examples)
    assert scored[0][1].keys() == {"diseases", "genes"}


def test_where_nothing_was_found_there_is_no_temperature():
    nothing = [np.array([[9.0, 0.0, 0.0]], dtype="float32")]
    assert fit_temperature(nothing, [np.array([0])], ["X"]) is None


def component(owners):
    nlp = spacy.blank("en")
    ner = GerberaNER(nlp.vocab, Model("none", lambda *_: None), owners=owners)
    ner.cfg["heads"] = {"a": ["X", "Y"], "b": ["X"]}
    return nlp, ner


def scored_example(nlp, task, gold, by_head):
    """A document of six words: its gold spans, and what each head is sure of."""
    words = list("uvwxyz")
    predicted, reference = Doc(nlp.vocab, words), Doc(nlp.vocab, words)
    reference.set_ents([reference.char_span(2 * i, 2 * i + 1, y) for i, y in gold])
    set_task(reference, task)
    scores = {}
    for head, (labels, spans) in by_head.items():
        tags = encode([(i, i + 1, y) for i, y in spans], labels, len(words))
        scores[head] = 8 * np.eye(2 * len(labels) + 1, dtype="float32")[tags]
    return Example(predicted, reference), scores


def test_the_better_head_owns_a_label_and_only_named_labels_have_owners():
    nlp, ner = component({"X": "a"})
    heads = {"a": (["X", "Y"], [(0, "X"), (1, "X")]), "b": (["X"], [(3, "X")])}
    scored = [scored_example(nlp, task, [(3, "X")], heads) for task in "ab"]
    assert choose_owners(ner, scored) == {"X": "b"}
    assert ner.cfg["owners"] == {"X": "a"}  # choosing changes nothing


def test_without_named_labels_every_label_has_an_owner():
    nlp, ner = component({})
    heads = {"a": (["X", "Y"], [(0, "X"), (1, "Y")]), "b": (["X"], [])}
    scored = [scored_example(nlp, "a", [(0, "X"), (1, "Y")], heads)]
    assert choose_owners(ner, scored) == {"X": "a", "Y": "a"}


def test_a_label_that_no_corpus_at_hand_annotates_keeps_its_owner():
    nlp, ner = component({"X": "b", "Y": "a"})
    heads = {"a": (["X", "Y"], [(0, "X")]), "b": (["X"], [(0, "X")])}
    scored = [scored_example(nlp, "b", [(0, "X")], heads)]
    assert choose_owners(ner, scored) == {"X": "b", "Y": "a"}
    ner.cfg["owners"] = {"X": "b", "Y": "a+b"}
    assert choose_owners(ner, scored)["Y"] == "a+b"
