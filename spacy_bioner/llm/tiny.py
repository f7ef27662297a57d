"""A tiny causal model with random weights, so that the whole chain can run in minutes.

python -m spacy_bioner.llm.tiny OUT CHATS.jsonl
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import srsly

from .alignment import HAN

END, UNKNOWN = "<end>", "<unknown>"
# A space, a Chinese character, a word, or a sign: brackets are tokens of their own.
PIECE = rf"\s|[{HAN}]|[^\W{HAN}]+|[^\w\s]"


def make_tiny_causal(
    texts: Iterable[str],
    output: Path,
    *,
    width: int = 64,
    layers: int = 2,
    positions: int = 1024,
    seed: int = 0,
) -> None:
    """Save a LLaMA with random weights, and a tokenizer whose vocabulary is the words
    and signs of `texts`; text of those comes back from it as it was.

    A line that a fifth of the texts share is one token: instructions are long, and here
    they are only to be told apart.

    width (int): Size of the hidden states.
    positions (int): The longest prompt and answer.
    """
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(special_tokens=[END, UNKNOWN])
    texts = list(texts)
    tokenizer.train_from_iterator(texts, trainer)
    # dict and not set: the same numbers for the same lines in every process
    by_text = (dict.fromkeys(text.split("\n")) for text in texts)
    lines = Counter(line for of_text in by_text for line in of_text if line)
    tokenizer.add_tokens([line for line, n in lines.items() if n > len(texts) / 5])
    fast: Any = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, unk_token=UNKNOWN
    )
    fast.save_pretrained(output)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(output)


def main(output: str, *paths: str) -> None:
    rows = [row for path in paths for row in srsly.read_jsonl(path)]
    texts = [message["content"] for row in rows for message in row["messages"]]
    make_tiny_causal([f"{text}\n" for text in texts], Path(output))


if __name__ == "__main__":
    main(*sys.argv[1:])
