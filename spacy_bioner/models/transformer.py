"""The trainable encoder: spacy-transformers' model with word shapes and windows.

What differs from `spacy-transformers.TransformerModel.v3`: windows are cut by word
pieces, so nothing is ever truncated; each token reads its first piece in the window
that gives it most context; the windows of a batch run sorted by length in chunks, so
little is padding and memory is bounded; mixed precision is bfloat16, on a CPU that
has it too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from ..errors import BionerError, Errors
from ..layers.windows import Window
from ..shapes import N_SHAPES
from .encoding import Encoded, encode_all, uncut
from .given import Given


def add_word_shapes(encoder) -> None:
    """Grow a BERT-like encoder's token-type table to one row a word shape.

    New rows start as copies of row 0, the type of every plain text: the encoder's
    output is unchanged until it is trained.

    encoder (transformers.PreTrainedModel): Changed in place, its config too.
    """
    import torch

    old = encoder.embeddings.token_type_embeddings
    if old.num_embeddings == N_SHAPES:
        return
    new = torch.nn.Embedding(N_SHAPES, old.embedding_dim)
    new.weight.data[:] = old.weight.data[0]
    new = new.to(old.weight.device, old.weight.dtype)
    encoder.embeddings.token_type_embeddings = new
    encoder.config.type_vocab_size = N_SHAPES


@registry.architectures("spacy-bioner.TransformerModel.v1")
def build_transformer(
    name: str,
    window: int = 256,
    overlap: int = 32,
    word_shapes: bool = True,
    mixed_precision: bool = True,
    chunk_pieces: int = 4096,
    tokenizer_config: dict[str, Any] = {},  # noqa: B006 (spaCy's convention)
    transformer_config: dict[str, Any] = {},  # noqa: B006
) -> Model:
    """A Hugging Face encoder for spacy-transformers' `transformer` component.

    name (str): Name or folder of the encoder; read once, when training starts.
    window, overlap (int): Length of a window and what neighbours share, in word
        pieces.
    word_shapes (bool): Tell an uncased encoder the case and shape of each piece
        through its token types (see `spacy_bioner.shapes`).
    mixed_precision (bool): bfloat16 where the processor has it.
    chunk_pieces (int): At most so many padded word pieces a call of the encoder.
    RETURNS (Model[List[Doc], FullTransformerBatch]): For the `transformer` factory.
    """
    import torch
    from spacy_transformers.layers.transformer_model import TransformerModel

    if not 0 <= overlap < window - 2:
        expected = f"from 0 to {window - 3}, less than what a window of {window} holds"
        numbers = {"name": "overlap", "value": overlap, "expected": expected}
        raise BionerError(Errors.BA17.format(**numbers))
    on_gpu = torch.cuda.is_available()
    if mixed_precision and on_gpu:
        torch.set_autocast_dtype("cuda", torch.bfloat16)
    model = TransformerModel(
        name,
        get_spans=_whole_documents,
        tokenizer_config={"use_fast": True, **tokenizer_config},
        transformer_config=dict(transformer_config),
        mixed_precision=mixed_precision and on_gpu,
        grad_scaler_config={"enabled": False},
    )
    if word_shapes:
        model.attrs["set_transformer"] = partial(
            set_shaped_transformer, model.attrs["set_transformer"]
        )
    model.attrs["replace_listener_cfg"] = refuse_to_replace_listeners
    model.init = init
    model._func = forward
    model.layers[0].attrs["convert_inputs"] = _as_keywords
    model.layers[0].attrs["convert_outputs"] = _as_float32
    model.attrs["word_shapes"] = word_shapes
    # bf16 is what is wished, not what this processor can: a pipeline is saved with it.
    model.attrs.update(
        window=Given(window),
        overlap=Given(overlap),
        chunk=Given(chunk_pieces),
        bf16=Given(mixed_precision),
    )
    return model


def set_shaped_transformer(set_transformer: Callable, model: Any, hf_model) -> None:
    """spacy-transformers' own, of an encoder with word shapes."""
    add_word_shapes(hf_model.transformer)
    set_transformer(model, hf_model)


def refuse_to_replace_listeners(*_) -> dict[str, Any]:
    """spacy-transformers would copy the encoder without its windows and shapes."""
    raise BionerError(Errors.B306)


