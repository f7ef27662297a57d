"""What a config says of a sourced encoder reaches it."""

import pytest
import spacy
from toy import toy_examples, transformer_pipeline

from spacy_bioner.training.callbacks import create_encoder_dropout


def test_dropout_is_set_in_hidden_layers_only_and_kept(tiny_encoder, tmp_path):
    torch = pytest.importorskip("torch")
    nlp = transformer_pipeline(tiny_encoder)
    nlp.initialize(lambda: toy_examples(nlp))
    encoder = nlp.get_pipe("transformer").model.transformer
    attention = encoder.config.attention_probs_dropout_prob
    create_encoder_dropout(0.35)(nlp)
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved").get_pipe("transformer").model.transformer
    rates = {
        name: module.p
        for name, module in loaded.named_modules()
        if isinstance(module, torch.nn.Dropout)
    }
    assert rates["embeddings.dropout"] == 0.35
    assert rates["encoder.layer.0.output.dropout"] == 0.35
    assert rates["encoder.layer.0.attention.self.dropout"] == attention != 0.35


def test_an_encoder_that_is_not_read_yet_is_left_alone(tiny_encoder):
    nlp = transformer_pipeline(tiny_encoder)
    assert create_encoder_dropout(0.35)(nlp) is nlp
