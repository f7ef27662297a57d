"""What a training step of `instruct_ner` needs, and how that grows with the backbone.

    python benchmarks/instruct_memory.py

Each setting runs in a process of its own: a LLaMA with random weights, three steps of
some padded sequences. Measured are the peak of memory (of the GPU if there is one, else
of the process, less what a tiny backbone needs) and the time of the last step. Beside
each peak stands what the arithmetic in `expected` says, and what it says of backbones
too large for here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from results import peak, save_records

NAME = "instruct_memory"
COMMAND = "python benchmarks/instruct_memory.py"
RANK = 16  # of LoRA, on all linear layers


@dataclass(frozen=True)
class Shape:
    """A LLaMA: width of states, of its feed-forward layers, of keys and values."""

    width: int
    inner: int
    kv: int
    layers: int
    vocab: int = 32000

    @property
    def linear(self) -> list[tuple[int, int]]:
        """In and out of a layer's matrices."""
        w, i, k = self.width, self.inner, self.kv
        return [(w, w), (w, k), (w, k), (w, w), (w, i), (w, i), (i, w)]

    @property
    def weights(self) -> int:
        per_layer = sum(a * b for a, b in self.linear)
        return self.layers * per_layer + self.vocab * self.width

    @property
    def adapters(self) -> int:
        return self.layers * sum(RANK * (a + b) for a, b in self.linear)


SMALL = {
    "15 M": Shape(256, 688, 256, 8),
    "54 M": Shape(512, 1376, 512, 12),
    "124 M": Shape(768, 2048, 768, 14),
}
TINY = Shape(64, 128, 64, 1, 100)
LARGE = {
    "LLaMA-2 7B": Shape(4096, 11008, 4096, 32),
    "LLaMA-3 8B": Shape(4096, 14336, 1024, 32, 128256),
}


@dataclass(frozen=True)
class Setting:
    """How to train: everything in single precision, or LoRA on bfloat16 weights."""

    lora: bool
    checkpointing: bool
    rows: int
    pieces: int


SETTINGS = (
    Setting(False, False, 8, 128),
    Setting(True, False, 8, 128),
    Setting(True, True, 8, 128),
    Setting(True, True, 16, 256),
)


# Bytes that a layer keeps for the backward pass, a piece, for each of its width and of
# its feed-forward layer's; `kept` counts them.
KEPT = {False: (44, 16), True: (31, 9)}  # all weights in fp32; LoRA on bfloat16


def expected(shape: Shape, setting: Setting) -> float:
    """Megabytes of a step's peak: weights and what is kept for the backward pass.

    2 bytes for a frozen weight, 16 for a trained one (itself, gradient, two moments of
    AdamW). With checkpointing, the input of each layer and what one layer keeps;
    without, what every layer keeps.
    """
    frozen = 2 * shape.weights if setting.lora else 0
    trained = 16 * (shape.adapters if setting.lora else shape.weights)
    pieces = setting.rows * setting.pieces
    width, inner = KEPT[setting.lora]
    layer = pieces * (width * shape.width + inner * shape.inner)
    inputs = (2 if setting.lora else 4) * pieces * shape.width * shape.layers
    states = inputs + layer if setting.checkpointing else shape.layers * layer
    return (frozen + trained + states) / 1e6


