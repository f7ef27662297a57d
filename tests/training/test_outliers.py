"""Outlier channels: found, tamed, and nothing computed differently."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from spacy_bioner.training.outliers import MOST, tame_outliers


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


def test_outlier_channels_are_split_off_or_shrink_and_the_states_stay(body):
    import torch

    layer = body.encoder.layer[1]
    layer.intermediate.dense.bias.data[[3, 8]] = 200.0
    layer.attention.self.value.bias.data[5] = 90.0
    ids = np.arange(20) % 60
    windows = [(ids, ids * 0), (ids[:5], ids[:5] * 0)]
    inputs = {"input_ids": torch.from_numpy(ids)[None]}
    mixed = layer.attention.output.dense
    before = body(**inputs).last_hidden_state.detach()
    assert largest(body, ids, mixed)[-1] > 50
    tame_outliers(body, windows)
    after = body(**inputs).last_hidden_state.detach()
    np.testing.assert_allclose(after, before, atol=1e-4)
    split = layer.output.dense
    assert np.nonzero(split.keep.numpy() == 0)[0].tolist() == [3, 8]
    assert split.outliers.in_features == 2
    peaks = largest(body, ids, mixed)
    assert peaks[-1] < 5 * peaks[-MOST - 1]
    # What is one node with the attention, or follows it, stays a plain layer.
    attention = layer.attention
    for plain in (attention.output.dense, attention.self.query, attention.self.value):
        assert isinstance(plain, torch.nn.Linear)


def test_a_layer_without_outliers_is_left_alone(body):
    import torch

    ids = np.arange(20) % 60
    tame_outliers(body, [(ids, ids * 0)])
    kinds = {type(layer.output.dense) for layer in body.encoder.layer}
    assert kinds == {torch.nn.Linear}
