"""The table against the plain formula, and its gradient against differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.layers.span_loss import sigmoid, span_loss
from spacy_bioner.layers.span_table import PARTS, SpanTable

RNG = np.random.default_rng(0)


def make_table(hidden=4, max_width=3, labels=2, dtype="float64"):
    layer = SpanTable(hidden, max_width)
    layer.set_dim("nO", labels)
    layer.initialize()
    for name in layer.param_names:
        shape = layer.get_param(name).shape
        layer.set_param(name, RNG.normal(size=shape).astype(dtype))
    return layer


def one_span(layer, X, i, w):
    """The score of one span, from the words of the docstring."""
    first, last, each = np.split(X, PARTS, axis=1)
    hidden = first[i] + last[i + w] + each[i : i + w + 1].mean(axis=0)
    hidden = np.maximum(hidden + layer.get_param("widths")[w], 0)
    return layer.get_param("W") @ hidden + layer.get_param("b")


@pytest.mark.parametrize("tokens", [0, 1, 2, 3, 7])
def test_every_span_has_the_score_of_the_formula(tokens):
    layer = make_table()
    X = RNG.normal(size=(tokens, 12))
    table = layer.predict(X)
    assert table.shape == (tokens, 3, 2)
    for i in range(tokens):
        for w in range(3):
            inside = i + w < tokens
            wanted = one_span(layer, X, i, w) if inside else np.zeros(2)
            assert table[i, w] == pytest.approx(wanted)


@pytest.mark.parametrize("tokens", [1, 2, 9])
def test_gradient_is_that_of_finite_differences(tokens):
    layer = make_table()
    X = RNG.normal(size=(tokens, 12))
    table, backprop = layer.begin_update(X)
    d_table = RNG.normal(size=table.shape)
    d_inputs = {"X": backprop(d_table)}
    d_inputs |= {name: layer.get_grad(name) for name in layer.param_names}

    def value():
        return float((layer.predict(X) * d_table).sum())

    for name, gradient in d_inputs.items():
        array = X if name == "X" else layer.get_param(name)
        for place in np.ndindex(array.shape):
            middle, step = array[place], 1e-6
            array[place] = middle + step
            above = value()
            array[place] = middle - step
            slope = (above - value()) / (2 * step)
            array[place] = middle
            assert gradient[place] == pytest.approx(slope, abs=1e-4), (name, place)


def test_a_span_does_not_depend_on_the_text_around_it():
    layer = make_table(dtype="float32")
    X = RNG.normal(size=(50, 12)).astype("float32")
    whole, part = layer.predict(X), layer.predict(X[20:30])
    assert whole[20:28] == pytest.approx(part[:8], abs=1e-5)


def test_memory_is_that_of_the_spans():
    """A long sentence: 3,000 tokens have 4.5 million spans, 36,000 of them short."""
    layer = make_table(hidden=8, max_width=12, labels=5, dtype="float32")
    X = RNG.normal(size=(3000, 24)).astype("float32")
    table, backprop = layer.begin_update(X)
    assert table.shape == (3000, 12, 5)
    assert np.isfinite(backprop(np.ones_like(table))).all()


@pytest.mark.parametrize("focus", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_gradient_of_the_loss(focus, weight):
    logits = RNG.normal(size=(4, 3, 2))
    gold, known = RNG.random((2, 4, 3, 2)) > 0.5
    _, gradient = span_loss(logits, gold, known, weight, focus)
    for place in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-5
        above, below = (
            span_loss(logits + s, gold, known, weight, focus)[0] for s in (step, -step)
        )
        assert gradient[place] == pytest.approx((above - below) / 2e-5, abs=1e-5)
    assert (gradient[~known] == 0).all()


@given(st.floats(-1e4, 1e4))
def test_the_loss_stays_finite(logit):
    logits = np.full((2, 1, 1), logit, dtype="float32")
    gold, known = np.array([[[True]], [[False]]]), np.ones((2, 1, 1), dtype=bool)
    for focus in (0.0, 2.0):
        loss, gradient = span_loss(logits, gold, known, 1.0, focus)
        assert np.isfinite(loss) and np.isfinite(gradient).all()
        assert gradient.dtype == np.float32
    assert 0 <= sigmoid(logits).min() <= sigmoid(logits).max() <= 1
