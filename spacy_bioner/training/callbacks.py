"""Settings of a sourced encoder that a config cannot reach otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.util import registry


@registry.callbacks("spacy-bioner.encoder_dropout.v1")
def create_encoder_dropout(rate: float) -> Callable[[Language], Language]:
    """For `[initialize.before_init]`: set the dropout of the encoder's hidden layers.

    `training.dropout` reaches only thinc's layers, and a sourced component keeps the
    settings that it was trained with. Attention keeps its own rate: dropping there
    costs the fast kernels.

    rate (float): Of BERT's `hidden_dropout_prob`; saved with the pipeline.
    """

    def set_rate(nlp: Language) -> Language:
        pipe: Any = nlp.get_pipe("transformer")
        if pipe.model.attrs["has_transformer"]:
            set_hidden_dropout(pipe.model.transformer, rate)
        return nlp

    return set_rate


def set_hidden_dropout(encoder: Any, rate: float) -> None:
    """Change a BERT-like encoder in place, its config too."""
    import torch

    encoder.config.hidden_dropout_prob = rate
    for name, module in encoder.named_modules():
        if isinstance(module, torch.nn.Dropout) and "attention.self" not in name:
            module.p = rate
