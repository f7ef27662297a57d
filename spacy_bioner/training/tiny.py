"""A tiny random encoder, so that the whole project can run in a minute.

python -m spacy_bioner.training.tiny OUT TEXTS…
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from .texts import read_texts


def make_tiny_encoder(
    texts: Iterable[str], output: Path, *, width: int = 64, seed: int = 0
) -> None:
    """Save an uncased BERT of two layers with random weights, and a word piece
    vocabulary made from `texts`.

    width (int): Size of the hidden states.
    """
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

    pieces = BertWordPieceTokenizer(lowercase=True)
    pieces.train_from_iterator(texts, vocab_size=1000, min_frequency=1)
    output.mkdir(parents=True, exist_ok=True)
    pieces.save_model(str(output))
    BertTokenizerFast(str(output / "vocab.txt"), model_max_length=128).save_pretrained(
        output
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=pieces.get_vocab_size(),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.1,
    )
    BertForMaskedLM(config).save_pretrained(output)


if __name__ == "__main__":
    make_tiny_encoder(read_texts([Path(p) for p in sys.argv[2:]]), Path(sys.argv[1]))
