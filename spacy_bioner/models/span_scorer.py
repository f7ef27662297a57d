"""Architecture of `nested_spancat`: a token encoder under a table of spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Dropout, Linear, Model, chain
from thinc.types import Floats2d, Floats3d

from ..layers.span_table import PARTS, SpanTable

Tables = list[Floats3d]  # a document's logits, (tokens, widths, labels)


@registry.architectures("spacy-bioner.SpanScorer.v1")
def build_span_scorer(
    tok2vec: Model[list[Doc], list[Floats2d]],
    hidden: int = 128,
    max_width: int = 16,
    dropout: float = 0.1,
) -> Model[list[Doc], Tables]:
    """A shared encoder and a score for every span of at most `max_width` tokens.

    tok2vec (Model): Documents to token vectors: a listener to a shared transformer,
        or any spaCy `tok2vec`.
    hidden (int): Width of the hidden layer of a span.
    max_width (int): Longer spans cannot be found. In tokens of the pipeline, which
        may be less than words: its tokenizer may split at hyphens.
    dropout (float): On the token vectors, in training; replaced by
        `training.dropout` there, as everywhere in spaCy.
    RETURNS (Model): Documents to logits (tokens, max_width, labels). All that is
        learnt of a token alone is in the linear layer "project"; what "table" adds
        needs no more than numpy.
    """
    linear: Model[Floats2d, Floats2d] = Linear(nO=PARTS * hidden)
    table = SpanTable(hidden, max_width)
    return Model(
        "span_scorer",
        forward,
        init=init,
        layers=[tok2vec, chain(Dropout(dropout), linear), table],
        refs={"tok2vec": tok2vec, "project": linear, "table": table},
        dims={"nO": None},
    )


def init(model: Model, X=None, Y=None) -> None:
    """Needs the number of labels, nO, and a document that is not empty."""
    tok2vec, linear = model.get_ref("tok2vec"), model.get_ref("project")
    tok2vec.initialize(X=X)
    if linear.has_dim("nI") is None:
        full = [doc for doc in X or () if len(doc)][:1]  # an empty one has no width
        width = tok2vec.maybe_get_dim("nO") or tok2vec.predict(full)[0].shape[1]
        linear.set_dim("nI", width)
    linear.initialize()
    table = model.get_ref("table")
    table.set_dim("nO", model.get_dim("nO"))
    table.initialize()


def forward(model: Model, docs: list[Doc], is_train: bool) -> tuple[Tables, Callable]:
    """At least one document must have tokens: a listener cannot pool nothing."""
    ops: Any = model.ops
    tok2vec, project, table = model.layers
    X, backprop_tok2vec = tok2vec(docs, is_train)
    borders = np.cumsum([len(x) for x in X])[:-1].tolist()
    flat = ops.xp.concatenate([x for x in X if len(x)])  # (tokens, width)
    # One table for the whole batch: of spans across two documents no score is read.
    P, backprop_project = project(flat, is_train)
    Y, backprop_table = table(P, is_train)

    def backprop(dY: Tables) -> list[Doc]:
        d_flat = backprop_project(backprop_table(ops.xp.concatenate(dY)))
        parts = ops.xp.split(d_flat, borders)
        dX = [part.reshape(x.shape) for part, x in zip(parts, X, strict=True)]
        return backprop_tok2vec(dX)

    return ops.xp.split(Y, borders), backprop
