"""Architecture of `instruct_ner`: an instruction and a text in one sequence, and a
tag for each word of the text.

After VANER (Bian et al. 2024, arXiv 2404.17835). The tags are B, I and O whatever is
asked for, so one head answers any instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_padded_size
from spacy.util import registry
from thinc.api import Model, torch2xp, xp2torch
from thinc.types import Floats2d

from ..errors import BionerError, Errors
from .backbone import N_TAGS, BackboneShim, Reading, Settings
from .encoding import encode
from .given import Given
from .transformer import longest_window

Ints = NDArray[np.int64]
Question = tuple[Doc, str]  # a document and an instruction


@registry.architectures("spacy-bioner.InstructedTagger.v1")
def build_instructed_tagger(
    name: str | Path = "",
    revision: str = "",
    config: dict[str, Any] = {},  # noqa: B006 (spaCy's convention)
    tokenizer: str | Path = "",
    causal: bool = False,
    window: int = 256,
    overlap: int = 32,
    word_shapes: bool = False,
    hidden: int = 0,
    dropout: float = 0.1,
    lora: dict[str, Any] = {},  # noqa: B006
    gradient_checkpointing: bool = False,
    mixed_precision: bool = True,
    chunk_pieces: int = 4096,
    loading: dict[str, Any] = {},  # noqa: B006
    save: str = "auto",
) -> Model[list[Question], list[Floats2d]]:
    """A Hugging Face encoder or decoder that is told what to find.

    name, revision (str): Name or folder of the backbone, and which version on the
        hub. Read once, when training starts.
    config (dict): Instead of a name: the configuration of a backbone with random
        weights, its `model_type` among it; needs `tokenizer`.
    tokenizer (str): Name or folder of the tokenizer, if not with the backbone.
    causal (bool): Leave a decoder its causal mask; else every piece sees every other.
        A word is read at its first piece, which then has not seen the others.
    window, overlap (int): Length of a sequence with its instruction, and what the
        texts of neighbours share, in word pieces.
    word_shapes (bool): Tell an uncased BERT the case and shape of each piece of the
        text through its token types (see `spacy_bioner.shapes`).
    hidden (int): Width of the head's hidden layer; 0: the head is linear.
    dropout (float): On the head's inputs; replaced by `training.dropout` in training.
    lora (dict): Settings of peft.LoraConfig, such as `r` and `target_modules`; the
        backbone's own weights are frozen then. Empty: they are trained.
    gradient_checkpointing (bool): Compute layers twice in training, to save memory.
    mixed_precision (bool): bfloat16 where the processor has it.
    chunk_pieces (int): At most so many padded word pieces a call of the backbone.
    loading (dict): Passed on to `from_pretrained`, such as `torch_dtype` or
        `load_in_4bit`.
    save (str): "all" weights; "trained": adapters and head only, the backbone is
        looked up by its name and revision; "auto": "trained" under LoRA on a backbone
        from the hub, "all" else. Without LoRA everything was trained, and is saved.
    RETURNS (Model): Questions to the scores of O, B and I.  # (tokens, 3) each
    Raises BionerError for settings that cannot work.
    """
    settings = Settings(
        name=str(name or ""),
        revision=revision,
        config=dict(config),
        tokenizer=str(tokenizer or ""),
        causal=causal,
        word_shapes=word_shapes,
        hidden=hidden,
        lora=dict(lora),
        gradient_checkpointing=gradient_checkpointing,
        mixed_precision=mixed_precision,
        loading=dict(loading),
        save=save,
    )
    return Model(
        "instructed_tagger",
        forward,
        init=init,
        dims={"nO": N_TAGS},
        attrs={
            "dropout_rate": dropout,
            "window": Given(window),
            "overlap": Given(overlap),
            "chunk": Given(chunk_pieces),
        },
        shims=[BackboneShim(settings)],
    )


def init(model: Model, X=None, Y=None) -> None:
    """Read the pretrained backbone, unless a trained one is loaded already.

    Raises BionerError for a window that it cannot hold.
    """
    shim = cast(BackboneShim, model.shims[0])
    if shim.reading is None:
        shim.load()
    config, window = shim.backbone.config, model.attrs["window"]
    limit = longest_window(shim.backbone, window)
    if window > limit:
        numbers = {"window": window, "limit": limit}
        raise BionerError(Errors.BA18.format(name=config.model_type, **numbers))


@dataclass
class Packed:
    """One sequence: an instruction and a window of a document.

    ids, shapes (arrays): Its pieces; the instruction has shape 0.  # (pieces,)
    rows (array): Where each of its words is read, in pieces.  # (words,)
    words (array): Which words they are among all of a batch.  # (words,)
    """

    ids: Ints
    shapes: Ints
    rows: Ints
    words: Ints

    def __len__(self) -> int:
        return len(self.ids)


def pack(
    reading: Reading, question: Question, place: int, window: int, overlap: int
) -> Iterator[Packed]:
    """The sequences of one question: the instruction before each window of the text.

    place (int): The number of the document's first word in the batch.
    Raises BionerError for an instruction that fills the window.
    """
    doc, instruction = question
    asked = reading.tokenizer.encode(instruction, add_special_tokens=False).ids
    head = [*reading.before, *asked, *reading.between]
    room = window - len(head) - len(reading.after)
    if room <= overlap:
        numbers = {"size": len(asked), "window": window, "overlap": overlap}
        raise BionerError(Errors.BA14.format(instruction=instruction, **numbers))
    encoded = encode(reading.tokenizer, doc, room + 2, overlap)
    for part in encoded.windows:
        if not len(part.tokens):
            continue
        text = encoded.ids[part.start : part.stop]
        ids = np.concatenate([head, text, reading.after]).astype("int64")
        shapes = np.zeros_like(ids)
        shapes[len(head) : len(head) + len(text)] = encoded.shapes[
            part.start : part.stop
        ]
        # A word without pieces is read at what comes before the text.
        yield Packed(ids, shapes, part.rows + len(head), part.tokens + place)


def forward(
    model: Model, questions: list[Question], is_train: bool
) -> tuple[list[Floats2d], Callable]:
    shim = cast(BackboneShim, model.shims[0])
    if shim.reading is None:
        raise BionerError(Errors.BA15)
    ops, attrs = model.ops, model.attrs
    dropout = attrs["dropout_rate"] if is_train else 0.0
    places = np.cumsum([0, *(len(doc) for doc, _ in questions)])
    packed = [
        part
        for question, place in zip(questions, places[:-1].tolist(), strict=True)
        for part in pack(
            shim.reading, question, place, attrs["window"], attrs["overlap"]
        )
    ]
    logits = ops.alloc2f(int(places[-1]), N_TAGS)
    calls: list[tuple[Callable, Any]] = []
    for chunk in _chunks(packed, attrs["chunk"]):
        batch = collate(chunk, shim.reading.pad, shim.device)
        Y, backprop_chunk = shim({**batch, "dropout": dropout}, is_train)
        words = ops.xp.asarray(np.concatenate([part.words for part in chunk]))
        logits[words] = cast(Floats2d, torch2xp(Y.detach()))
        if is_train:
            calls.append((backprop_chunk, words))

    def backprop(d_questions: list[Floats2d]) -> list[Question]:
        d_logits = ops.xp.concatenate(d_questions) if calls else logits
        for backprop_chunk, words in calls:
            gradient = ops.xp.ascontiguousarray(d_logits[words])
            backprop_chunk(xp2torch(gradient, device=shim.device))
        return questions

    return ops.xp.split(logits, places[1:-1].tolist()) if questions else [], backprop


def _chunks(packed: list[Packed], budget: int) -> Iterator[list[Packed]]:
    """Sequences of like length together, at most `budget` padded pieces."""
    if packed:
        yield from minibatch_by_padded_size(packed, budget, buffer=len(packed))


def collate(chunk: list[Packed], pad: int, device: Any) -> dict[str, Any]:
    """Sequences as one padded batch of tensors.

    RETURNS (dict): ids, shapes (rows, pieces); lengths (rows,); which and piece, the
        sequence and place where each word is read (words,).
    """
    import torch

    lengths = np.array([len(part) for part in chunk])
    ids = np.full((len(chunk), lengths.max()), pad, dtype="int64")
    shapes = np.zeros_like(ids)
    for i, part in enumerate(chunk):
        ids[i, : len(part)] = part.ids
        shapes[i, : len(part)] = part.shapes
    arrays = {
        "ids": ids,
        "shapes": shapes,
        "lengths": lengths,
        "which": np.repeat(np.arange(len(chunk)), [len(p.rows) for p in chunk]),
        "piece": np.concatenate([part.rows for part in chunk]),
    }
    return {k: torch.from_numpy(v).to(device) for k, v in arrays.items()}
