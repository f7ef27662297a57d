"""The architecture: shapes, empty documents, the gradient down to the tokens."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Model

from spacy_bioner.models.span_scorer import build_span_scorer

VOCAB = spacy.blank("en").vocab
RNG = np.random.default_rng(0)


def fixed_vectors(width=6, empty_width=6):
    """An encoder whose output stands in the model: its gradient can be looked at.
    Empty documents may come without a width, as a listener's do."""

    def forward(model, docs, is_train):
        lengths = [len(doc) for doc in docs]
        parts = np.split(model.attrs["states"], np.cumsum(lengths)[:-1])
        X = [x if len(x) else np.zeros((0, empty_width), "f") for x in parts]

        def backprop(dX):
            model.attrs["gradient"] = dX
            return docs

        return X, backprop

    states = RNG.normal(size=(9, width)).astype("float32")
    return Model("fixed", forward, dims={"nO": width}, attrs={"states": states})


def documents(*lengths):
    return [Doc(VOCAB, ["w"] * n) for n in lengths]


def make_model(tok2vec, labels=2):
    model = build_span_scorer(tok2vec, hidden=5, max_width=3)
    model.set_dim("nO", labels)
    model.initialize(X=documents(0, 9))
    return model


@pytest.mark.parametrize("empty_width", [0, 6])
def test_each_document_has_its_table_and_its_gradient(empty_width):
    tok2vec = fixed_vectors(empty_width=empty_width)
    model = make_model(tok2vec)
    docs = documents(0, 4, 0, 5, 0)
    tables, backprop = model.begin_update(docs)
    assert [t.shape for t in tables] == [(len(doc), 3, 2) for doc in docs]
    backprop([np.ones_like(t) for t in tables])
    shapes = [x.shape for x in tok2vec.attrs["gradient"]]
    none = (0, empty_width)
    assert shapes == [none, (4, 6), none, (5, 6), none]


def test_a_document_is_scored_as_if_alone():
    tok2vec = fixed_vectors()
    model = make_model(tok2vec)
    _, together = model.predict(documents(4, 5))
    tok2vec.attrs["states"] = tok2vec.attrs["states"][4:]
    (alone,) = model.predict(documents(5))
    inside = np.arange(5)[:, None] + np.arange(3) < 5
    assert together[inside] == pytest.approx(alone[inside], abs=1e-6)


def test_gradient_of_the_tokens_is_that_of_finite_differences():
    tok2vec = fixed_vectors()
    model = make_model(tok2vec)
    table = model.get_ref("table")
    for name in table.param_names:
        value = RNG.normal(size=table.get_param(name).shape)
        table.set_param(name, value.astype("float32"))
    docs = documents(4, 5)
    model.layers[1].layers[0].attrs["dropout_rate"] = 0.0
    tables, backprop = model.begin_update(docs)
    d_tables = [RNG.normal(size=t.shape).astype("float32") for t in tables]
    for d, doc in zip(d_tables, docs, strict=True):  # what a component leaves out
        d[np.arange(len(doc))[:, None] + np.arange(3) >= len(doc)] = 0
    backprop(d_tables)
    gradient = np.concatenate(tok2vec.attrs["gradient"])
    states = tok2vec.attrs["states"]

    def value():
        found = model.predict(docs)
        return sum(float((a * b).sum()) for a, b in zip(found, d_tables, strict=True))

    for place in np.ndindex(states.shape):
        middle = states[place]
        states[place] = middle + 1e-2
        above = value()
        states[place] = middle - 1e-2
        slope = (above - value()) / 2e-2
        states[place] = middle
        assert gradient[place] == pytest.approx(slope, abs=0.05)


def test_all_that_is_learnt_of_one_token_is_a_linear_layer():
    """What `compile` relies on: vectors -> "project" -> "table"."""
    tok2vec = fixed_vectors()
    model = make_model(tok2vec)
    project, table = model.get_ref("project"), model.get_ref("table")
    projected = tok2vec.attrs["states"] @ project.get_param("W").T
    wanted = model.predict(documents(9))[0]
    assert table.predict(projected + project.get_param("b")) == pytest.approx(wanted)
