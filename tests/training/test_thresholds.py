"""Thresholds and temperature are what the development data say."""

import numpy as np
import pytest
from pipeline.test_nested_spancat import cnn_pipeline, toy_examples, train
from thinc.api import fix_random_seed

from spacy_bioner.layers.span_loss import sigmoid
from spacy_bioner.training.thresholds import (
    ScoredSpans,
    choose_cuts,
    fit_temperature,
    score_spans_of,
    tune,
)


def scored(logits, correct, label=None, gold=None):
    logits, correct = np.array(logits, "float32"), np.array(correct, bool)
    label = np.zeros(len(logits), int) if label is None else np.array(label)
    found = np.bincount(label[correct], minlength=label.max(initial=0) + 1)
    return ScoredSpans(
        logits, label, correct, found if gold is None else np.array(gold)
    )


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature):
    rng = np.random.default_rng(0)
    logits = (rng.normal(size=20_000) * 3).astype("float32")
    correct = rng.random(len(logits)) < sigmoid(logits / temperature)
    found = fit_temperature(logits, correct, np.zeros(len(logits)))
    assert found == pytest.approx(temperature, rel=0.1)


def test_where_nothing_was_found_the_temperature_is_one():
    nothing = np.full(3, -9.0, "float32")
    assert fit_temperature(nothing, nothing > 0, np.zeros(3)) == 1.0


def test_cuts_are_where_f_is_best():
    low = scored([-1, -1.1, -0.9, -1.5], [1, 1, 1, 0])  # timid: all right above -1.2
    assert -1.5 < choose_cuts(low)[0] <= -1.1
    bold = scored([1.9, 1.8, 0.2, 0.3, 0.4], [1, 1, 0, 0, 0])
    assert 0.4 < choose_cuts(bold)[0] <= 1.8


def test_beta_says_how_much_recall_is_worth():
    doubtful = scored([1.5, 1.0, -0.5, -0.6, -1.0], [1, 1, 0, 0, 1])
    assert -0.5 < choose_cuts(doubtful)[0] <= 1.0
    assert choose_cuts(doubtful, beta=2.0)[0] <= -1.0
    assert choose_cuts(doubtful, beta=0.5)[0] == choose_cuts(doubtful)[0]


def test_each_label_has_its_own_cut_and_a_certain_one_stays_at_zero():
    spans = scored([1.5, 1.0, 0.5, 9.0, -9.0], [1, 0, 0, 1, 0], [0, 0, 0, 1, 1])
    first, second = choose_cuts(spans)
    assert 1.0 < first <= 1.5 and second == 0.0


def test_labels_without_spans_keep_their_cut():
    spans = scored([], [], gold=[3, 0])
    assert choose_cuts(spans).tolist() == [0.0, 0.0]


@pytest.fixture(scope="module")
def half_trained():
    fix_random_seed(0)
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 2)
    return nlp


def test_tuning_is_stored_and_does_not_hurt(half_trained):
    nlp = half_trained
    before = nlp.evaluate(toy_examples(nlp))["spans_sc_f"]
    unknown = toy_examples(nlp)[0]
    del unknown.reference.spans["sc"]
    tune(nlp, "spancat", [unknown, *toy_examples(nlp)])
    cfg = nlp.get_pipe("spancat").cfg
    assert set(cfg["thresholds"]) == {"CELL", "DNA", "PROTEIN"}
    assert nlp.evaluate(toy_examples(nlp))["spans_sc_f"] > before + 0.1
    copy = cnn_pipeline().from_bytes(nlp.to_bytes()).get_pipe("spancat").cfg
    assert copy["temperature"] == pytest.approx(cfg["temperature"])
    assert copy["thresholds"] == pytest.approx(cfg["thresholds"])


def test_gold_out_of_reach_is_counted(half_trained):
    marked = ["<DNA a b c d e f>", "<DNA p53 gene>"]
    spans = score_spans_of(half_trained, "spancat", toy_examples(half_trained, marked))
    assert spans.gold.tolist() == [0, 2, 0]
    assert len(spans.logits) == len(spans.label) == len(spans.correct)
