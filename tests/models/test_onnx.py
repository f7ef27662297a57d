"""The compiled form: same scores as the trainable one, whatever the batch."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import spacy
from conftest import make_trained
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Config

from spacy_bioner.errors import BionerError
from spacy_bioner.models import onnx
from spacy_bioner.models.onnx import build_onnx_graph
from spacy_bioner.pipeline.export import compile_pipeline
from spacy_bioner.task import set_task

TEXTS = [
    "",
    "x",
    "Renal",
    " \n\t ",
    "Mutation of the BRCA1 gene in patients with renal cancer (n = 12).",
    "😀 of 👩‍👩‍👧 α-tocopherol, naïve; 中文 acid",
    "G" * 600,
    "IL-2 and [SEP] the acid.  " * 40,
    "   cancer   ",
]
BATCH = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def scores_of(nlp, docs: list[Doc]) -> list[dict]:
    return nlp.get_pipe("ner").predict(docs)


def graph_of(nlp):
    return nlp.get_pipe("ner").model.get_ref("states").shims[0]


def spans_of(doc: Doc, key: str) -> list[tuple]:
    group = doc.spans[key]
    spans = [(span.start, span.end, span.label_) for span in group]
    return list(zip(spans, group.attrs["heads"], strict=True))


def assert_same(ours: list[dict], theirs: list[dict], tolerance: float = 0.0) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for head in a:
            assert a[head].shape == b[head].shape
            np.testing.assert_allclose(a[head], b[head], rtol=0, atol=tolerance)


def test_a_source_of_another_pipeline_compiles(tiny_encoder):
    """Sourcing renames the component, and its encoder then knows both names."""
    nlp = make_trained(tiny_encoder)
    expected = [spans_of(doc, "gerbera") for doc in nlp.pipe(TEXTS)]
    host = spacy.blank("en")
    host.tokenizer = nlp.tokenizer
    host.add_pipe("transformer", source=nlp)
    host.add_pipe("ner", name="gerbera_ner", source=nlp)
    host.add_pipe("sentencizer", name="ner")  # of that name, and no listener
    for pipeline in (nlp, host):
        docs = compile_pipeline(pipeline, "none").pipe(TEXTS)
        assert [spans_of(doc, "gerbera") for doc in docs] == expected


@pytest.mark.parametrize("task", [None, "mixed", "everyday", "unheard-of"])
def test_fp32_scores_are_those_of_torch(tiny_trained, task):
    compiled = compile_pipeline(tiny_trained, "none")
    docs = [tiny_trained.make_doc(text) for text in TEXTS]
    for doc in docs:
        set_task(doc, task)
    by_torch = scores_of(tiny_trained, tiny_trained.get_pipe("transformer").pipe(docs))
    for by_head in by_torch:
        by_head.pop("everyday", None)  # general heads are not compiled
    assert_same(scores_of(compiled, docs), by_torch, 1e-4)


@pytest.fixture(scope="module")
def three(tiny_encoder):
    """Three components on one encoder, and the same compiled."""
    nlp = make_trained(tiny_encoder)
    nlp.add_pipe("ner", name="second", source=make_trained(tiny_encoder))
    second = nlp.get_pipe("second")
    second.cfg.update(spans_key="second", general=["diseases"])
    second.model.attrs["run"] = ["mixed", "everyday"]
    heads = second.model.get_ref("heads")
    for name in heads.param_names:
        heads.set_param(name, -heads.get_param(name))
    spans = nlp.add_pipe("nested_spancat", config={"model": {"max_width": 6}})
    doc = nlp.get_pipe("transformer")(nlp.make_doc("renal cancer"))
    example = Example(doc, doc.copy())
    spans.initialize(lambda: [example], labels=["X", "Y"])
    table = spans.model.get_ref("table")
    rng = np.random.default_rng(0)
    for name in table.param_names:
        shape = table.get_param(name).shape
        table.set_param(name, rng.normal(0, 0.3, shape).astype("float32"))
    spans.cfg["temperature"] = 1.5
    return nlp, compile_pipeline(nlp, "none")


def test_components_on_one_encoder_share_one_graph(three, tmp_path):
    trained, compiled = three
    names = ("ner", "second", "nested_spancat")
    states = [compiled.get_pipe(name).model.get_ref("states") for name in names]
    assert [len(model.shims) for model in states] == [1, 0, 0]
    compiled.to_disk(tmp_path)
    for nlp in (compiled, spacy.load(tmp_path), pickle.loads(pickle.dumps(compiled))):
        docs, expected = list(nlp.pipe(TEXTS)), list(trained.pipe(TEXTS))
        for ours, theirs in zip(docs, expected, strict=True):
            for key in ("gerbera", "second"):
                assert spans_of(ours, key) == spans_of(theirs, key)
            assert [(s.start, s.end, s.label_) for s in ours.spans["sc"]] == [
                (s.start, s.end, s.label_) for s in theirs.spans["sc"]
            ]
            found, wanted = (d.spans["sc"].attrs["scores"] for d in (ours, theirs))
            np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert any(len(doc.spans["sc"]) for doc in docs)
        assert any(spans_of(doc, "second") for doc in docs)
        assert not any(onnx.SHELVES[doc] for doc in docs)  # taken, all of it


def test_a_graph_needs_the_tokens_it_has_read(three):
    """Else its spans would stand on other words."""
    nlp = pickle.loads(pickle.dumps(three[1]))
    ruler = nlp.add_pipe("entity_ruler", after="ner", config={"overwrite_ents": True})
    ruler.add_patterns([{"label": "X", "pattern": "renal cancer of"}])
    nlp.add_pipe("merge_entities", after="entity_ruler")
    with pytest.raises(BionerError, match="B516"):
        nlp("The renal cancer of mice")


def test_what_is_beside_the_encoder_may_run_the_pipeline(three):
    """As a ruler does that reads its patterns, and the graph is not there yet."""
    source = pickle.loads(pickle.dumps(three[0]))
    source.add_pipe("entity_ruler").add_patterns([{"label": "Q", "pattern": "mice"}])
    source.rename_pipe("transformer", "bio_transformer")
    with source.select_pipes(disable=["ner", "second"]):
        compiled = compile_pipeline(source, "none")
        assert "ner" in compiled.disabled
        doc, expected = compiled("renal cancer in mice"), source("renal cancer in mice")
    assert [s.text for s in doc.spans["sc"]] == [s.text for s in expected.spans["sc"]]
    assert [e.label_ for e in doc.ents] == [e.label_ for e in expected.ents] == ["Q"]
    assert compiled.path is None


def test_a_component_alone_leaves_nothing_on_the_document(three):
    blank = spacy.blank("en")
    blank.add_pipe("ner", source=three[1])
    doc = blank("renal cancer in mice")
    assert list(doc.spans) == ["gerbera"]
    assert not [key for key in doc.user_data if type(key) is str]
    before = len(onnx.SHELVES)
    del doc
    gc.collect()
    assert len(onnx.SHELVES) == before - 1


def test_a_listener_without_its_graph_says_so(three):
    compiled = three[1]
    with compiled.select_pipes(disable="ner"), pytest.raises(BionerError, match="B514"):
        compiled("renal cancer")


def test_an_empty_document_needs_no_graph(three):
    """A component that scores spans does not run it for nothing."""
    source = pickle.loads(pickle.dumps(three[0]))
    for name in ("ner", "second"):
        source.remove_pipe(name)
    source.add_pipe("ner", source=three[0])
    compiled = compile_pipeline(source, "none")
    assert compiled.pipe_names[-2:] == ["nested_spancat", "ner"]
    texts = ["", "renal cancer in mice", ""]
    for doc, text in zip(compiled.pipe(texts, batch_size=1), texts, strict=True):
        assert spans_of(doc, "gerbera") == spans_of(three[1](text), "gerbera")


def test_a_document_may_stand_twice_in_a_batch(three):
    docs = [three[1].make_doc("renal cancer in mice")] * 2
    for name in ("ner", "second"):
        one, two = three[1].get_pipe(name).predict(docs)
        for head, scores in one.items():
            np.testing.assert_array_equal(scores, two[head])


def test_only_a_gpu_that_was_asked_for_is_used(monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx.onnxruntime, "get_available_providers", lambda: both)
    assert onnx.find_providers() == both[1:]
    asked = SimpleNamespace(device_type="gpu")
    monkeypatch.setattr(onnx, "get_current_ops", lambda: asked)
    assert onnx.find_providers() == both


def make_product(*constants):
    """A graph of one int8 product; weights that are not given are fed."""
    helper = pytest.importorskip("onnx.helper")
    from onnx import TensorProto

    inputs = [("a", TensorProto.UINT8), ("b", TensorProto.INT8)]
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["y"])],
        "p",
        [
            helper.make_tensor_value_info(name, kind, None)
            for name, kind in inputs[: 2 - len(constants)]
        ],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        constants,
    )
    opset = helper.make_opsetid("", 10)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=5)
    model.producer_name = ""
    return model.SerializeToString()


def test_the_graph_that_tries_products_is_what_it_says():
    assert make_product() == onnx.PRODUCT


def test_large_int8_products_are_exact_on_every_processor():
    """Without VNNI, two products of 255 and 127 overflow the 16 bits they are added in
    unless the session is told to be exact."""
    numpy_helper = pytest.importorskip("onnx.numpy_helper")
    weights = numpy_helper.from_array(np.full((64, 32), 127, dtype="int8"), "b")
    session = onnx.make_session(make_product(weights))
    values = np.full((8, 64), 255, dtype="uint8")
    (products,) = session.run(None, {"a": values})
    assert (products == 64 * 255 * 127).all()


@pytest.mark.parametrize("overflows", [True, False])
def test_exact_products_are_asked_for_where_they_overflow(monkeypatch, overflows):
    """With VNNI they would take nearly twice as long for nothing."""
    monkeypatch.setattr(onnx, "products_overflow", lambda: overflows)
    options = onnx.make_session(onnx.PRODUCT).get_session_options()
    if overflows:
        assert options.get_session_config_entry(onnx.EXACT_PRODUCTS) == "1"
    else:
        with pytest.raises(RuntimeError):  # onnxruntime's word for "not set"
            options.get_session_config_entry(onnx.EXACT_PRODUCTS)


def test_int8_scores_are_close(tiny_trained, tiny_compiled):
    docs = [tiny_trained.make_doc(text) for text in TEXTS]
    exact = scores_of(tiny_trained, tiny_trained.get_pipe("transformer").pipe(docs))
    close = scores_of(tiny_compiled, docs)
    ours = np.concatenate([by_head["mixed"] for by_head in close])
    theirs = np.concatenate([by_head["mixed"] for by_head in exact])
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_every_token_has_a_score_of_every_head(tiny_compiled):
    docs = [tiny_compiled.make_doc(text) for text in TEXTS]
    for doc, by_head in zip(docs, scores_of(tiny_compiled, docs), strict=True):
        shapes = {head: scores.shape for head, scores in by_head.items()}
        assert shapes == {"diseases": (len(doc), 3), "mixed": (len(doc), 5)}
        assert all(scores.any(axis=1).all() for scores in by_head.values())


@BATCH
@given(st.lists(st.sampled_from(TEXTS) | st.text(max_size=80), max_size=12))
def test_a_document_scores_the_same_in_any_batch(tiny_compiled, texts):
    docs = [tiny_compiled.make_doc(text) for text in texts]
    alone = [scores_of(tiny_compiled, [doc])[0] for doc in docs]
    assert_same(scores_of(tiny_compiled, docs), alone)
    assert_same(scores_of(tiny_compiled, docs[::-1]), alone[::-1])


def test_threads_change_nothing(tiny_compiled, tmp_path):
    tiny_compiled.to_disk(tmp_path)
    docs = [tiny_compiled.make_doc(text) for text in TEXTS * 5]
    for threads in (1, 3):
        config = {"components.ner.model.states.threads": threads}
        other = spacy.load(tmp_path, config=config)
        assert_same(scores_of(other, docs), scores_of(tiny_compiled, docs))
        assert graph_of(other).runtime.threads == threads


def test_round_trips_are_exact(tiny_compiled, tmp_path):
    docs = [tiny_compiled.make_doc(text) for text in TEXTS]
    expected = scores_of(tiny_compiled, docs)
    tiny_compiled.to_disk(tmp_path)
    copies = [
        spacy.load(tmp_path),
        pickle.loads(pickle.dumps(tiny_compiled)),
        spacy.blank("en").from_config(tiny_compiled.config).from_bytes(
            tiny_compiled.to_bytes()
        ),
    ]  # fmt: skip
    for copy in copies:
        assert_same(scores_of(copy, docs), expected)
        assert [e.label_ for e in copy(TEXTS[4]).ents] == [
            e.label_ for e in tiny_compiled(TEXTS[4]).ents
        ]
    component = pickle.loads(pickle.dumps(tiny_compiled.get_pipe("ner").model))
    assert component.predict(docs)[4].keys() == {"diseases", "mixed"}


def test_added_to_another_pipeline_it_follows_its_tokens(tiny_compiled):
    other = spacy.blank("en")
    other.add_pipe("ner", source=tiny_compiled)
    doc = other(TEXTS[7])
    assert len(doc) != len(tiny_compiled(TEXTS[7]))
    assert doc.spans["gerbera"]


def test_source_is_kept_but_for_encoder_and_training(tiny_trained, tiny_compiled):
    assert tiny_compiled.pipe_names == ["sentencizer", "ner"]
    assert tiny_compiled.meta["performance"] == {"heads_f": 0.5}
    assert tiny_compiled.get_pipe("ner").labels == ("CHEMICAL", "DISEASE")
    assert "transformer" not in Config(tiny_compiled.config).to_str().lower()
    assert not tiny_compiled.config["corpora"]["train"].get("sources")  # nor training
    assert tiny_trained.pipe_names == ["sentencizer", "transformer", "ner"]
    expected = [token.text for token in tiny_trained.make_doc(TEXTS[7])]
    assert [token.text for token in tiny_compiled.make_doc(TEXTS[7])] == expected


def test_training_is_refused(tiny_compiled):
    ner = tiny_compiled.get_pipe("ner")
    doc = tiny_compiled.make_doc("renal cancer")
    example = Example(doc, doc.copy())
    for train in (
        lambda: ner.update([example]),
        lambda: ner.initialize(lambda: [example]),
        lambda: ner.add_label("NEW", "mixed"),
        lambda: ner.model.initialize(),
    ):
        with pytest.raises(BionerError, match="B501"):
            train()


def test_a_model_without_a_graph_says_so():
    with pytest.raises(BionerError, match="B502"):
        build_onnx_graph().predict([spacy.blank("en")("x")])


WITHOUT_TORCH = """
import sys
import catalogue
blocked = ("torch", "transformers", "spacy_transformers", "scispacy", "onnx")
sys.modules.update(dict.fromkeys(blocked))
installed = catalogue.Registry._get_entry_points
catalogue.Registry._get_entry_points = lambda registry: [
    point for point in installed(registry) if not point.value.startswith(blocked)
]
import spacy
nlp = spacy.load(sys.argv[1])
texts = ["Renal cancer of the gene (n = 12).", "", "acid " * 99] * 20
def found(docs):
    return [[(s.start, s.end, s.label_) for s in doc.spans["gerbera"]] for doc in docs]
expected = found(map(nlp, texts))
assert any(expected)
assert found(nlp.pipe(texts, n_process=2, batch_size=8)) == expected
print("fine")
"""


def test_runs_without_torch_and_in_several_processes(tiny_compiled, tmp_path):
    tiny_compiled.to_disk(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.strip() == "fine", done.stderr
