"""The architecture: routes, widths, and a call backward that always comes."""

import numpy as np
import pytest
import spacy
from spacy.util import registry
from thinc.api import Model
from toy import cnn_pipeline, toy_examples

from spacy_bioner.models.tagger import build_multi_head_tagger, routes_of, set_heads
from spacy_bioner.task import set_task

NLP = spacy.blank("en")


def counting_encoder(calls: list) -> Model:
    """Token vectors of width 4 that record every call backward; no nO known."""

    def forward(model, docs, is_train):
        X = [model.ops.alloc2f(len(doc), 4 * bool(len(doc))) + 1.0 for doc in docs]
        return X, lambda dX: calls.append(dX) or docs

    return Model("counting", forward)


def make(calls=None) -> Model:
    model = build_multi_head_tagger(counting_encoder([] if calls is None else calls), 8)
    model.initialize(X=[NLP(""), NLP("a b")])
    set_heads(model, {"x": ["A"], "y": ["A", "B"]})
    return model


def docs_for(*tasks):
    docs = [NLP("one two three") for _ in tasks]
    for doc, task in zip(docs, tasks, strict=True):
        set_task(doc, task)
    return docs


def test_registered():
    assert registry.architectures.get("spacy-bioner.MultiHeadTagger.v1")


def test_width_is_that_of_a_document_with_tokens():
    assert make().get_ref("heads").get_dim("nI") == 4


def test_routes():
    model = make()
    docs = docs_for("x", "y", None, "stranger")
    model.attrs["run"] = ["y"]
    assert routes_of(model, docs) == [["x"], ["y"], ["y"], []]
    shapes = [{k: v.shape for k, v in y.items()} for y in model.predict(docs)]
    assert shapes == [{"x": (3, 3)}, {"y": (3, 5)}, {"y": (3, 5)}, {}]


def test_set_heads_leaves_trained_ones_alone():
    model = make()
    heads = model.get_ref("heads")
    before = heads.get_param("x:W1").copy()
    set_heads(model, {"x": ["A"], "z": ["C"]})
    assert heads.attrs["heads"] == ["x", "y", "z"]
    assert np.array_equal(heads.get_param("x:W1"), before)


@pytest.mark.parametrize("tasks", [("x", "y"), ("stranger", "stranger")])
def test_encoder_always_gets_its_call_backward(tasks):
    calls = []
    model = make(calls)
    Y, backprop = model.begin_update(docs_for(*tasks))
    backprop([{k: np.ones_like(v) for k, v in y.items()} for y in Y])
    assert len(calls) == 1
    assert [x.shape for x in calls[0]] == [(3, 4), (3, 4)]
    assert [bool(x.any()) for x in calls[0]] == [task != "stranger" for task in tasks]


def test_works_on_a_spacy_encoder():
    nlp = cnn_pipeline()
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)
    model = nlp.get_pipe("ner").model
    assert model.get_ref("heads").get_dim("nI") == 24
    assert sorted(model.predict([examples[0].x, NLP("")])[1]) == ["diseases", "genes"]
