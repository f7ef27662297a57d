"""Several tagging heads on one input, in one layer; each input goes to its own.

A head is a two-layer perceptron with ReLU (GERBERA, section 3.2). All heads live in
one thinc node, so that heads can be added, dropped and loaded by name, and one call
backward through the encoder serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d

Scores = list[dict[str, Floats2d]]  # a document's tag scores, by head


def RoutedHeads(hidden: int, dropout: float) -> Model[tuple, Scores]:
    """A layer from (token vectors, routes) to tag scores by head.

    Input: a list of arrays (tokens, width), and for each the names of its heads.
    Output: for each, a dict from head to logits (tokens, tags).
    A head that no document is routed to gets no gradient at all.
    """
    return Model(
        "routed_heads",
        forward,
        dims={"nI": None, "nH": hidden},
        attrs={"heads": [], "dropout_rate": dropout},
    )


def add_head(model: Model, name: str, n_tags: int) -> None:
    """Add a freshly initialised head; the input width must be known."""
    ops, width, hidden = model.ops, model.get_dim("nI"), model.get_dim("nH")
    model.attrs["heads"] = [*model.attrs["heads"], name]
    model.set_param(f"{name}:W1", glorot_uniform_init(ops, (hidden, width)))
    model.set_param(f"{name}:b1", ops.alloc1f(hidden))
    model.set_param(f"{name}:W2", glorot_uniform_init(ops, (n_tags, hidden)))
    model.set_param(f"{name}:b2", ops.alloc1f(n_tags))


def head_params(name: str) -> list[str]:
    """The names of one head's parameters inside the layer."""
    return [f"{name}:{part}" for part in ("W1", "b1", "W2", "b2")]


def forward(model: Model, inputs, is_train: bool) -> tuple[Scores, Callable]:
    X, routes = inputs  # (docs) x (tokens, width)
    outputs: Scores = [{} for _ in X]
    calls: list[tuple[str, list[int], Callable]] = []
    for name in model.attrs["heads"]:
        rows = [i for i, route in enumerate(routes) if name in route and len(X[i])]
        for i, route in enumerate(routes):
            if name in route and not len(X[i]):
                size = model.get_param(f"{name}:b2").shape[0]
                outputs[i][name] = model.ops.alloc2f(0, size)
        if rows:
            Y, backprop_head = _run_head(model, name, [X[i] for i in rows], is_train)
            for i, Yi in zip(rows, Y, strict=True):
                outputs[i][name] = Yi
            calls.append((name, rows, backprop_head))

    def backprop(dY: Scores) -> list[Floats2d]:
        dX = [model.ops.alloc2f(*x.shape) for x in X]  # zero where no head looked
        for name, rows, backprop_head in calls:
            if any(name in dY[i] for i in rows):  # else nothing to learn here
                zero = (outputs[i][name] * 0 for i in rows)
                parts = backprop_head(
                    [dY[i].get(name, z) for i, z in zip(rows, zero, strict=True)]
                )
                for i, part in zip(rows, parts, strict=True):
                    dX[i] += part
        return dX

    return outputs, backprop


def _run_head(model: Model, name: str, X: list[Floats2d], is_train: bool):
    ops = model.ops
    params: list[Any] = [model.get_param(param) for param in head_params(name)]
    W1, b1, W2, b2 = params
    lengths = [len(x) for x in X]
    flat = ops.xp.concatenate(X)  # (tokens, width)
    rate = model.attrs["dropout_rate"] if is_train else 0.0
    mask_in = ops.get_dropout_mask(flat.shape, rate) if rate else None
    if mask_in is not None:
        flat = flat * mask_in
    hidden = ops.gemm(flat, W1, trans2=True) + b1  # (tokens, hidden)
    active = hidden > 0
    hidden = hidden * active
    mask_hidden = ops.get_dropout_mask(hidden.shape, rate) if rate else None
    if mask_hidden is not None:
        hidden = hidden * mask_hidden
    Y = ops.gemm(hidden, W2, trans2=True) + b2  # (tokens, tags)

    def backprop(dY: list[Floats2d]) -> list[Floats2d]:
        d = ops.xp.concatenate(dY)  # (tokens, tags)
        model.inc_grad(f"{name}:W2", ops.gemm(d, hidden, trans1=True))
        model.inc_grad(f"{name}:b2", d.sum(axis=0))
        d_hidden = ops.gemm(d, W2) * active
        if mask_hidden is not None:
            d_hidden = d_hidden * mask_hidden
        model.inc_grad(f"{name}:W1", ops.gemm(d_hidden, flat, trans1=True))
        model.inc_grad(f"{name}:b1", d_hidden.sum(axis=0))
        d_flat = ops.gemm(d_hidden, W1)
        if mask_in is not None:
            d_flat = d_flat * mask_in
        return _split(ops, d_flat, lengths)

    return _split(ops, Y, lengths), backprop


def _split(ops, array, lengths: list[int]) -> list[Floats2d]:
    return ops.xp.split(array, np.cumsum(lengths)[:-1].tolist())
