"""Shrink an encoder's largest activations before its layers become int8.

The int8 scale of a layer's input is that of its largest value, and in BERT-like
encoders a few channels (most of them at the first token) are many times as large as
all others: what is left for the others is coarse. As in SmoothQuant (Xiao et al., ICML
2023), those channels are divided by a number and their weights multiplied by it; only
those few, since where all channels are smoothed, the weights lose more than the
activations gain. Which they are hardly depends on the text (Sun et al., "Massive
Activations", COLM 2024), so they are found once, on sample text.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

MOST = 4  # channels of a layer
RATIO = 1.5  # how much larger they are than all the others
POWER = 0.8  # 1: as small as the others; the weights would bear all of it
FUSED = ("query", "key", "value")  # layers that become one node with the attention


def shrink_outliers(
    body, windows: Sequence[tuple[NDArray, NDArray]], scope: str = "encoder"
) -> None:
    """Make the largest input channels of an encoder's linear layers smaller.

    What the encoder computes stays the same.

    body (transformers.PreTrainedModel): Changed in place.
    windows (sequence): Ids and word shapes of sample text.  # (pieces,) each
    scope (str): The part of `body` whose linear layers are looked at.
    """
    import torch

    layers = {
        name: layer
        for name, layer in body.get_submodule(scope).named_modules(prefix=scope)
        if isinstance(layer, torch.nn.Linear) and not name.endswith(FUSED)
    }
    for name, peak in _peaks(body, layers, windows).items():
        usual = peak.topk(min(MOST + 1, len(peak))).values[-1].clamp(min=1e-6)
        if peak.max() <= RATIO * usual:
            continue
        factor = (peak / usual).clamp(min=1) ** POWER
        layer = layers[name]
        layer.weight.data *= factor
        parent, _, own = name.rpartition(".")
        if parent.endswith("attention.output"):
            # What attention mixes are values: each channel is scaled where it is made.
            value = body.get_submodule(parent.replace("output", "self")).value
            value.weight.data /= factor[:, None]
            value.bias.data /= factor
        else:
            scaled = _make_scale(1 / factor)
            setattr(body.get_submodule(parent), own, torch.nn.Sequential(scaled, layer))


def _peaks(body, layers: dict, windows: Sequence[tuple[NDArray, NDArray]]) -> dict:
    """The largest absolute value of each input channel of each layer."""
    import torch

    peaks = {name: torch.zeros(layer.in_features) for name, layer in layers.items()}

    def watch(name: str):
        def look(layer, inputs) -> None:
            values = inputs[0].flatten(end_dim=-2).abs()  # (pieces, channels)
            peaks[name] = torch.maximum(peaks[name], values.amax(dim=0))

        return look

    hooks = [
        layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()
    ]
    with torch.no_grad():
        for ids, shapes in windows:
            body(
                input_ids=torch.from_numpy(ids)[None],
                token_type_ids=torch.from_numpy(shapes)[None],
            )
    for hook in hooks:
        hook.remove()
    return peaks


def _make_scale(factor):
    """A layer that multiplies each channel by a number of its own."""
    import torch

    class Scale(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", factor)

        def forward(self, x):
            return x * self.factor

    return Scale()
