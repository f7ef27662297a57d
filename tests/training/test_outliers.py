"""Outlier channels: found, tamed, and nothing computed differently."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest

from spacy_bioner.training.outliers import (
    MOST,
    Channels,
    shrink_attention,
    tame_outliers,
)


@pytest.fixture
def body(tiny_trained):
    return copy.deepcopy(tiny_trained.get_pipe("transformer").model.transformer).eval()


def largest(body, ids, layer) -> list[float]:
    """The largest input of each channel of a layer, sorted."""
    import torch

    seen = []
    hook = layer.register_forward_pre_hook(lambda _, x: seen.append(x[0].abs()))
    with torch.no_grad():
        body(input_ids=torch.from_numpy(ids)[None])
    hook.remove()
    return sorted(seen[0].flatten(end_dim=-2).amax(dim=0).tolist())


def test_large_channels_are_split_off_or_shrink_and_the_states_stay(body):
    import torch

    before_it, layer = body.encoder.layer
    before_it.output.LayerNorm.bias.data[4] = 80.0
    layer.intermediate.dense.bias.data[[3, 8]] = 200.0
    layer.attention.self.value.bias.data[5] = 90.0
    layer.attention.output.LayerNorm.bias.data[2] = 70.0
    ids = np.arange(20) % 60
    inputs = {"input_ids": torch.from_numpy(ids)[None]}
    mixed = layer.attention.output.dense
    before = body(**inputs).last_hidden_state.detach()
    assert largest(body, ids, mixed)[-1] > 50
    at_attention = tame_outliers(body.encoder, lambda: body(**inputs))
    after = body(**inputs).last_hidden_state.detach()
    np.testing.assert_allclose(after, before, atol=1e-4)
    split = layer.output.dense
    assert np.nonzero(split.share.numpy() == 0)[0].tolist() == [3, 8]
    assert split.outliers.in_features == 2
    assert not split.dense.weight.data[:, [3, 8]].any()
    for shrunk in (mixed, layer.intermediate.dense.dense):
        peaks = largest(body, ids, shrunk)
        assert peaks[-1] < 5 * peaks[-MOST - 1]
    # What is one node with the attention, or follows it, stays a plain layer.
    attention = layer.attention
    for plain in (attention.output.dense, attention.self.query, attention.self.value):
        assert isinstance(plain, torch.nn.Linear)
    # A channel that is large everywhere is moved instead.
    assert at_attention[1].middle.argmax() == 4
    assert at_attention[1].middle[4] > 50 > 5 > at_attention[1].factor[4]


def test_channels_that_vary_more_than_others_are_shrunk(body):
    import torch

    before_it, layer = body.encoder.layer
    before_it.output.LayerNorm.weight.data[4] = 80.0
    inputs = {"input_ids": torch.from_numpy(np.arange(20) % 60)[None]}
    before = body(**inputs).last_hidden_state.detach()
    factor = tame_outliers(body.encoder, partial(body, **inputs))[1].factor
    after = body(**inputs).last_hidden_state.detach()
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert factor.argmax() == 4
    assert factor.min() == 1 and np.median(factor) < 1.1 < 5 < factor.max()


def test_attention_in_a_graph_computes_the_same_from_a_shrunk_input():
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime import InferenceSession

    rng = np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(4, 12)), "b": rng.normal(size=12)}
    tables = [numpy_helper.from_array(v.astype("f"), k) for k, v in arrays.items()]
    made = {"name": "attention", "domain": "com.microsoft", "num_heads": 2}
    node = helper.make_node("Attention", ["x", "w", "b"], ["y"], **made)
    ends = [helper.make_tensor_value_info(k, TensorProto.FLOAT, None) for k in "xy"]
    graph = helper.make_graph([node], "graph", ends[:1], ends[1:], tables)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=9)
    inputs = {"x": rng.normal(size=(1, 5, 4)).astype("f")}
    (before,) = InferenceSession(model.SerializeToString()).run(None, inputs)
    middle, factor = np.array([[0, 3, 0, -1], [1, 1, 8, 1]], dtype="f")
    shrink_attention(model, [Channels(middle, factor)])
    (after,) = InferenceSession(model.SerializeToString()).run(None, inputs)
    np.testing.assert_allclose(after, before, atol=1e-5)
    assert [n.op_type for n in model.graph.node] == ["Mul", "Sub", "Attention"]
    shrunk = numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_allclose(shrunk[2], 8 * arrays["w"][2], rtol=1e-5)


def test_no_channel_is_split_off_where_none_stands_out(body):
    import torch

    inputs = {"input_ids": torch.from_numpy(np.arange(20) % 60)[None]}
    before = body(**inputs).last_hidden_state.detach()
    tame_outliers(body.encoder, partial(body, **inputs))
    after = body(**inputs).last_hidden_state.detach()
    np.testing.assert_allclose(after, before, atol=1e-5)
    for layer in body.encoder.layer:
        shrunk = layer.output.dense
        assert not hasattr(shrunk, "outliers")
        assert 0 < shrunk.share.min() < shrunk.share.max() == 1