def kept(setting: Setting) -> tuple[float, float]:
    """Bytes that a layer keeps a piece, for each of its width and of its feed-forward
    layer's, counted where autograd saves them, in tiny backbones."""

    def of_layer(width: int, inner: int) -> float:
        few, many = (
            _saved(Shape(width, inner, width // 2, n, 100), setting) for n in (1, 3)
        )
        return (many - few) / 2

    base = of_layer(256, 512)
    inner = (of_layer(256, 1024) - base) / 512
    return (base - 512 * inner) / 256, inner


def _saved(shape: Shape, setting: Setting) -> float:
    """Bytes saved for one piece by all layers, weights left out."""
    import torch

    shim, batch = make(shape, setting, rows=2, pieces=64)
    weights = {p.untyped_storage().data_ptr() for p in shim._model.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits, _ = shim(batch, is_train=True)
    return sum(sizes.values()) / (2 * 64)


def measure(shape: Shape, setting: Setting, gpu_id: int) -> dict[str, float]:
    """The peak in megabytes and the last step's seconds, in this process.

    What a tiny backbone needs, mostly the libraries, is not counted.
    """
    import torch
    from thinc.api import require_gpu

    if gpu_id >= 0:
        require_gpu(gpu_id)
    take_steps(TINY, setting)
    before = 0.0 if gpu_id >= 0 else peak()
    seconds = take_steps(shape, setting)
    most = torch.cuda.max_memory_allocated() / 1e6 if gpu_id >= 0 else peak()
    return {"megabytes": most - before, "seconds": seconds}


def take_steps(shape: Shape, setting: Setting) -> float:
    """Three steps of a new backbone. RETURNS (float): Seconds of the last."""
    import torch

    from spacy_bioner.training.optimizer import create_adamw

    shim, batch = make(shape, setting, setting.rows, setting.pieces)
    optimizer = create_adamw(1e-4)
    for _ in range(3):
        start = time.monotonic()
        logits, backprop = shim(batch, is_train=True)
        backprop(torch.randn_like(logits) / len(logits))
        shim.finish_update(optimizer)
        if shim.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - start
    return seconds


def make(shape: Shape, setting: Setting, rows: int, pieces: int):
    """A backbone with random weights and a batch of drawn pieces for it."""
    import numpy as np

    from spacy_bioner.models.backbone import BackboneShim, Settings, load_backbone
    from spacy_bioner.models.instructed import Packed, collate

    settings = Settings(
        config=make_config(shape),
        tokenizer="none: the pieces are drawn",
        lora={"r": RANK, "target_modules": "all-linear"} if setting.lora else {},
        gradient_checkpointing=setting.checkpointing,
        mixed_precision=setting.lora,
        loading={"torch_dtype": "bfloat16"} if setting.lora else {},
    )
    shim = BackboneShim(settings)
    shim.adopt(load_backbone(settings))
    rng, words = np.random.default_rng(0), np.arange(20, pieces)  # after an instruction
    packed = [
        Packed(
            rng.integers(10, shape.vocab, pieces), np.zeros(pieces, int), words, words
        )
        for _ in range(rows)
    ]
    return shim, {**collate(packed, 0, shim.device), "dropout": 0.1}


def make_config(shape: Shape) -> dict[str, Any]:
    """LLaMA's configuration, heads 64 wide."""
    return {
        "model_type": "llama",
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.width // 64,
        "num_key_value_heads": shape.kv // 64,
        "vocab_size": shape.vocab,
    }


def records(gpu_id: int) -> Iterator[dict[str, Any]]:
    """Each setting on each small backbone, in processes of their own."""
    for setting in SETTINGS[:2]:
        values = zip(("width", "feed-forward width"), kept(setting), strict=True)
        for of, value in values:
            print(f"{describe(setting)}: a layer keeps {value:.2f} bytes x {of}")
            metric = f"bytes kept a piece and layer, x {of}"
            yield record("any", setting, metric, value, "measured")
    for size, shape in SMALL.items():
        for setting in SETTINGS:
            one = {"size": size, **asdict(setting)}
            command = [sys.executable, __file__, "--one", json.dumps(one)]
            command += ["--gpu-id", str(gpu_id)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            for metric, value in found.items():
                yield record(size, setting, metric, value, "measured")
            guess = expected(shape, setting)
            yield record(size, setting, "megabytes", guess, "expected")
            print(f"{size:6} {describe(setting):50} {found} expected {guess:.0f}")
    for size, shape in LARGE.items():
        for setting in SETTINGS:
            guess = expected(shape, setting)
            print(f"{size:6} {describe(setting):50} expected {guess / 1e3:.1f} GB")
            yield record(size, setting, "megabytes", guess, "expected")


def describe(setting: Setting) -> str:
    how = f"LoRA r={RANK} on bf16" if setting.lora else "all weights, fp32"
    kept = ", checkpointing" if setting.checkpointing else ""
    return f"{how}{kept}, {setting.rows} x {setting.pieces} pieces"


def record(size, setting, metric, value, split) -> dict[str, Any]:
    return {
        "benchmark": NAME,
        "system": f"LLaMA, {size}" if size in SMALL else size,
        "corpus": "drawn pieces",
        "split": split,
        "metric": metric,
        "value": round(value, 2),
        "seed": 0,
        "command": COMMAND,
        "note": describe(setting),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gpu-id", type=int, default=-1)
    parser.add_argument("--one", help="one setting, as JSON: print what it needs")
    args = parser.parse_args()
    if args.one:
        setting = json.loads(args.one)
        shape = SMALL[setting.pop("size")]
        print(json.dumps(measure(shape, Setting(**setting), args.gpu_id)))
    else:
        save_records(NAME, list(records(args.gpu_id)))


if __name__ == "__main__":
    main()
