"""Scores of spans against a slow reference, gradients against finite differences."""

import numpy as np
import pytest

from spacy_bioner.layers.span_match import SpanMatch

HIDDEN, WIDTHS, ROWS = 4, 3, 10
SPANS = np.array([[0, 1, 0], [1, 6, 1], [2, 4, 2], [5, 6, 0], [2, 4, 0]])
FEATURES = [np.array([1, 4]), np.array([4, 7, 9]), np.array([], dtype="int64")]


@pytest.fixture
def layer():
    model = SpanMatch(HIDDEN, WIDTHS, ROWS)
    model.initialize()
    rng = np.random.default_rng(0)
    for name in model.param_names:
        shape = model.get_param(name).shape
        model.set_param(name, rng.normal(size=shape).astype("float32"))
    return model


@pytest.fixture
def tokens():
    shape = 6, 3 * HIDDEN
    return np.random.default_rng(1).normal(size=shape).astype("float32")


def slow(model, tokens, span):
    first, last, each = np.split(tokens, 3, axis=1)
    start, end, label = span
    width = min(end - start, WIDTHS) - 1
    hidden = first[start] + last[end - 1] + each[start:end].mean(axis=0)
    hidden = np.maximum(hidden + model.get_param("widths")[width], 0)
    rows = FEATURES[label]
    vector = model.get_param("labels")[rows].sum(axis=0) / max(len(rows), 1)
    wanted = model.get_param("w")[0] + vector[:-1]
    return hidden @ wanted + vector[-1] + model.get_param("b")[0]


def test_scores_are_those_of_the_definition(layer, tokens):
    scores = layer.predict((tokens, SPANS, FEATURES))
    expected = [slow(layer, tokens, span) for span in SPANS.tolist()]
    assert scores == pytest.approx(expected, abs=1e-5)
    assert layer.predict((tokens, SPANS[:0], FEATURES)).shape == (0,)


def test_a_label_is_judged_as_any_entity_before_it_is_learnt(tokens):
    model = SpanMatch(HIDDEN, WIDTHS, ROWS)
    model.initialize()
    spans = np.array([[1, 3, label] for label in range(3)])
    scores = model.predict((tokens, spans, FEATURES))
    assert (scores == scores[0]).all()


def test_gradients(layer, tokens):
    d_scores = np.array([0.5, -1.0, 2.0, 0.3, -0.7], dtype="float32")

    def loss():
        return float(layer.predict((tokens, SPANS, FEATURES)) @ d_scores)

    _, backprop = layer((tokens, SPANS, FEATURES), is_train=True)
    d_tokens = backprop(d_scores)
    pairs = [(tokens, d_tokens)]
    pairs += [(layer.get_param(n), layer.get_grad(n)) for n in layer.param_names]
    for values, gradient in pairs:
        numeric = np.zeros_like(gradient)
        for place in np.ndindex(values.shape):
            before, ends = values[place], []
            for step in (1e-2, -1e-2):
                values[place] = before + step
                ends.append(loss())
            values[place] = before
            numeric[place] = (ends[0] - ends[1]) / 2e-2
        assert gradient == pytest.approx(numeric, abs=2e-2)
