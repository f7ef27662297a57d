"""What torch is slow at when it trains on a CPU, done another way.

Its fused attention goes backward several times slower than plain products do, and its
dropout draws one number at a time on one core: together they took a third of a step of
short sentences. The mathematics is the same: only rounding and the luck of a seed
change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

ODDS = 1 << 16  # what a drawn number of 16 bits can be


@contextmanager
def encoding(device: str, half: bool, quick: bool) -> Iterator[None]:
    """How every encoder here is run: in bfloat16 if `half`, and on a CPU by the short
    ways of this module if `quick`, which is for training.

    device (str): Its type, "cpu" or "cuda".
    """
    import torch

    short = quick_training() if quick and device == "cpu" else nullcontext()
    with torch.autocast(device, torch.bfloat16, enabled=half), short:
        yield


def quick_training() -> Any:
    """A context in which torch takes the short ways of this module."""
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class QuickTraining(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            if func is functional.scaled_dot_product_attention and not special(kwargs):
                return attend(*args, **kwargs)
            if func is functional.dropout:
                return drop(*args, **kwargs)
            return func(*args, **kwargs)

    return QuickTraining()


def special(kwargs: dict[str, Any]) -> bool:
    """Whether more is asked of attention than `attend` knows."""
    mask = kwargs.get("attn_mask")
    asked = kwargs.keys() - {"query", "key", "value", "attn_mask", "scale"}
    return any(kwargs[name] for name in asked) or (
        mask is not None and not mask.is_floating_point()
    )


def attend(query, key, value, attn_mask=None, scale=None, **_) -> Any:
    """Scaled dot-product attention.

    query, key, value: (..., positions, width of a head)
    attn_mask: Added to the scores; (..., positions of the query, of the key).
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-1, -2) * scale
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


def drop(input, p=0.5, training=True, inplace=False) -> Any:  # noqa: A002
    """Dropout from four draws a number; `p` is rounded to 1/65,536."""
    import torch

    if not training or not p:
        return input
    size = input.numel()
    numbers = torch.empty((size + 3) // 4, dtype=torch.int64)
    draws = numbers.random_(-(1 << 63), None).view(torch.int16)[:size]
    kept = ODDS - round(p * ODDS)
    keep = draws.view(input.shape) < kept - ODDS // 2
    return input * keep.to(input.dtype).mul_(ODDS / max(kept, 1))