def has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware."""
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported())


def init(model: Any, X=None, Y=None) -> None:
    """Read the pretrained encoder, unless a trained one is loaded already."""
    from spacy_transformers.layers.transformer_model import huggingface_from_pretrained

    if not model.attrs["has_transformer"]:
        settings = model._init_tokenizer_config, model._init_transformer_config
        try:
            hf_model = huggingface_from_pretrained(model.attrs["name"], *settings)
        except (OSError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            problem = Errors.BA07.format(name=model.attrs["name"], error=reason)
            raise BionerError(problem) from None
        _check(hf_model, model.attrs)
        model.attrs["set_transformer"](model, hf_model)


def _check(hf_model: Any, attrs: dict[str, Any]) -> None:
    """Raises BionerError for an encoder that cannot do what is asked of it."""
    name, window, encoder = attrs["name"], attrs["window"], hf_model.transformer
    marks = ("cls_token", "sep_token", "pad_token")
    if none := [mark for mark in marks if getattr(hf_model.tokenizer, mark) is None]:
        raise BionerError(Errors.BA21.format(name=name, marks=", ".join(none)))
    embeddings = getattr(encoder, "embeddings", None)
    if attrs["word_shapes"] and not hasattr(embeddings, "token_type_embeddings"):
        raise BionerError(Errors.BA11.format(name=name))
    limit = longest_window(encoder, window)
    if window > limit:
        raise BionerError(Errors.BA18.format(window=window, name=name, limit=limit))


def longest_window(encoder: Any, default: int) -> int:
    """How many word pieces an encoder can read at once, special ones too. One like
    RoBERTa counts its places from behind that of padding."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "num_embeddings"):
            before = module.padding_idx
            return module.num_embeddings - (0 if before is None else before + 1)
    return getattr(encoder.config, "max_position_embeddings", default)


def _whole_documents(docs: list[Doc]) -> list[list]:
    """spacy-transformers' notion of spans; our windows are cut in `forward`."""
    return [[doc[:]] if len(doc) else [] for doc in docs]


def _as_keywords(model, batch, is_train):
    """Hand a dict of tensors to the encoder."""
    from thinc.types import ArgsKwargs

    return ArgsKwargs(args=(), kwargs=batch), lambda d_inputs: []


def _as_float32(model, inputs_outputs, is_train):
    """Hand fp32 to thinc, whatever precision the encoder computed in."""
    from thinc.types import ArgsKwargs

    _, output = inputs_outputs
    states = output.last_hidden_state.float()  # (windows, pieces, width)

    def backprop(d_states) -> ArgsKwargs:
        return ArgsKwargs(args=(states,), kwargs={"grad_tensors": (d_states,)})

    return states, backprop


def forward(model: Any, docs: list[Doc], is_train: bool) -> tuple[Any, Callable]:
    """Documents to one state a token: the rows nobody reads are not kept."""
    import torch
    from thinc.api import torch2xp

    from .quick import encoding

    window, overlap = model.attrs["window"], model.attrs["overlap"]
    tokenizer = uncut(model.tokenizer.backend_tokenizer)
    encoded = list(encode_all(tokenizer, docs, window, overlap))
    places = np.cumsum([0, *map(len, docs)])
    rows = [(i, w) for i, doc in enumerate(encoded) for w in doc.windows]
    states = torch.zeros(int(places[-1]), model.transformer.config.hidden_size)
    states = states.to(model.transformer.device)  # (tokens, width)
    device = model.transformer.device.type
    half = bool(model.attrs["bf16"]) and device == "cpu" and has_fast_bf16()
    rows_used = _Lookup(model, encoded) if is_train else None
    backprops = []
    for chunk in _chunks([w.stop - w.start for _, w in rows], model.attrs["chunk"]):
        parts = [(encoded[rows[r][0]], rows[r][1]) for r in chunk]
        with encoding(device, half, is_train):
            output, backprop = _encode(model, _pad(model, parts, rows_used), is_train)
        which, piece, token = _read_rows(
            [(places[rows[r][0]], rows[r][1]) for r in chunk]
        )
        states[token] = output.detach()[which, piece]
        backprops.append((backprop, output.shape, which, piece, token))

    def backprop_states(d_batch) -> list[Doc]:
        (d_states,) = d_batch.model_output.values()  # (tokens, width)
        for backprop, shape, which, piece, token in backprops:
            d_output = d_states.new_zeros(shape)
            # Tokens without pieces share a row, so gradients add up.
            d_output.index_put_((which, piece), d_states[token], accumulate=True)
            backprop(d_output)
        if rows_used is not None:
            rows_used.backprop()
        return docs

    return _full_batch(docs, torch2xp(states), places), backprop_states


def _encode(model: Any, batch: dict[str, Any], is_train: bool) -> tuple[Any, Any]:
    """One call of the encoder. For prediction not by thinc's shim: behind each call it
    turns dropout on again, in which another thread may be reading."""
    import torch

    if is_train:
        return model.layers[0](batch, True)
    shim, encoder = model.layers[0].shims[0], model.transformer
    encoder.eval()
    with torch.no_grad(), torch.autocast("cuda", enabled=shim._mixed_precision):
        return encoder(**batch).last_hidden_state.float(), None


