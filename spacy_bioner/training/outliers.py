"""Keep an encoder's largest activations out of its int8 layers.

The int8 scale of a layer's input is that of its largest value, and in BERT-like
encoders a few channels (most of them at the first token) are many times as large as all
others: what is left for the others is coarse. So channels that are larger than most are
shrunk, and their weights multiplied by as much (SmoothQuant, Xiao et al., ICML 2023):
those that attention mixes at no cost, where their values are made; all others on the
doorstep. The few largest of a feed-forward layer's inner ones take a way of their own
in fp32 besides, as in LLM.int8() (Dettmers et al., NeurIPS 2022). How large a channel
gets hardly depends on the text (Sun et al., "Massive Activations", COLM 2024), so it is
found once, on sample text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats1d = NDArray[np.float32]
MOST = 4  # channels of a layer that go in fp32
RATIO = 1.5  # how much larger they are than all the others
POWER = 0.65  # of what is shrunk; with 1 the weights would bear all of it
FP32_LAYER = "outliers"  # its name in the exported graph
READ_TOGETHER = ("key", "value")  # with "query"


def tame_outliers(encoder, run: Callable[[], object]) -> list[Floats1d]:
    """Shrink the larger channels of an encoder's linear layers; of a feed-forward
    layer's inner ones give the largest a small layer of their own.

    What the encoder computes stays the same.

    encoder (torch.nn.Module): Layers like BERT's. Changed in place.
    run (callable): Runs it on sample text.
    RETURNS (list): What `shrink_attention` needs: for each layer what its attention's
        input is to be divided by.  # (width,) each
    """
    import torch

    layers = {
        name: layer
        for name, layer in encoder.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.endswith(READ_TOGETHER)
    }
    at_attention = []
    for name, peak in _peaks(layers, run).items():
        factor = (peak / peak.median().clamp(min=1e-6)).clamp(min=1) ** POWER
        parent, _, own = name.rpartition(".")
        if name.endswith("query"):
            at_attention.append(factor.numpy())
        elif parent.endswith("attention.output"):
            value = encoder.get_submodule(parent.replace("output", "self")).value
            value.weight.data /= factor[:, None]
            value.bias.data /= factor
            layers[name].weight.data *= factor
        else:
            apart = _largest(peak) if parent.endswith("output") else []
            shrunk = _make_shrunk(layers[name], factor, apart)
            setattr(encoder.get_submodule(parent), own, shrunk)
    return at_attention


def shrink_attention(model, factors: Sequence[Floats1d]) -> None:
    """Divide the input of each attention, and multiply its weights.

    model (onnx.ModelProto): A graph in which each attention is one node, with its
        three linear layers; torch's modules cannot be changed so: they would not
        become one node any more. Changed in place.
    factors (sequence): From `tame_outliers`.
    """
    from onnx import helper, numpy_helper

    tables = {table.name: table for table in model.graph.initializer}
    left, nodes = iter(factors), []
    for node in model.graph.node:
        if node.op_type == "Attention":
            factor, table = next(left), tables[node.input[1]]
            weights = numpy_helper.to_array(table) * factor[:, None]
            table.CopyFrom(numpy_helper.from_array(weights, table.name))
            share, shrunk = f"{node.name}_share", f"{node.name}_shrunk"
            model.graph.initializer.append(numpy_helper.from_array(1 / factor, share))
            nodes.append(helper.make_node("Mul", [node.input[0], share], [shrunk]))
            node.input[0] = shrunk
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _peaks(layers: dict, run: Callable[[], object]) -> dict:
    """The largest absolute value of each input channel of each layer."""
    import torch

    peaks = {name: torch.zeros(layer.in_features) for name, layer in layers.items()}

    def watch(name: str):
        def look(layer, inputs) -> None:
            values = inputs[0].detach().flatten(end_dim=-2).abs()  # (pieces, channels)
            peaks[name] = torch.maximum(peaks[name], values.amax(dim=0))

        return look

    hooks = [
        layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return peaks


def _largest(peak) -> list[int]:
    """The channels, at most MOST, that are RATIO times as large as all others."""
    highest = peak.topk(min(MOST + 1, len(peak)))
    above = highest.values > RATIO * highest.values[-1].clamp(min=1e-6)
    return highest.indices[above].tolist()


def _make_shrunk(dense, factor, channels: Sequence[int]):
    """A linear layer that divides its input's channels by a factor each, and leaves
    these few to a layer of their own."""
    import torch

    class Shrunk(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = dense
            share = 1 / factor
            if channels:
                own = torch.nn.Linear(len(channels), dense.out_features, bias=False)
                own.weight.data = dense.weight.data[:, channels].clone()
                self.outliers = own
                share[channels] = 0
            self.dense.weight.data *= factor
            self.dense.weight.data[:, channels] = 0  # else they would set the scale
            self.register_buffer("share", share)

        def forward(self, x):
            states = self.dense(x * self.share)
            if channels:
                states = states + self.outliers(x[..., channels])
            return states

    return Shrunk()
