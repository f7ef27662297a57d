"""Outlier channels: found, taken out, and nothing computed differently."""

from __future__ import annotations

import copy

import numpy as np

from spacy_bioner.training.outliers import split_outliers


def test_an_outlier_channel_is_split_off_and_the_states_stay(tiny_trained):
    import torch

    encoder = tiny_trained.get_pipe("transformer").model.transformer
    body = copy.deepcopy(encoder).eval()
    body.encoder.layer[1].intermediate.dense.bias.data[[3, 8]] = 200.0
    ids = np.arange(20) % 60
    windows = [(ids, ids * 0), (ids[:5], ids[:5] * 0)]
    inputs = {"input_ids": torch.from_numpy(ids)[None]}
    with torch.no_grad():
        before = body(**inputs).last_hidden_state
        split_outliers(body, windows)
        after = body(**inputs).last_hidden_state
    np.testing.assert_allclose(after, before, atol=1e-4)
    split = body.encoder.layer[1].output.dense
    assert split.outliers.in_features == 2
    assert np.nonzero(split.keep.numpy() == 0)[0].tolist() == [3, 8]
    query = body.encoder.layer[0].attention.self.query
    assert isinstance(query, torch.nn.Linear)  # fused with the attention
