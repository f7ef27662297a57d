"""Any Hugging Face encoder or decoder, to read with; with or without LoRA.

A decoder (LLaMA, Qwen2, Mistral, GPT-2 …) was trained to look back only. To read, it
is given a mask of our own in which every piece sees every other (VANER, LLM2Vec), and
padding nobody: a mask of four dimensions reaches the attention of these families as
it is. Whether that holds for a given backbone is tried once, when it is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import srsly
from thinc.api import get_torch_default_device
from thinc.shims import PyTorchShim
from tokenizers import Tokenizer

from ..errors import BionerError, Errors
from .encoding import uncut
from .transformer import add_word_shapes, has_fast_bf16

NEEDED = ("torch", "transformers", "safetensors")
N_TAGS = 3  # O, B, I
OF_CONFIG = ("torch_dtype", "attn_implementation")  # not of the configuration itself
SAVE = ("auto", "all", "trained")


@dataclass(frozen=True)
class Settings:
    """How a backbone is made; see `InstructedTagger.v1`, whose arguments these are."""

    name: str = ""
    revision: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    tokenizer: str = ""
    causal: bool = False
    word_shapes: bool = False
    hidden: int = 0
    lora: dict[str, Any] = field(default_factory=dict)
    gradient_checkpointing: bool = False
    mixed_precision: bool = True
    loading: dict[str, Any] = field(default_factory=dict)
    save: str = "auto"

    def __post_init__(self) -> None:
        """Raises BionerError for settings that cannot work."""
        missing = [module for module in NEEDED if not find_spec(module)]
        if missing:
            need = {"what": "instruct_ner", "extra": "train"}
            raise BionerError(Errors.BA02.format(modules=", ".join(missing), **need))
        if self.lora and not find_spec("peft"):
            need = {"what": "LoRA", "extra": "instruct"}
            raise BionerError(Errors.BA02.format(modules="peft", **need))
        if bool(self.name) == bool(self.config):
            raise BionerError(Errors.BA03)
        if self.config and not self.tokenizer:
            raise BionerError(Errors.BA04)
        if self.save not in SAVE:
            raise BionerError(Errors.BA05.format(save=self.save, known=SAVE))
        if self.save == "trained" and self.config:
            raise BionerError(Errors.BA06)

    def saves_all(self, from_hub: bool) -> bool:
        """Whether the whole backbone is saved, or only what was trained. What is not
        under LoRA is trained altogether.

        from_hub (bool): Whether the backbone is to be had wherever there is a network.
        """
        trained = self.save == "trained" or (self.save == "auto" and from_hub)
        return not (self.lora and trained)


@dataclass
class Reading:
    """A tokenizer and the pieces that frame an instruction and its words.

    before, between, after (list): Pieces around the instruction and the words.
    pad (int): What fills a batch; nobody sees it.
    """

    tokenizer: Tokenizer
    before: list[int]
    between: list[int]
    after: list[int]
    pad: int

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "tokenizer": self.tokenizer.to_str()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reading:
        tokenizer = uncut(Tokenizer.from_str(data["tokenizer"]))
        return cls(**{**data, "tokenizer": tokenizer})


def load_reading(settings: Settings) -> Reading:
    """The tokenizer of a backbone: BERT's frame where it has one, else the mark of a
    text's beginning, a line break, and the mark of its end.

    Raises BionerError for one that cannot tell where its pieces stand.
    """
    from transformers import AutoTokenizer

    source = settings.tokenizer or settings.name
    revision = settings.revision or None
    try:
        loaded = AutoTokenizer.from_pretrained(source, revision=revision)
    except (OSError, ValueError) as error:
        raise BionerError(Errors.BA07.format(name=source, error=error)) from None
    if not loaded.is_fast:
        raise BionerError(Errors.BA08.format(name=source))
    tokenizer = uncut(loaded.backend_tokenizer)
    if loaded.sep_token_id is None:
        between = tokenizer.encode("\n", add_special_tokens=False).ids
    else:
        between = [loaded.sep_token_id]
    return Reading(
        tokenizer,
        before=_first(loaded.cls_token_id, loaded.bos_token_id),
        between=between,
        after=_first(loaded.sep_token_id, loaded.eos_token_id),
        pad=(_first(loaded.pad_token_id, loaded.eos_token_id) or [0])[0],
    )


def _first(*ids: int | None) -> list[int]:
    return [i for i in ids if i is not None][:1]


def load_backbone(settings: Settings, revision: str = "", config: dict | None = None):
    """The backbone, without adapters and head.

    revision (str): That of an earlier loading, to load the same weights again.
    config (dict): Its whole configuration, if weights are going to be put into it.
    """
    from transformers import AutoConfig, AutoModel

    shape = config or settings.config
    try:
        if shape:
            made = AutoConfig.for_model(**shape)
            keep = {k: v for k, v in settings.loading.items() if k in OF_CONFIG}
            return AutoModel.from_config(made, **keep)
        return AutoModel.from_pretrained(
            settings.name,
            revision=revision or settings.revision or None,
            **settings.loading,
        )
    except (OSError, ValueError) as error:
        name = settings.name or shape.get("model_type")
        raise BionerError(Errors.BA07.format(name=name, error=error)) from None


def build_module(settings: Settings, backbone: Any):
    """Word shapes, adapters and head on a loaded backbone.

    RETURNS (torch.nn.ModuleDict): "backbone" and "head". Only what is to be trained
        requires a gradient.
    """
    import torch

    if backbone.config.is_encoder_decoder:
        raise BionerError(Errors.BA09.format(name=backbone.config.model_type))
    if settings.causal and not is_decoder(backbone.config):
        raise BionerError(Errors.BA10.format(name=backbone.config.model_type))
    backbone.config.use_cache = False
    shapes = None
    if settings.word_shapes:
        if not hasattr(backbone, "embeddings") or not hasattr(
            backbone.embeddings, "token_type_embeddings"
        ):
            raise BionerError(Errors.BA11.format(name=backbone.config.model_type))
        if settings.lora and backbone.dtype != torch.float32:
            raise BionerError(Errors.BA20.format(name=backbone.config.model_type))
        add_word_shapes(backbone)
        shapes = backbone.embeddings.token_type_embeddings.weight
    if settings.lora:
        _add_lora(settings.lora, backbone)
        if shapes is not None:
            shapes.requires_grad_()
    else:  # what is trained is trained in single precision
        backbone.float()
    if settings.gradient_checkpointing:
        backbone.gradient_checkpointing_enable({"use_reentrant": False})
    layers, width = [], backbone.config.hidden_size
    if settings.hidden:
        layers = [torch.nn.Linear(width, settings.hidden), torch.nn.ReLU()]
        width = settings.hidden
    head = torch.nn.Sequential(*layers, torch.nn.Linear(width, N_TAGS))
    for layer in head:  # begins as wide as `gerbera_ner`'s heads, and learns sooner so
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    return torch.nn.ModuleDict({"backbone": backbone, "head": head})


def _add_lora(lora: dict[str, Any], backbone: Any) -> None:
    """In place; everything else is frozen. Adapters of a half-precision backbone
    train in single precision."""
    from peft import LoraConfig, inject_adapter_in_model

    inject_adapter_in_model(LoraConfig(**lora), backbone)
    for parameter in backbone.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def is_decoder(config: Any) -> bool:
    """Whether a backbone was trained to look back only."""
    from transformers.models.auto import modeling_auto

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in causal and config.model_type not in masked


def attention_mask(real: Any, backbone: Any, causal: bool):
    """Who sees whom, as the backbone wants it.

    real (Tensor): False where a row is padded.  # (rows, pieces)
    RETURNS (Tensor): For an encoder the same; for a decoder what is added to its
        attention.  # (rows, 1, pieces, pieces)
    """
    import torch

    if not is_decoder(backbone.config):
        return real.long()
    size = real.shape[1]
    seen = real[:, None, None, :].expand(-1, 1, size, -1)
    if causal:
        seen = seen & torch.ones_like(seen).tril()
    mask = torch.zeros(seen.shape, dtype=backbone.dtype, device=real.device)
    return mask.masked_fill(~seen, torch.finfo(mask.dtype).min)


def check_attention(backbone: Any, causal: bool) -> None:
    """Try whether a backbone heeds the mask: a later piece must change an earlier
    state unless `causal`, and padding none.

    Raises BionerError if not.
    """
    import torch

    was_training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    ids = torch.tensor([[5, 6, 7, 0], [5, 6, 8, 0], [5, 6, 7, 9]], device=device)
    real = torch.tensor([[True, True, True, False]] * 3, device=device)
    mask = attention_mask(real, backbone, causal)
    unfit = BionerError(
        Errors.BA12.format(
            name=backbone.config.model_type,
            attention=backbone.config._attn_implementation,
        )
    )
    try:
        with torch.no_grad():
            output = backbone(input_ids=ids, attention_mask=mask)
    except (RuntimeError, ValueError, IndexError, TypeError):
        raise unfit from None  # some cannot even read such a mask
    backbone.train(was_training)
    text, changed, padded = output.last_hidden_state.float()
    sees = not torch.allclose(text[0], changed[0], rtol=1e-6, atol=1e-7)
    clean = torch.allclose(text[:3], padded[:3], rtol=1e-2, atol=1e-3)
    if sees == causal or not clean:
        raise unfit


class BackboneShim(PyTorchShim):
    """Backbone, adapters and head, as thinc trains and saves them."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(None)
        self.settings = settings
        self.reading: Reading | None = None
        self.revision = settings.revision
        self.from_hub = False

    @property
    def backbone(self):
        return self._model["backbone"]

    def load(self) -> None:
        """Read the pretrained backbone and begin anew."""
        self.reading = load_reading(self.settings)
        backbone = load_backbone(self.settings)
        name = self.settings.name
        self.from_hub = bool(name) and not Path(name).exists()
        self.revision = getattr(backbone.config, "_commit_hash", None) or self.revision
        self.adopt(backbone)
        check_attention(self.backbone, self.settings.causal)

    def adopt(self, backbone: Any, state: bytes | None = None) -> None:
        """Take a loaded backbone, give it adapters and head, and what was saved."""
        from safetensors.torch import load

        self._model = build_module(self.settings, backbone)
        if state is not None:
            weights, own = load(state), self._model.state_dict()
            wrong = self._state().keys() - weights.keys()
            wrong |= {
                name
                for name, value in weights.items()
                if name not in own or own[name].shape != value.shape
            }
            if wrong:
                raise BionerError(Errors.BA13.format(wrong=min(wrong)))
            self._model.load_state_dict(weights, strict=False)
        if not is_quantized(backbone):  # which is where it belongs already
            self._model.to(get_torch_default_device())
        else:
            self._model["head"].to(backbone.device)

    def __call__(self, inputs: Any, is_train: bool) -> tuple[Any, Callable]:
        """Logits of the words of one padded batch.

        inputs (dict): Tensors ids and shapes, both (rows, pieces); lengths, (rows,);
            which and piece, where each word is read, (words,); a float dropout.
        RETURNS (tuple): Logits (words, 3), and what takes their gradient.
        """
        import torch

        if self._model.training != is_train:
            self._model.train(is_train)
        with torch.set_grad_enabled(is_train):
            logits = self._logits(**inputs)

        def backprop(gradient) -> None:
            torch.autograd.backward((logits,), (gradient,))

        return logits, backprop

    def _logits(self, ids, shapes, lengths, which, piece, dropout: float):
        import torch

        from .quick import encoding

        backbone, settings = self.backbone, self.settings
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        batch = {
            "input_ids": ids,
            "attention_mask": attention_mask(real, backbone, settings.causal),
        }
        if settings.word_shapes:
            batch["token_type_ids"] = shapes
        half = settings.mixed_precision and (ids.is_cuda or has_fast_bf16())
        # A checkpoint computes again outside of it, and must find the same tensors.
        quick = self._model.training and not settings.gradient_checkpointing
        with encoding(ids.device.type, half, quick):
            states = backbone(**batch).last_hidden_state
        words = states[which, piece].float()  # (words, width)
        for layer in self._model["head"]:
            if isinstance(layer, torch.nn.Linear):
                training = self._model.training
                words = torch.nn.functional.dropout(words, dropout, training)
            words = layer(words)
        return words

    # Saving

    @property
    def saves_all(self) -> bool:
        """A quantised backbone's weights are never saved."""
        return self.settings.saves_all(self.from_hub) and not is_quantized(
            self.backbone
        )

    def _state(self, everything: bool | None = None) -> dict[str, Any]:
        if self.saves_all if everything is None else everything:
            return self._model.state_dict()
        named = self._model.named_parameters()
        return {name: value for name, value in named if value.requires_grad}

    def to_bytes(self, everything: bool | None = None) -> bytes:
        """Weights, tokenizer and the backbone's revision; its configuration too if
        all weights are there.

        everything (bool): Save the whole backbone; None: as the settings say.
        """
        from safetensors.torch import save

        if self._model is None or self.reading is None:
            return srsly.msgpack_dumps({})
        everything = self.saves_all if everything is None else everything
        state = {k: v.detach().cpu() for k, v in self._state(everything).items()}
        config = json.loads(self.backbone.config.to_json_string(use_diff=False))
        return srsly.msgpack_dumps(
            {
                "revision": self.revision,
                "from_hub": self.from_hub,
                "reading": self.reading.to_dict(),
                "config": config if everything else None,
                "state": save({k: v.contiguous() for k, v in state.items()}),
            }
        )

    def from_bytes(self, bytes_data: bytes) -> BackboneShim:
        saved = srsly.msgpack_loads(bytes_data)
        if saved:
            self.reading = Reading.from_dict(saved["reading"])
            self.revision = saved["revision"]
            # Older files do not say: what was saved whole is saved whole again.
            self.from_hub = saved.get("from_hub", saved["config"] is None)
            backbone = load_backbone(self.settings, self.revision, saved["config"])
            self.adopt(backbone, saved["state"])
        return self

    def __getstate__(self) -> tuple[Settings, bytes]:
        """A copy or a pickle holds all there is, so that it needs no hub."""
        loaded = self._model is not None and not is_quantized(self.backbone)
        return self.settings, self.to_bytes(everything=True if loaded else None)

    def __setstate__(self, state: tuple[Settings, bytes]) -> None:
        settings, data = state
        self.__init__(settings)  # type: ignore[misc]
        self.from_bytes(data)


def is_quantized(backbone: Any) -> bool:
    """Whether a backbone was loaded in 4 or 8 bits."""
    return bool(getattr(backbone, "is_quantized", False))
