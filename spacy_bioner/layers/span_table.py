"""Scores of all short spans of a text, as one dense table.

A span's hidden layer is the sum of what its first token, its last token, the mean of
its tokens and its width say: the perceptron on the concatenation of these (Zhong and
Chen, NAACL 2021), with its product by the first matrix done once a token, not once a
span. What is computed per token is a plain linear layer outside; here it is combined,
one width at a time, so memory is that of the spans and no row is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats2d, Floats3d

PARTS = 3  # first token, last token, mean of all
PRIOR = 0.01  # the probability of a span before training: few are entities


def SpanTable(hidden: int, max_width: int) -> Model[Floats2d, Floats3d]:
    """A layer from projected tokens to the logits of every span.

    Input: (tokens, 3 * hidden), see `PARTS`.
    Output: (tokens, max_width, labels); `[i, w]` is the span of w + 1 tokens from i,
        zero where the tokens end before it does.
    """
    return Model(
        "span_table",
        forward,
        init=init,
        params={"widths": None, "W": None, "b": None},
        dims={"nI": PARTS * hidden, "nH": hidden, "nW": max_width, "nO": None},
    )


def init(model: Model, X=None, Y=None) -> None:
    """Needs the number of labels, nO."""
    ops, hidden = model.ops, model.get_dim("nH")
    labels, widths = model.get_dim("nO"), model.get_dim("nW")
    model.set_param("widths", ops.alloc2f(widths, hidden))
    model.set_param("W", glorot_uniform_init(ops, (labels, hidden)))
    # Without this the many negatives drown the first hundreds of steps.
    odds = ops.xp.log(ops.asarray1f([PRIOR / (1 - PRIOR)]))
    model.set_param("b", ops.alloc1f(labels) + odds)


def forward(model: Model, X: Floats2d, is_train: bool) -> tuple[Floats3d, Callable]:
    ops: Any = model.ops
    n, size = len(X), model.get_dim("nW")
    params: list[Any] = [model.get_param(name) for name in ("widths", "W", "b")]
    widths, W, b = params  # (widths, hidden), (labels, hidden), (labels,)
    first, last, each = ops.xp.split(X, PARTS, axis=1)
    table = ops.xp.zeros((n, size, len(b)), dtype=X.dtype)
    kept = []
    total = ops.xp.zeros_like(each)
    for w in range(min(size, n)):
        m = n - w  # spans of this width
        total = total[:m] + each[w:]  # not by running sums: they lose digits
        hidden = first[:m] + last[w:] + total / (w + 1) + widths[w]
        hidden = ops.xp.maximum(hidden, 0)  # (spans, hidden)
        table[:m, w] = hidden @ W.T + b
        if is_train:
            kept.append(hidden)

    def backprop(d_table: Floats3d) -> Floats2d:
        dX = ops.xp.zeros_like(X)
        d_first, d_last, d_each = ops.xp.split(dX, PARTS, axis=1)  # views
        d_widths, dW = ops.xp.zeros_like(widths), ops.xp.zeros_like(W)
        db = ops.xp.zeros_like(b)
        d_total = ops.xp.zeros_like(each)
        for w in reversed(range(len(kept))):
            m = n - w
            dY = d_table[:m, w]  # (spans, labels)
            dW += dY.T @ kept[w]
            db += dY.sum(axis=0)
            d_hidden = (dY @ W) * (kept[w] > 0)
            d_widths[w] = d_hidden.sum(axis=0)
            d_first[:m] += d_hidden
            d_last[w:] += d_hidden
            d_total[:m] += d_hidden / (w + 1)
            d_each[w:] += d_total[:m]
        for name, grad in (("widths", d_widths), ("W", dW), ("b", db)):
            model.inc_grad(name, grad)
        return dX

    return table, backprop
