"""Pipelines with a `gerbera_ner` on a small CNN."""

import pytest
from toy import cnn_pipeline, toy_examples, train


@pytest.fixture
def untrained():
    nlp = cnn_pipeline()
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)
    return nlp


@pytest.fixture(scope="module")
def trained():
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 40)
    return nlp
