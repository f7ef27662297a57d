"""Keep an encoder's largest activations out of its int8 layers.

The int8 scale of a layer's input is that of its largest value, and in BERT-like
encoders a few channels (most of them at the first token) are many times as large as all
others: what is left for the others is coarse. So channels that are larger than most are
shrunk, and their weights multiplied by as much (SmoothQuant, Xiao et al., ICML 2023):
those that attention mixes at no cost, where their values are made; all others on the
doorstep. Before that, the middle of each channel's range is moved to zero, and the bias
makes up for it (Outlier Suppression+, Wei et al., EMNLP 2023). The few largest of a
feed-forward layer's inner ones take a way of their own in fp32 besides, as in
LLM.int8() (Dettmers et al., NeurIPS 2022). How large a channel gets hardly depends on
the text (Sun et al., "Massive Activations", COLM 2024), so it is found once, on sample
text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats1d = NDArray[np.float32]
MOST = 4  # channels of a layer that go in fp32
RATIO = 1.5  # how much larger they are than all the others
POWER = 0.8  # of what is shrunk; with 1 the weights would bear all of it
FP32_LAYER = "outliers"  # its name in the exported graph
READ_TOGETHER = ("key", "value")  # with "query"


@dataclass(frozen=True)
class Channels:
    """What the input of a layer is moved and divided by.  # (width,) each"""

    middle: Floats1d
    factor: Floats1d


def tame_outliers(encoder, run: Callable[[], object]) -> list[Channels]:
    """Move and shrink the larger channels of an encoder's linear layers; of a
    feed-forward layer's inner ones give the largest a small layer of their own.

    What the encoder computes stays the same.

    encoder (torch.nn.Module): Layers like BERT's. Changed in place.
    run (callable): Runs it on sample text.
    RETURNS (list): What `shrink_attention` needs, for each layer.
    """
    import torch

    layers = {
        name: layer
        for name, layer in encoder.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.endswith(READ_TOGETHER)
    }
    at_attention = []
    for name, (low, high) in _ranges(layers, run).items():
        parent, _, own = name.rpartition(".")
        layer, inner = layers[name], parent.endswith("output")
        mixed = parent.endswith("attention.output")
        # Inner channels begin at an activation: their middle is not what is frequent.
        middle = (low + high) / 2 * (mixed or not inner)
        peak = torch.maximum(high - middle, middle - low)
        factor = (peak / peak.median().clamp(min=1e-6)).clamp(min=1) ** POWER
        if name.endswith("query"):
            at_attention.append(Channels(middle.numpy(), factor.numpy()))
            continue
        layer.bias.data += layer.weight.data @ middle
        if mixed:
            # Attention's weights add up to one, so what values lose, their mix loses.
            value = encoder.get_submodule(parent.replace("output", "self")).value
            value.bias.data = (value.bias.data - middle) / factor
            value.weight.data /= factor[:, None]
            layer.weight.data *= factor
        else:
            shrunk = _make_shrunk(
                layer, middle, factor, _largest(peak) if inner else []
            )
            setattr(encoder.get_submodule(parent), own, shrunk)
    return at_attention


def shrink_attention(model, channels: Sequence[Channels]) -> None:
    """Move and divide the input of each attention; its weights and bias make up for it.

    model (onnx.ModelProto): A graph in which each attention is one node, with its
        three linear layers; torch's modules cannot be changed so: they would not
        become one node any more. Changed in place.
    channels (sequence): From `tame_outliers`.
    """
    from onnx import helper, numpy_helper

    tables = {table.name: table for table in model.graph.initializer}
    left, nodes = iter(channels), []

    def change(name: str, values: NDArray) -> None:
        tables[name].CopyFrom(numpy_helper.from_array(values, name))

    def add(op: str, entry: str, values: Floats1d, output: str) -> None:
        table = f"{output}_by"
        model.graph.initializer.append(numpy_helper.from_array(values, table))
        nodes.append(helper.make_node(op, [entry, table], [output]))

    for node in model.graph.node:
        if node.op_type == "Attention":
            own = next(left)
            states, weights, bias = node.input[:3]
            table = numpy_helper.to_array(tables[weights])  # (width, 3 * width)
            change(bias, numpy_helper.to_array(tables[bias]) + own.middle @ table)
            change(weights, table * own.factor[:, None])
            add("Mul", states, 1 / own.factor, f"{node.name}_shrunk")
            moved = f"{node.name}_moved"
            add("Sub", f"{node.name}_shrunk", own.middle / own.factor, moved)
            node.input[0] = moved
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _ranges(layers: dict, run: Callable[[], object]) -> dict:
    """The least and the largest value of each input channel of each layer."""
    import torch

    infinite = torch.tensor(torch.inf)
    lows = {name: infinite.expand(layer.in_features) for name, layer in layers.items()}
    highs = {name: -low for name, low in lows.items()}

    def watch(name: str):
        def look(layer, inputs) -> None:
            values = inputs[0].detach().flatten(end_dim=-2)  # (pieces, channels)
            lows[name] = torch.minimum(lows[name], values.amin(dim=0))
            highs[name] = torch.maximum(highs[name], values.amax(dim=0))

        return look

    hooks = [
        layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()
    ]
    run()
    for hook in hooks:
        hook.remove()
    return {name: (lows[name], highs[name]) for name in layers}


def _largest(peak) -> list[int]:
    """The channels, at most MOST, that are RATIO times as large as all others."""
    highest = peak.topk(min(MOST + 1, len(peak)))
    above = highest.values > RATIO * highest.values[-1].clamp(min=1e-6)
    return highest.indices[above].tolist()


def _make_shrunk(dense, middle, factor, channels: Sequence[int]):
    """A linear layer, its bias made up already, that moves its input's channels and
    divides them by a factor each, and leaves these few to a layer of their own."""
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
            self.register_buffer("moved", middle * share if middle.any() else None)

        def forward(self, x):
            states = x * self.share
            if self.moved is not None:
                states = states - self.moved
            states = self.dense(states)
            if channels:
                states = states + self.outliers(x[..., channels])
            return states

    return Shrunk()
