"""Scale, offset and threshold are found again from outcomes drawn by them."""

import numpy as np
import pytest

from spacy_bioner.layers.span_loss import sigmoid
from spacy_bioner.training.filter_tuning import LEAST, compare, fit_scale, fit_threshold


def test_scale_and_offset():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000).astype("float32")
    correct = rng.random(len(logits)) < sigmoid(0.5 * logits - 1.0)
    assert fit_scale(logits, correct) == pytest.approx((0.5, -1.0), abs=0.06)


@pytest.mark.parametrize("correct", [True, False])
def test_outcomes_that_are_all_alike_stay_finite(correct):
    logits = np.array([-3.0, 2.0, 40.0], dtype="float32")
    scale, offset = fit_scale(logits, np.full(3, correct))
    assert 0 < scale < 100 and abs(offset) < 100


def test_scores_never_turn_round():
    logits = np.linspace(-5, 5, 50).astype("float32")
    assert fit_scale(logits, logits < 0)[0] > 0


def test_threshold():
    scores = np.array([0.9, 0.2, 0.7, 0.4])
    right = np.array([1.0, 0.0, 1.0, 0.0])
    assert fit_threshold(scores, right, 2) == pytest.approx(0.55)
    assert fit_threshold(scores, np.ones(4), 9) == pytest.approx(0.105)
    assert fit_threshold(scores / 1000, right, 2) == LEAST


def test_what_is_right_and_what_touches():
    found = np.array([[0, 2, 0], [0, 3, 0], [0, 2, 1], [2, 4, 0], [7, 9, 0]])
    gold = np.array([[0, 2, 0], [6, 8, 0]])
    scores = np.array([1.0, 3.0, 9.0, 2.0, -1.0])
    right, touching = compare(found, scores, gold)
    assert right.tolist() == [True, False, False, False, False]
    assert touching.tolist() == [False, True, False, False, True]
    assert not compare(found, scores, gold[:0])[1].any()
