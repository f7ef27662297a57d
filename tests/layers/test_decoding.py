"""From tag scores to spans with probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toy import best_paths

from spacy_bioner.layers.decoding import average_label, decode_spans, log_softmax
from spacy_bioner.tags import decode

LABELS = ["A", "B"]
LOGITS = st.integers(0, 6).flatmap(
    lambda n: arrays("float32", (n, 5), elements=st.floats(-90, 90, width=32))
)


@given(st.lists(LOGITS, max_size=3), st.sampled_from([0.3, 1.0, 4.0]))
def test_spans_are_the_best_path_with_probabilities(logits, temperature):
    found = decode_spans(logits, LABELS, temperature)
    assert [[s[:3] for s in spans] for spans in found] == [
        decode(path, LABELS) for path in best_paths(logits)
    ]
    assert all(0.0 <= span[3] <= 1.0 for spans in found for span in spans)


def test_probability_is_that_of_the_least_certain_tag():
    probs = np.array([[0.1, 0.8, 0.1], [0.2, 0.1, 0.7], [0.6, 0.0, 0.4]]) + 1e-9
    ((span,),) = decode_spans([np.log(probs)], ["A"], 1.0)
    assert span[:3] == (0, 2, "A") and span[3] == pytest.approx(0.6)
    ((span,),) = decode_spans([np.log(probs[:2])], ["A"], 1.0)
    assert span[3] == pytest.approx(0.7)


def test_higher_temperature_is_less_certain_about_the_same_spans():
    logits = [np.array([[0, 4, 0], [5, 0, 0]], dtype="float32")]
    ((sharp,),), ((flat,),) = (decode_spans(logits, ["A"], t) for t in (1.0, 5.0))
    assert sharp[:3] == flat[:3] and sharp[3] > flat[3]


@given(LOGITS)
def test_log_softmax_sums_to_one(logits):
    assert np.allclose(np.exp(log_softmax(logits)).sum(axis=-1), 1.0, atol=1e-5)


def test_average_of_one_head_with_one_label_is_its_own_opinion():
    logits = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    mean = average_label([(logits, ["A"], 1.0)], "A")
    assert np.allclose(mean, log_softmax(logits), atol=1e-5)


def test_average_counts_other_labels_as_outside_and_weighs_heads_alike():
    knows_both = np.log(np.array([[0.1, 0.2, 0.1, 0.5, 0.1]]))  # O B-A I-A B-B I-B
    knows_b = np.log(np.array([[0.3, 0.6, 0.1]]))
    mean = average_label([(knows_both, LABELS, 1.0), (knows_b, ["B"], 1.0)], "B")
    expected = (np.log([0.4, 0.5, 0.1]) + np.log([0.3, 0.6, 0.1])) / 2
    assert np.allclose(mean, expected, atol=1e-6)
