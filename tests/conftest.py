"""Fixtures: an encoder and pipelines small enough to make in a second."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed
from toy import transformer_pipeline

from spacy_bioner.tokenizer import make_tokenizer

HEADS = {
    "diseases": ["DISEASE"],
    "mixed": ["CHEMICAL", "DISEASE"],
    "everyday": ["THING"],
}

os.environ["TOKENIZERS_PARALLELISM"] = "false"
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")
try:
    import torch
except ImportError:  # the compiled form's tests need none
    pass
else:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same random numbers for every test, whichever run before it."""
    fix_random_seed(0)


def make_encoder(folder: Path) -> None:
    """A two-layer BERT with a vocabulary of characters and a few words."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    characters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    words = ["cancer", "the", "of", "mutation", "gene", "patients", "renal", "acid"]
    pieces = [*special, *characters, *(f"##{c}" for c in characters), *words]
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab={piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.enable_truncation(8)  # as some published tokenizers come
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True))
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)


def make_trained(encoder: Path) -> Language:
    """A pipeline with random weights, of a size that finds entities everywhere."""
    import torch

    torch.manual_seed(0)
    # It is sure of little.
    nlp = transformer_pipeline(str(encoder), general=["everyday"], consistent=False)
    nlp.tokenizer = make_tokenizer(nlp.vocab)
    nlp.add_pipe("sentencizer", first=True)
    example = Example(Doc(nlp.vocab, ["renal", "cancer"]), Doc(nlp.vocab, ["renal"]))
    nlp.config["initialize"]["components"]["ner"] = {"labels": HEADS}
    nlp.initialize(lambda: [example])
    with torch.no_grad():
        shapes = nlp.get_pipe("transformer").model.transformer.embeddings
        shapes.token_type_embeddings.weight.normal_(0, 0.3)
    heads, rng = nlp.get_pipe("ner").model.get_ref("heads"), np.random.default_rng(0)
    for name in heads.param_names:
        shape = heads.get_param(name).shape
        heads.set_param(name, rng.normal(0, 0.3, shape).astype("float32"))
    nlp.meta["performance"] = {"heads_f": 0.5}
    return nlp


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """A folder with a two-layer BERT: width 32, windows of at most 32 pieces."""
    pytest.importorskip("spacy_transformers")
    import torch

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    make_encoder(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_trained(tiny_encoder) -> Language:
    """In trainable form: sentencizer, transformer, ner (two heads and a general)."""
    return make_trained(tiny_encoder)


@pytest.fixture(scope="session")
def tiny_compiled(tiny_trained) -> Language:
    """The same in compiled form, int8."""
    pytest.importorskip("onnx")
    from spacy_bioner.pipeline.export import compile_pipeline

    return compile_pipeline(tiny_trained)
