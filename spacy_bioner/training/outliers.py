"""Keep an encoder's largest activations out of its int8 layers.

The int8 scale of a layer's input is that of its largest value, and in BERT-like
encoders a few channels (most of them at the first token) are many times as large as
all others: what is left for the others is coarse. As in LLM.int8() (Dettmers et al.,
NeurIPS 2022), those channels take a way of their own in fp32. Where attention made
them, they are shrunk instead, at no cost: divided where their values are made, their
weights multiplied (SmoothQuant, Xiao et al., ICML 2023). Which channels they are hardly
depends on the text (Sun et al., "Massive Activations", COLM 2024), so they are found
once, on sample text.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.typing import NDArray

MOST = 4  # channels of a layer
RATIO = 1.5  # how much larger they are than all the others
POWER = 0.8  # of what is shrunk; with 1 the weights would bear all of it
FP32_LAYER = "outliers"  # its name in the exported graph
FUSED = ("query", "key", "value")  # layers that become one node with the attention


def tame_outliers(
    body, windows: Sequence[tuple[NDArray, NDArray]], scope: str = "encoder"
) -> None:
    """Give the outlier channels of an encoder's linear layers their own small layer,
    or shrink them.

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
        highest = peak.topk(min(MOST + 1, len(peak)))
        usual = highest.values[-1].clamp(min=1e-6)
        above = highest.values > RATIO * usual
        if not above.any():
            continue
        parent, _, own = name.rpartition(".")
        if parent.endswith("attention.output"):
            factor = (peak / usual).clamp(min=1) ** POWER
            value = body.get_submodule(parent.replace("output", "self")).value
            _shrink(value, layers[name], factor)
        else:
            split = _make_split(layers[name], highest.indices[above])
            setattr(body.get_submodule(parent), own, split)


def _shrink(value, mixed, factor) -> None:
    """Divide the channels of what attention mixes by a number each."""
    value.weight.data /= factor[:, None]
    value.bias.data /= factor
    mixed.weight.data *= factor


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


def _make_split(dense, channels):
    """A linear layer as a sum over most channels and over the chosen few."""
    import torch

    class Split(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = dense
            self.outliers = torch.nn.Linear(len(channels), dense.out_features, False)
            self.outliers.weight.data = dense.weight.data[:, channels].clone()
            keep = torch.ones(dense.in_features)
            keep[channels] = 0
            self.register_buffer("keep", keep)

        def forward(self, x):
            return self.dense(x * self.keep) + self.outliers(x[..., channels])

    return Split()
