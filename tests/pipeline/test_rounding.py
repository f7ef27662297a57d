"""Weights on the grid of int8: which grid, and what a layer's output loses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_bioner.pipeline.rounding import STEPS, round_to_grid, round_weights


def alike(rng, rows: int, width: int):
    """Inputs that have a good deal to do with each other.  # (rows, width)"""
    return rng.normal(size=(rows, 3)) @ rng.normal(size=(3, width)) + 0.3 * rng.normal(
        size=(rows, width)
    )


def round_each(weights):
    scales = np.abs(weights).max(axis=0) / STEPS
    return np.round(weights / scales) * scales


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_rounded_weights_are_steps_of_the_same_scale(seed, width, outputs):
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(width, outputs))
    states = alike(rng, 40, width)
    rounded = round_to_grid(weights, states.T @ states)
    scales = np.abs(weights).max(axis=0) / STEPS
    steps = rounded / scales
    np.testing.assert_allclose(steps, steps.round(), atol=1e-6)
    # The largest stays, so whoever quantizes them next finds the same scale.
    np.testing.assert_allclose(np.abs(rounded).max(axis=0), np.abs(weights).max(axis=0))
    assert np.abs(rounded - weights).max(axis=0).max() <= 2 * np.abs(weights).max()


def test_a_layer_of_like_inputs_loses_less():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(64, 16))
    seen, new = np.split(alike(rng, 1000, 64), 2)
    ours, nearest = (
        np.abs(new @ (rounded - weights)).mean()
        for rounded in (round_to_grid(weights, seen.T @ seen), round_each(weights))
    )
    assert ours < 0.7 * nearest


def test_inputs_that_are_always_zero_and_outputs_that_are_do_no_harm():
    weights, states = np.ones((4, 3)), np.eye(4)
    states[2], weights[:, 1] = 0, 0
    rounded = round_to_grid(weights, states)
    np.testing.assert_allclose(rounded, weights)
    np.testing.assert_allclose(round_to_grid(weights, np.zeros((4, 4))), weights)


def make_layers(rng):
    """A graph of two linear layers, and their weights."""
    helper = pytest.importorskip("onnx.helper")
    from onnx import TensorProto, numpy_helper

    arrays = {k: rng.normal(size=(6, 6)).astype("f") for k in ("v", "w")}
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["h"], name="dense"),
        helper.make_node("MatMul", ["h", "w"], ["y"], name="/outliers/MatMul"),
    ]
    ends = [
        helper.make_tensor_value_info(k, TensorProto.FLOAT, [None, 6]) for k in "xy"
    ]
    tables = [numpy_helper.from_array(v, k) for k, v in arrays.items()]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], tables)
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return model, arrays


def read_tables(model):
    from onnx import numpy_helper

    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def test_layers_of_a_graph_are_rounded_but_those_in_fp32():
    rng = np.random.default_rng(0)
    model, arrays = make_layers(rng)
    inputs = [{"x": alike(rng, 20, 6).astype("f")} for _ in range(3)]
    round_weights(model, inputs, "dense".__eq__)
    after = read_tables(model)
    np.testing.assert_array_equal(after["w"], arrays["w"])
    steps = after["v"] / np.abs(arrays["v"]).max(axis=0) * STEPS
    np.testing.assert_allclose(steps, steps.round(), atol=1e-4)
    assert [value.name for value in model.graph.output] == ["y"]


def test_quantizing_changes_rounded_weights_no_more(tmp_path):
    """Its grid is onnxruntime's, which could choose another."""
    rng = np.random.default_rng(1)
    model, _ = make_layers(rng)
    import onnx

    from spacy_bioner.pipeline.export import _quantize

    inputs = [{"x": alike(rng, 20, 6).astype("f")} for _ in range(3)]
    round_weights(model, inputs, "dense".__eq__)
    onnx.save(model, tmp_path / "graph.onnx")
    _quantize(tmp_path / "graph.onnx")
    quantized = read_tables(onnx.load(tmp_path / "graph.onnx"))
    weights = quantized["v_quantized"] * quantized["v_scale"]
    np.testing.assert_allclose(weights, read_tables(model)["v"], rtol=1e-5)
