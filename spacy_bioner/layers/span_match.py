"""Scores of given spans for given labels: how well a span is what a label says.

A span's hidden layer is that of `span_table`: what its first token, its last token,
the mean of its tokens and its width say, added up. Its logit has two parts: what any
entity looks like, and what the label asks for. A label's vector is the mean of its
features' rows (see `label_text`), which begin at zero: a label that shares no feature
with those trained on gets the first part alone.

All is array arithmetic on lists of spans; nothing but numpy is needed to apply it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray
from thinc.api import Model, glorot_uniform_init
from thinc.types import Floats1d, Floats2d

from .span_table import PARTS

# Projected tokens (tokens, 3 * hidden); spans (spans, 3) as first token, end and the
# number of the label; of each label its features.
Input = tuple[Floats2d, NDArray, Sequence[NDArray]]


def SpanMatch(hidden: int, max_width: int, rows: int) -> Model[Input, Floats1d]:
    """A layer from projected tokens to the logit of each span for its label.

    max_width (int): All wider spans share what is learnt of width.
    rows (int): Of the table of label features.
    """
    return Model(
        "span_match",
        forward,
        init=init,
        params={"widths": None, "w": None, "b": None, "labels": None},
        dims={"nI": PARTS * hidden, "nH": hidden, "nW": max_width, "nR": rows},
    )


def init(model: Model, X=None, Y=None) -> None:
    ops, hidden = model.ops, model.get_dim("nH")
    model.set_param("widths", ops.alloc2f(model.get_dim("nW"), hidden))
    model.set_param("w", glorot_uniform_init(ops, (1, hidden)))
    model.set_param("b", ops.alloc1f(1))
    # the last column is a label's bias
    model.set_param("labels", ops.alloc2f(model.get_dim("nR"), hidden + 1))


def forward(model: Model, X: Input, is_train: bool) -> tuple[Floats1d, Callable]:
    ops: Any = model.ops
    xp: Any = ops.xp
    tokens, spans, features = X
    params: list[Any] = [model.get_param(name) for name in ("widths", "w", "b")]
    widths, w, b = params
    start, end, label = (xp.asarray(column) for column in spans.T)
    size = (end - start).reshape(-1, 1)
    width = xp.minimum(end - start, len(widths)) - 1
    first, last, each = xp.split(tokens, PARTS, axis=1)
    sums = xp.zeros((len(tokens) + 1, each.shape[1]), dtype="float64")
    xp.cumsum(each, axis=0, dtype="float64", out=sums[1:])
    hidden = ((sums[end] - sums[start]) / size).astype(tokens.dtype)
    hidden += first[start]
    hidden += last[end - 1]
    hidden += widths[width]
    hidden = xp.maximum(hidden, 0)  # (spans, hidden)
    vectors: Any = label_vectors(model, features)  # (labels, hidden + 1)
    wanted = (vectors[:, :-1] + w)[label]  # (spans, hidden)
    logits = xp.einsum("sh,sh->s", hidden, wanted) + vectors[label, -1] + b

    def backprop(d_logits: Any) -> Floats2d:
        d = d_logits.reshape(-1, 1)
        d_wanted = d * hidden
        d_hidden = d * wanted * (hidden > 0)
        d_vectors = xp.zeros_like(vectors)
        ops.scatter_add(d_vectors, label, xp.hstack([d_wanted, d]))
        d_labels: Any = xp.zeros_like(model.get_param("labels"))
        for i, rows in enumerate(features):
            d_labels[xp.asarray(rows)] += d_vectors[i] / max(len(rows), 1)
        d_widths, d_sums = xp.zeros_like(widths), xp.zeros_like(sums)
        ops.scatter_add(d_widths, width, d_hidden)
        ops.scatter_add(d_sums, end, d_hidden / size)
        ops.scatter_add(d_sums, start, -d_hidden / size)
        d_tokens = xp.zeros_like(tokens)
        d_first, d_last, d_each = xp.split(d_tokens, PARTS, axis=1)  # views
        ops.scatter_add(d_first, start, d_hidden)
        ops.scatter_add(d_last, end - 1, d_hidden)
        d_each += d_sums[:0:-1].cumsum(axis=0)[::-1]  # of all sums from here on
        model.inc_grad("widths", d_widths)
        model.inc_grad("w", d_wanted.sum(axis=0, keepdims=True))
        model.inc_grad("b", d.sum(axis=0))
        model.inc_grad("labels", d_labels)
        return d_tokens

    return logits, backprop


def label_vectors(model: Model, features: Sequence[NDArray]) -> Floats2d:
    """What each label asks for: the mean of its features' rows, and a bias.

    RETURNS (array): (labels, hidden + 1); zero for a label without features.
    """
    xp: Any = model.ops.xp
    table: Any = model.get_param("labels")
    vectors = xp.zeros((len(features), table.shape[1]), dtype=table.dtype)
    for i, rows in enumerate(features):
        if len(rows):
            vectors[i] = table[xp.asarray(rows)].mean(axis=0)
    return vectors
