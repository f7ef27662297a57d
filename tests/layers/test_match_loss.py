"""The contrastive term: gold among its own perturbations."""

import numpy as np
import pytest

from spacy_bioner.layers.match_loss import contrastive_loss

LOGITS = np.array([1.0, -2.0, 0.5, 3.0, 0.0, 9.0], dtype="float32")
ANCHOR = np.array([0, 1, 0, 0, 1, -1])


def softmax_loss(values):
    values = np.asarray(values, dtype="float64")
    return float(np.log(np.exp(values).sum()) - values[0])


def test_it_is_the_cross_entropy_of_each_group():
    loss, gradient = contrastive_loss(LOGITS, ANCHOR, 2)
    expected = softmax_loss([1.0, 0.5, 3.0]) + softmax_loss([-2.0, 0.0])
    assert loss == pytest.approx(expected, abs=1e-6)
    for i in range(len(LOGITS)):
        ends = []
        for step in (1e-3, -1e-3):
            moved = LOGITS.astype("float64")
            moved[i] += step
            ends.append(contrastive_loss(moved, ANCHOR, 2)[0])
        assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-3, abs=1e-4)
    assert gradient[5] == 0.0


def test_gold_without_perturbations_and_no_gold_cost_nothing():
    alone = np.array([5.0, -3.0], dtype="float32")
    loss, gradient = contrastive_loss(alone, np.array([0, -1]), 1)
    assert loss == pytest.approx(0.0) and not gradient.any()
    loss, gradient = contrastive_loss(alone, np.array([-1, -1]), 0)
    assert loss == 0.0 and not gradient.any()


def test_large_logits_do_not_overflow():
    loss, gradient = contrastive_loss(LOGITS * 1e4, ANCHOR, 2)
    assert np.isfinite(loss) and np.isfinite(gradient).all()
