"""Chats as tokens: the same in training and when a model is asked.

With a chat template in its tokenizer, a model sees prompts as that template writes
them; without one, it sees the prompt and a line break. Either way an answer ends with
the tokenizer's end-of-sequence token, which is what stops a model that has learnt it.
"""

from __future__ import annotations

from typing import Any

from ..errors import BionerError, Errors

DTYPES = ("bfloat16", "float32")


def prompt_ids(tokenizer, messages: list[dict[str, str]]) -> list[int]:
    """The tokens up to where the answer begins.

    messages (list): Each with a `role` and a `content`.
    """
    if tokenizer.chat_template:
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True))
    text = "".join(f"{message['content']}\n" for message in messages)
    first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return first + _plain(tokenizer, text)


def answer_ids(tokenizer, answer: str) -> list[int]:
    """The tokens of an answer, and the one that ends it."""
    return [*_plain(tokenizer, answer), tokenizer.eos_token_id]


def _plain(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


def load_tokenizer(name: str):
    """A tokenizer that can end an answer. Raises BionerError for any other."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # of many kinds, by file and by kind of tokenizer
        raise cannot_load(name, error) from None
    if tokenizer.eos_token_id is None:
        raise BionerError(Errors.B720.format(name=name))
    return tokenizer


def load_model(name: str, *, device: str, dtype: str, four_bit: bool = False):
    """A causal model, or an adapter on the one it was trained on.

    name (str): Folder, or name on the hub.
    device (str): Such as "cpu" or "cuda:0"; "auto": a GPU if there is one.
    dtype (str): Of the weights: "bfloat16" or "float32".
    four_bit (bool): Hold the weights of the layers in 4 bits (NF4, the scales
        quantized too: Dettmers et al., arXiv 2305.14314), compute in `dtype`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if dtype not in DTYPES:
        expected = " or ".join(DTYPES)
        raise BionerError(
            Errors.B709.format(name="dtype", value=dtype, expected=expected)
        )
    device = choose_device(device)
    settings: dict[str, Any] = {"torch_dtype": getattr(torch, dtype)}
    if four_bit:
        settings["quantization_config"] = _nf4(settings["torch_dtype"])
        settings["device_map"] = {"": device}
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **settings)
        return model if four_bit else model.to(device)
    except Exception as error:
        raise cannot_load(name, error) from None


def choose_device(device: str) -> str:
    import torch

    if device == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return device


def _nf4(dtype):
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        package = "spacy-bioner[llm-4bit]"
        raise BionerError(Errors.B715.format(module="bitsandbytes", package=package))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def cannot_load(name: str, error: Exception) -> BionerError:
    """In one line."""
    reason = " ".join(str(error).split())[:200]
    return BionerError(Errors.B716.format(name=name, error=reason))
