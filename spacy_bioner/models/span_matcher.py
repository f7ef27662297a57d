"""Architecture of `candidate_filter`: a token encoder under given spans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Dropout, Linear, Model, chain
from thinc.types import Floats1d, Floats2d

from ..layers.label_text import label_features
from ..layers.span_match import SpanMatch
from ..layers.span_table import PARTS

# Documents; of each the spans to score (spans, 3), as start, end and the number of
# the label; what the labels are called. The other way: the logits of each document.
Queries = tuple[list[Doc], list[NDArray[np.int64]], list[str]]
Logits = list[Floats1d]
CHUNK = 1 << 15  # spans at a time in prediction: 16 MB a matrix of width 128


@registry.architectures("spacy-bioner.SpanMatcher.v1")
def build_span_matcher(
    tok2vec: Model[list[Doc], list[Floats2d]],
    hidden: int = 128,
    max_width: int = 16,
    label_rows: int = 8192,
    dropout: float = 0.1,
) -> Model[Queries, Logits]:
    """A shared encoder, and a score for each span that is asked about, given what
    its label is called.

    tok2vec (Model): Documents to token vectors: a listener to a shared transformer,
        or any spaCy `tok2vec`.
    hidden (int): Width of the hidden layer of a span.
    max_width (int): All wider spans share what is learnt of width.
    label_rows (int): Of the table that the words of labels are hashed into.
    dropout (float): On the token vectors, in training; replaced by
        `training.dropout` there, as everywhere in spaCy.
    RETURNS (Model): See `Queries` and `Logits`. All that is learnt of a token alone
        is in the linear layer "project"; "match" needs no more than numpy.
    """
    linear: Model[Floats2d, Floats2d] = Linear(nO=PARTS * hidden)
    match = SpanMatch(hidden, max_width, label_rows)
    return Model(
        "span_matcher",
        forward,
        init=init,
        layers=[tok2vec, chain(Dropout(dropout), linear), match],
        refs={"tok2vec": tok2vec, "project": linear, "match": match},
    )


def init(model: Model, X=None, Y=None) -> None:
    """Needs a document that is not empty: X holds documents alone."""
    tok2vec, linear = model.get_ref("tok2vec"), model.get_ref("project")
    tok2vec.initialize(X=X)
    if linear.has_dim("nI") is None:
        full = [doc for doc in X or () if len(doc)][:1]  # an empty one has no width
        width = tok2vec.maybe_get_dim("nO") or tok2vec.predict(full)[0].shape[1]
        linear.set_dim("nI", width)
    linear.initialize()
    model.get_ref("match").initialize()


def forward(model: Model, X: Queries, is_train: bool) -> tuple[Logits, Callable]:
    """At least one document must have tokens: a listener cannot pool nothing."""
    docs, spans, labels = X
    ops: Any = model.ops
    tok2vec, project, match = model.layers
    T, backprop_tok2vec = tok2vec(docs, is_train)
    sizes = [len(t) for t in T]
    flat = ops.xp.concatenate([t for t in T if len(t)])  # (tokens, width)
    P, backprop_project = project(flat, is_train)
    moved = [
        rows + [begin, begin, 0]
        for rows, begin in zip(spans, np.cumsum([0, *sizes]), strict=False)
    ]
    joined = np.concatenate(moved)  # (spans of all, 3)
    borders = np.cumsum([len(rows) for rows in spans])[:-1].tolist()
    features = features_of(match, labels)
    backprop_match: Any = None
    if is_train:
        Y, backprop_match = match((P, joined, features), is_train)
    else:
        Y = match_spans(match, P, joined, features)

    def backprop(dY: Logits) -> list[Doc]:
        d_flat = backprop_project(backprop_match(ops.xp.concatenate(dY)))
        parts = ops.xp.split(d_flat, np.cumsum(sizes)[:-1].tolist())
        dT = [part.reshape(t.shape) for part, t in zip(parts, T, strict=True)]
        return backprop_tok2vec(dT)

    return ops.xp.split(Y, borders), backprop


def features_of(match: Model, labels: list[str]) -> list[NDArray[np.int64]]:
    """The rows of the label table that each label's text stands for."""
    return [label_features(text, match.get_dim("nR")) for text in labels]


def match_spans(match: Any, tokens: Any, spans: NDArray, features: list) -> Floats1d:
    """Any number of spans, in bounded memory.

    tokens (array): (tokens, 3 * hidden), projected.
    spans (array): (spans, 3).
    RETURNS (array): (spans,)
    """
    chunks = [spans[i : i + CHUNK] for i in range(0, len(spans), CHUNK)]
    parts = [match.predict((tokens, chunk, features)) for chunk in chunks]
    return match.ops.xp.concatenate([match.ops.alloc1f(0), *parts])
