"""Weights on the grid of int8 so that a layer's output changes least.

Each to its nearest step would be best if inputs had nothing to do with each other.
Here what one weight's rounding does to the output of sample text is made up for by the
weights of inputs that are like it, which are rounded after it (GPTQ, Frantar et al.,
ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..models.onnx import make_session

Floats2d = NDArray[np.floating]
STEPS = 127  # of the grid, on each side of zero
DAMPING = 0.01  # of an input's mean square, as in the paper


def round_weights(
    model, inputs: Sequence[dict[str, NDArray]], wanted: Callable[[str], bool]
) -> None:
    """Put the weights of a graph's layers on the grid that quantizing gives them, which
    has a scale for each output.

    model (onnx.ModelProto): In fp32. Changed in place.
    inputs (sequence): What the graph reads of sample text, for each call.
    wanted (callable): Whether the node of a name is to be quantized.
    """
    from onnx import numpy_helper

    tables = {table.name: table for table in model.graph.initializer}
    layers = [
        (node.input[0], tables[node.input[1]])
        for node in model.graph.node
        if node.op_type in ("MatMul", "Attention")
        and node.input[1] in tables
        and wanted(node.name)
    ]
    moments = _find_moments(model, {states for states, _ in layers}, inputs)
    for states, table in layers:
        weights = numpy_helper.to_array(table)
        rounded = round_to_grid(weights, moments[states]).astype(weights.dtype)
        table.CopyFrom(numpy_helper.from_array(rounded, table.name))


def round_to_grid(weights: Floats2d, moments: Floats2d) -> Floats2d:
    """Weights as whole multiples of a scale for each output, which is a 127th of its
    largest weight, and that weight stays.

    weights (array): # (inputs, outputs)
    moments (array): The sum of products of every two inputs. # (inputs, inputs)
    """
    scales = np.abs(weights).max(axis=0).clip(min=1e-12) / STEPS
    damping = DAMPING * np.trace(moments) / len(moments)
    moments = moments + max(damping, 1e-12) * np.eye(len(moments))
    order = np.argsort(-np.diag(moments), kind="stable")
    inverse = np.linalg.inv(moments[np.ix_(order, order)])
    factor = np.linalg.cholesky(inverse).T  # upper: each input and those after it
    left = (weights / scales)[order]
    largest = np.abs(left).argmax(axis=0)
    steps = np.empty_like(left)
    for i, row in enumerate(left):
        steps[i] = row.round().clip(-STEPS, STEPS)
        kept = largest == i
        steps[i, kept] = STEPS * np.sign(weights[order[i], kept])
        error = (row - steps[i]) / factor[i, i]
        left[i + 1 :] -= np.outer(factor[i, i + 1 :], error)
    rounded = np.empty_like(steps)
    rounded[order] = steps * scales
    return rounded


def _find_moments(
    model, names: Iterable[str], inputs: Sequence[dict[str, NDArray]]
) -> dict[str, Floats2d]:
    """For each of these values of the graph the sum of products of every two channels,
    over sample text.  # (width, width) each"""
    from onnx import ModelProto, TensorProto, helper

    names, watched = sorted(names), ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    session = make_session(watched.SerializeToString())
    sums: dict[str, Floats2d] = {}
    for fed in inputs:
        for name, values in zip(names, session.run(names, fed), strict=True):
            rows = values.reshape(-1, values.shape[-1])
            sums[name] = sums.get(name, 0) + (rows.T @ rows).astype("float64")
    return sums