def _full_batch(docs: list[Doc], states, places):
    """The batch as spacy-transformers' listeners want it, one row a token."""
    from spacy_transformers.data_classes import (
        FullTransformerBatch,
        TransformerData,
        WordpieceBatch,
    )
    from thinc.api import Ragged
    from transformers.modeling_outputs import BaseModelOutput

    nothing: Any = np.zeros(0, dtype="i")
    data = []
    for i, doc in enumerate(docs):
        if not len(doc):
            data.append(TransformerData.empty())
            continue
        part = states[places[i] : places[i + 1]]
        one: Any = np.arange(len(doc), dtype="i"), np.ones(len(doc), dtype="i")
        output = BaseModelOutput(last_hidden_state=part)
        data.append(TransformerData(WordpieceBatch.empty(), output, Ragged(*one)))
    return FullTransformerBatch(
        spans=_whole_documents(docs),
        wordpieces=WordpieceBatch.empty(),
        model_output=BaseModelOutput(last_hidden_state=states),
        align=Ragged(nothing, nothing),
        cached_doc_data=data,
    )


def _chunks(lengths: list[int], budget: int) -> list[list[int]]:
    """Windows sorted by length, in chunks of at most `budget` padded pieces."""
    chunks: list[list[int]] = []
    shortest = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        full = chunks and (len(chunks[-1]) + 1) * (lengths[i] + 2) > budget
        if not chunks or full or lengths[i] > 1.4 * shortest + 16:
            chunks.append([])
            shortest = lengths[i]
        chunks[-1].append(i)
    return chunks


class _Lookup:
    """The embedding rows that a batch uses, looked up once.

    Left to itself, each call of the encoder makes a gradient as large as the whole
    vocabulary, half of a small encoder's weights.
    """

    def __init__(self, model: Any, encoded: list[Encoded]) -> None:
        import torch

        tokenizer = model.tokenizer
        special = [
            tokenizer.pad_token_id,
            tokenizer.cls_token_id,
            tokenizer.sep_token_id,
        ]
        self.table = model.transformer.get_input_embeddings().weight
        self.ids = np.unique(np.concatenate([special, *(doc.ids for doc in encoded)]))
        self.places = torch.from_numpy(self.ids).to(self.table.device)
        self.rows = self.table.detach()[self.places].requires_grad_()

    def __call__(self, ids):
        import torch

        places = torch.from_numpy(np.searchsorted(self.ids, ids))
        return torch.nn.functional.embedding(places.to(self.rows.device), self.rows)

    def backprop(self) -> None:
        """Add what the calls of the encoder left to the table's own gradient."""
        if self.table.grad is None:
            self.table.grad = self.table.detach().new_zeros(self.table.shape)
        self.table.grad.index_add_(0, self.places, self.rows.grad)


def _pad(model: Any, parts: list[tuple[Encoded, Window]], lookup: _Lookup | None):
    """Windows as a padded batch, special tokens around each."""
    import torch

    tokenizer, device = model.tokenizer, model.transformer.device
    lengths = [window.stop - window.start + 2 for _, window in parts]
    ids = np.full((len(parts), max(lengths)), tokenizer.pad_token_id, dtype="int64")
    shapes, mask = np.zeros_like(ids), np.zeros(ids.shape, dtype="float32")
    for i, (doc, window) in enumerate(parts):
        n = lengths[i]
        ids[i, 0], ids[i, n - 1] = tokenizer.cls_token_id, tokenizer.sep_token_id
        ids[i, 1 : n - 1] = doc.ids[window.start : window.stop]
        shapes[i, 1 : n - 1] = doc.shapes[window.start : window.stop]
        mask[i, :n] = 1
    batch = {"attention_mask": torch.from_numpy(mask).to(device)}
    if model.attrs["word_shapes"]:
        batch["token_type_ids"] = torch.from_numpy(shapes).to(device)
    if lookup is None:
        batch["input_ids"] = torch.from_numpy(ids).to(device)
    else:
        batch["inputs_embeds"] = lookup(ids)
    return batch


def _read_rows(parts: list[tuple[int, Window]]):
    """Where in a chunk's output each token is read.

    parts: The place of each window's document among all tokens, and the window.
    RETURNS (tuple): Window numbers, piece rows, token numbers, as torch indices.
    """
    import torch

    which = np.repeat(np.arange(len(parts)), [len(w.tokens) for _, w in parts])
    piece = np.concatenate([w.rows for _, w in parts]) + 1  # after the first special
    token = np.concatenate([w.tokens + place for place, w in parts])
    return tuple(torch.from_numpy(x) for x in (which, piece, token))
