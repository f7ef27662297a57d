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


def expected(shape: Shape, setting: Setting) -> float:
    """Megabytes of a step's peak.

    Weights: 2 bytes each under LoRA, and 16 for each adapter's (weight, gradient, two
    moments of AdamW); 16 for each of all else. States: with checkpointing, the input of
    each layer and one layer's insides; without, every layer's insides. A layer's
    insides are, for each piece, some 12 vectors of the width, 4 of the feed-forward
    layer and 4 of keys and values.
    """
    frozen = 2 * shape.weights if setting.lora else 0
    trained = 16 * (shape.adapters if setting.lora else shape.weights)
    size = 2 if setting.lora else 4
    pieces = setting.rows * setting.pieces
    inside = size * pieces * (12 * shape.width + 4 * shape.inner + 4 * shape.kv)
    inputs = size * pieces * shape.width * shape.layers
    states = inputs + inside if setting.checkpointing else shape.layers * inside
    return (frozen + trained + states) / 1e6


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
    import numpy as np
    import torch

    from spacy_bioner.models.backbone import BackboneShim, Settings, load_backbone
    from spacy_bioner.models.instructed import Packed, collate
    from spacy_bioner.training.optimizer import create_adamw

    settings = Settings(
        config=make_config(shape),
        tokenizer="none: the pieces are drawn",
        lora={"r": RANK, "target_modules": "all-linear"} if setting.lora else {},
        gradient_checkpointing=setting.checkpointing,
        mixed_precision=setting.lora,
        loading={"torch_dtype": "bfloat16"} if setting.lora else {},
    )
    shim, optimizer = BackboneShim(settings), create_adamw(1e-4)
    shim.adopt(load_backbone(settings))
    rng, size = np.random.default_rng(0), setting.pieces
    words = np.arange(20, size)  # after an instruction
    rows = [
        Packed(rng.integers(10, shape.vocab, size), np.zeros(size, int), words, words)
        for _ in range(setting.rows)
    ]
    batch = {**collate(rows, 0, shim.device), "dropout": 0.1}
    for _ in range(3):
        start = time.monotonic()
        logits, backprop = shim(batch, is_train=True)
        backprop(torch.randn_like(logits) / len(logits))
        shim.finish_update(optimizer)
        if shim.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - start
    return seconds


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
