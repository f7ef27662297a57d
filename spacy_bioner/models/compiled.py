"""Architectures of compiled components: what comes after the ONNX graph.

Each takes the graph's part for its component, token by token, from `OnnxGraph.v1` or
`OnnxListener.v1`, and gives what the component's trainable architecture gives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d

from ..layers.heads import Scores
from ..layers.span_match import SpanMatch
from ..layers.span_table import SpanTable
from ..task import get_task
from .onnx import init, no_backprop, places
from .span_matcher import Logits, Queries, features_of, match_spans
from .span_scorer import Tables


@registry.architectures("spacy-bioner.OnnxTagger.v1")
def build_onnx_tagger(
    states: Model[list[Doc], list[Floats2d]],
) -> Model[list[Doc], Scores]:
    """The model of a compiled `gerbera_ner`.

    RETURNS (Model): Documents to `{head: logits (tokens, tags)}`. A document has the
        scores of the head its task names; without a task, of every head.
    """
    return Model(
        "onnx_tagger",
        tag,
        init=init,
        layers=[states],
        refs={"states": states},
        attrs={"run": [], "tags": {}},
    )


def tag(model: Model, docs: list[Doc], is_train: bool) -> tuple[Scores, Callable]:
    """`attrs["tags"]` is the number of tags of each head, in the columns' order."""
    logits, _ = model.get_ref("states")(docs, is_train)
    columns = places(model.attrs["tags"])
    everything = [head for head in columns if head in model.attrs["run"]]
    scores: Scores = []
    for doc, matrix in zip(docs, logits, strict=True):
        task = get_task(doc)
        route = everything if task is None else [task] * (task in columns)
        scores.append({head: matrix[:, columns[head]] for head in route})
    return scores, no_backprop


@registry.architectures("spacy-bioner.OnnxSpanScorer.v1")
def build_onnx_span_scorer(
    states: Model[list[Doc], list[Floats2d]], hidden: int = 128, max_width: int = 16
) -> Model[list[Doc], Tables]:
    """The model of a compiled `nested_spancat`.

    hidden, max_width (int): As in `SpanScorer.v1`.
    RETURNS (Model): Documents to logits (tokens, max_width, labels).
    """
    table = SpanTable(hidden, max_width)
    return Model(
        "onnx_span_scorer",
        score_spans,
        init=init,
        layers=[states, table],
        refs={"states": states, "table": table},
        dims={"nO": None},
    )


def score_spans(
    model: Model, docs: list[Doc], is_train: bool
) -> tuple[Tables, Callable]:
    """One document at a time: a table is sixteen times as large as its tokens."""
    projected, _ = model.get_ref("states")(docs, is_train)
    table: Any = model.get_ref("table")
    return [table.predict(_on_device(model, x)) for x in projected], no_backprop


def _on_device(model: Model, matrix: Any) -> Floats2d:
    """What the graph computed, where this model's own weights are."""
    whole: Any = np.ascontiguousarray(matrix)
    return model.ops.asarray2f(whole)


@registry.architectures("spacy-bioner.OnnxSpanMatcher.v1")
def build_onnx_span_matcher(
    states: Model[list[Doc], list[Floats2d]],
    hidden: int = 128,
    max_width: int = 16,
    label_rows: int = 8192,
) -> Model[Queries, Logits]:
    """The model of a compiled `candidate_filter`.

    hidden, max_width, label_rows (int): As in `SpanMatcher.v1`.
    RETURNS (Model): Documents, spans and what labels are called to logits.
    """
    match = SpanMatch(hidden, max_width, label_rows)
    return Model(
        "onnx_span_matcher",
        score_queries,
        init=init,
        layers=[states, match],
        refs={"states": states, "match": match},
    )


def score_queries(
    model: Model, queries: Queries, is_train: bool
) -> tuple[Logits, Callable]:
    """One document at a time."""
    docs, spans, labels = queries
    projected, _ = model.get_ref("states")(docs, is_train)
    match: Any = model.get_ref("match")
    features = features_of(match, labels)
    return [
        match_spans(match, _on_device(model, x), rows, features)
        for x, rows in zip(projected, spans, strict=True)
    ], no_backprop
