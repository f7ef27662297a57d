"""`nested_spancat` beside `gerbera_ner` on each encoder: a CNN, a transformer with
windows of 32 pieces, and the compiled graph of both components."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import spacy
from spacy.tokens import Span
from spacy.training import Example
from thinc.api import fix_random_seed, prefer_gpu, require_cpu
from thinc.util import has_cupy_gpu
from toy import TAGGER, TOK2VEC, annotate, example
from toy import step as one_step

from pipeline.test_nested_spancat import (
    cnn_pipeline,
    outputs,
    shared_pipeline,
    spans,
)

# Twelve pieces a sentence: windows of 30 pieces start in it at every second of them.
SENTENCE = "[p53|GENE] gene of the patients ."
PLAIN = "p53 gene of the patients ."
LENGTHS = (1, 24)  # sentences; the longer one has windows of all these starts
NAMES = ["cnn", "transformer", "compiled"]


def repeated(nlp, times: int, ner: bool = True, spancat: bool = True) -> Example:
    """The sentence over and over, with an entity, and a span that holds it, in each."""
    reference = annotate(nlp, " ".join([SENTENCE] * times), task="genes")
    if spancat:
        firsts = [ent.start for ent in reference.ents]
        reference.spans["sc"] = [
            Span(reference, i, i + n, label)
            for i in firsts
            for n, label in ((2, "DNA"), (1, "PROTEIN"))
        ]
    return example(nlp, reference, "genes" if ner else "another")


def both_on_cnn():
    nlp = cnn_pipeline()
    model = {**TAGGER, "tok2vec": TOK2VEC}
    nlp.add_pipe("gerbera_ner", name="ner", config={"model": model}, first=True)
    return nlp


def learn(nlp, examples, rate: float, steps: int = 40):
    """All components together, on every example."""
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = rate
    for _ in range(steps):
        one_step(nlp, examples, optimizer)
    return nlp


@pytest.fixture(scope="module")
def pipelines(tiny_encoder):
    """Trained together, and the one with the transformer compiled."""
    pytest.importorskip("onnx")
    from spacy_bioner.pipeline.export import compile_pipeline

    fix_random_seed(0)
    cnn, trf = both_on_cnn(), shared_pipeline(tiny_encoder)
    learn(cnn, [repeated(cnn, n) for n in LENGTHS], 0.01)
    learn(trf, [repeated(trf, n) for n in LENGTHS], 0.003, 70)
    found = [cnn, trf, compile_pipeline(trf, "none")]
    return dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_no_border_of_a_window_hides_a_span(pipelines, name):
    nlp = pipelines[name]
    doc = nlp(" ".join([PLAIN] * 9))
    assert [ent.text for ent in doc.ents] == ["p53"] * 9
    assert spans(doc) == [("p53 gene", "DNA"), ("p53", "PROTEIN")] * 9
    assert (doc.spans["sc"].attrs["scores"] > 0.5).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_of_3000_tokens_is_read_to_its_end(pipelines, name):
    nlp = pipelines[name]
    doc = nlp(" ".join([PLAIN] * 500))
    assert len(doc) == 3000
    found = spans(doc)
    assert found.count(("p53 gene", "DNA")) == found.count(("p53", "PROTEIN")) == 500


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_comes_back(pipelines, name, tmp_path):
    nlp = pipelines[name]
    texts = ["", PLAIN, " \n", "x" * 300, " ".join([PLAIN] * 9)]
    wanted = outputs(nlp, texts)
    nlp.to_disk(tmp_path / name)
    assert outputs(spacy.load(tmp_path / name), texts) == wanted
    if name != "transformer":  # spacy-transformers' cannot be pickled
        assert outputs(pickle.loads(pickle.dumps(nlp)), texts) == wanted
    assert wanted[0] == wanted[2] == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_empty_documents(pipelines, name):
    nlp = pipelines[name]
    docs = list(nlp.pipe(["", "", "  "]))
    assert all(not doc.spans["sc"] and not doc.ents for doc in docs)
    mixed = list(nlp.pipe(["", PLAIN, ""]))
    assert [len(doc.spans["sc"]) for doc in mixed] == [0, 2, 0]


def test_compiled_together_both_find_the_same(pipelines):
    texts = ["", PLAIN, " ".join([PLAIN] * 9), "The gene of the patients ."]
    ours, theirs = (list(pipelines[n].pipe(texts)) for n in ("compiled", "transformer"))
    assert [doc.ents for doc in ours] != [()] * 4
    for a, b in zip(ours, theirs, strict=True):
        assert [(e.text, e.label_) for e in a.ents] == [
            (e.text, e.label_) for e in b.ents
        ]
        assert spans(a) == spans(b)
        scores = [doc.spans["sc"].attrs["scores"] for doc in (a, b)]
        np.testing.assert_allclose(*scores, atol=1e-4)


def test_one_after_the_other_then_compiled(tiny_encoder):
    """The encoder learns with `gerbera_ner`; `nested_spancat` learns on what it is."""
    pytest.importorskip("onnx")
    from spacy_bioner.pipeline.export import compile_pipeline

    nlp = shared_pipeline(tiny_encoder)
    both = [repeated(nlp, n) for n in LENGTHS]
    optimizer = nlp.initialize(lambda: both)
    optimizer.learn_rate = 0.003
    flat = [repeated(nlp, n, spancat=False) for n in LENGTHS]
    for _ in range(40):
        losses = one_step(nlp, flat, optimizer)
    assert losses["ner"] < 0.1 and losses["spancat"] == 0.0
    optimizer.learn_rate = 0.01
    frozen = {"exclude": ["transformer", "ner"], "annotates": ["transformer"]}
    for _ in range(60):
        nlp.update(both, sgd=optimizer, **frozen)
    for trained in (nlp, compile_pipeline(nlp, "none")):
        doc = trained(" ".join([PLAIN] * 9))
        assert [ent.text for ent in doc.ents] == ["p53"] * 9
        assert spans(doc) == [("p53 gene", "DNA"), ("p53", "PROTEIN")] * 9


@pytest.mark.skipif(not has_cupy_gpu, reason="needs a GPU and cupy")
def test_arrays_of_a_gpu():
    cpu = learn(cnn_pipeline(), [repeated(spacy.blank("en"), 2)], 0.01)
    wanted = outputs(cpu, [PLAIN])
    prefer_gpu()
    try:
        gpu = cnn_pipeline().from_bytes(cpu.to_bytes())
        ((found, scores),) = outputs(gpu, [PLAIN])
        assert found == wanted[0][0]
        assert scores == pytest.approx(wanted[0][1], abs=1e-4)
        eg = repeated(gpu, 2)
        one_step(gpu, [eg], gpu.resume_training())
    finally:
        require_cpu()
