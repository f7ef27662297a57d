"""What comes after the graph of a compiled component."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from thinc.api import Model, NumpyOps

from spacy_bioner.models.compiled import (
    build_onnx_span_matcher,
    build_onnx_span_scorer,
)

WIDTH = 2


class OpsOfAGpu(NumpyOps):
    """Knows what was brought to the device: the graph's own arrays never are there."""

    def __init__(self):
        super().__init__()
        self.brought = []

    def asarray2f(self, data, *, dtype=None):
        self.brought.append(super().asarray2f(data, dtype=dtype))
        return self.brought[-1]


@pytest.fixture
def states():
    """In the place of a graph: (tokens, 3 * hidden), never contiguous."""

    def forward(model, docs, is_train):
        return [np.ones((len(doc), 9), dtype="f")[:, 1:7] for doc in docs], None

    return Model("states", forward)


def on_gpu(model):
    ops = OpsOfAGpu()
    model.get_ref("states").ops = model.ops = ops
    return ops


def test_spans_are_scored_where_the_weights_are(states):
    docs = [spacy.blank("en")(text) for text in ("a b c", "a", "")]
    scorer = build_onnx_span_scorer(states, WIDTH, 4)
    table = scorer.get_ref("table")
    table.set_dim("nO", 1)
    table.initialize()
    ops = on_gpu(scorer)
    shapes = [x.shape for x in scorer.predict(docs)]
    assert shapes == [(3, 4, 1), (1, 4, 1), (0, 4, 1)]
    assert [len(x) for x in ops.brought] == [3, 1, 0]
    assert all(x.flags.c_contiguous for x in ops.brought)


def test_candidates_are_judged_where_the_weights_are(states):
    doc = spacy.blank("en")("a b c")
    matcher = build_onnx_span_matcher(states, WIDTH, 4)
    matcher.get_ref("match").initialize()
    ops = on_gpu(matcher)
    spans = np.array([[0, 1, 0], [0, 3, 0]])
    (scores,) = matcher.predict(([doc], [spans], ["gene"]))
    assert scores.shape == (2,)
    assert [len(x) for x in ops.brought] == [3]
