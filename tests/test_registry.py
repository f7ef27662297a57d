"""Every entry point of setup.cfg resolves, is what spaCy finds, and can be called."""

from __future__ import annotations

import configparser
import re
from importlib import import_module
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.tokens import DocBin
from spacy.util import registry
from toy import cnn_pipeline
from typer.testing import CliRunner

from spacy_bioner.errors import BionerError
from spacy_bioner.instruction import get_types
from spacy_bioner.task import get_task

ROOT = Path(__file__).parent.parent


def entry_points() -> list[tuple[str, str, str]]:
    """(group, name, module:attribute) of setup.cfg."""
    setup = configparser.ConfigParser(delimiters=("=",))
    setup.optionxform = str  # type: ignore[assignment, method-assign]
    setup.read(ROOT / "setup.cfg", encoding="utf8")
    rows = []
    for group, lines in setup["options.entry_points"].items():
        for line in lines.strip().splitlines():
            name, _, target = line.partition(" = ")
            rows.append((group, name.strip(), target.strip()))
    return rows


ENTRY_POINTS = entry_points()


def resolve(target: str):
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


@pytest.mark.parametrize(("group", "name", "target"), ENTRY_POINTS)
def test_resolves_to_what_spacy_finds(group, name, target):
    found = resolve(target)
    assert callable(found)
    namespace = group.removeprefix("spacy_").removeprefix("thinc_")
    if namespace == "factories":
        assert spacy.blank("en").has_factory(name)
    elif namespace != "cli":
        if namespace.startswith("llm_"):
            pytest.importorskip("spacy_llm", reason="needs spacy-llm")
        assert getattr(registry, namespace).get(name) is found


def test_every_registered_function_is_an_entry_point():
    code = "\n".join(p.read_text("utf8") for p in ROOT.glob("spacy_bioner/**/*.py"))
    decorated = re.findall(r'@(?:registry\.\w+|Language\.factory)\(\s*"([^"]+)"', code)
    # spacy-llm's registries exist only with it, so there the entry point is all
    ours = [n for g, n, _ in ENTRY_POINTS if not g.startswith("thinc_llm_")]
    assert sorted(decorated) == sorted(n for n in ours if n != "bioner")


def call_factory(make, tmp_path, encoder):
    assert cnn_pipeline()("Aspirin.").ents == ()


def call_multi_head(build, tmp_path, encoder):
    tok2vec = registry.architectures.get("spacy.Tok2VecListener.v1")(width=8)
    assert build(tok2vec, hidden=4).has_ref("heads")


def call_nested(make, tmp_path, encoder):
    pipe = spacy.blank("en").add_pipe("nested_spancat")
    assert pipe.key == "sc" and pipe.max_width == 16


def call_span_scorer(build, tmp_path, encoder):
    tok2vec = registry.architectures.get("spacy.Tok2VecListener.v1")(width=8)
    assert build(tok2vec, hidden=4, max_width=7).get_ref("table").get_dim("nW") == 7


def call_filter(make, tmp_path, encoder):
    pipe = spacy.blank("en").add_pipe("candidate_filter")
    assert pipe.cfg["candidates_key"] == "llm_candidates" and pipe.negatives.boundary


def call_span_matcher(build, tmp_path, encoder):
    tok2vec = registry.architectures.get("spacy.Tok2VecListener.v1")(width=8)
    assert build(tok2vec, hidden=4, max_width=7).get_ref("match").get_dim("nW") == 7


def call_negatives(create, tmp_path, encoder):
    assert create(boundary=3, random=0).boundary == 3


def call_candidate_corpus(create, tmp_path, encoder):
    nlp = spacy.blank("en")
    DocBin(docs=[nlp("One.")]).to_disk(tmp_path / "a.spacy")
    (example,) = create({"a": tmp_path / "a.spacy"}, "found")(nlp)
    assert "found" not in example.predicted.spans  # there is no gold to simulate from


def call_filter_scorer(make, tmp_path, encoder):
    assert make()([], spans_key="x", gold_key="y")["spans_x_relaxed_f"] is None


def call_transformer(build, tmp_path, encoder):
    model = build(encoder, window=32, overlap=8)
    model.initialize()
    assert model.attrs["has_transformer"]


def call_onnx_graph(build, tmp_path, encoder):
    assert build(window=32, overlap=8).name


def call_onnx_model(build, tmp_path, encoder):
    assert build(registry.architectures.get("spacy-bioner.OnnxGraph.v1")()).layers


def call_tokenizer(create, tmp_path, encoder):
    nlp = spacy.blank("en")
    nlp.tokenizer = create()(nlp)
    assert [t.text for t in nlp("IL-2-mediated")] == ["IL", "-", "2", "-", "mediated"]


def call_optimizer(create, tmp_path, encoder):
    assert create(0.1).learn_rate == 0.1


def call_reader(create, tmp_path, encoder):
    nlp = spacy.blank("en")
    DocBin(docs=[nlp("One."), nlp("Two.")]).to_disk(tmp_path / "a.spacy")
    examples = list(create({"a": tmp_path / "a.spacy"})(nlp))
    assert [get_task(example.predicted) for example in examples] == ["a", "a"]


def call_instruct(make, tmp_path, encoder):
    pipe = spacy.blank("en").add_pipe("instruct_ner", config={"types": ["virus"]})
    assert pipe.labels == ("virus",)


def call_instructed_tagger(build, tmp_path, encoder):
    model = build(encoder, window=32, overlap=4)
    model.initialize()
    (scores,) = model.predict([(spacy.blank("en")("renal cancer"), "gene")])
    assert scores.shape == (2, 3)


def call_instruction_reader(create, tmp_path, encoder):
    nlp = spacy.blank("en")
    DocBin(docs=[nlp("One."), nlp("Two.")]).to_disk(tmp_path / "a.spacy")
    corpus = create({"a": tmp_path / "a.spacy"}, types={"a": ["DNA", "RNA"]})
    asked = [get_types(example.predicted) for example in corpus(nlp)]
    assert asked == [["DNA"], ["RNA"]] * 2


def call_instruct_scorer(make, tmp_path, encoder):
    assert make()([], spans_key="instruct")["instruct_f"] is None


def call_onnx_listener(build, tmp_path, encoder):
    with pytest.raises(BionerError, match="B514"):
        build().predict([spacy.blank("en")("renal cancer")])


def call_scorer(make, tmp_path, encoder):
    assert make()([])["heads_f"] is None


def call_nested_scorer(make, tmp_path, encoder):
    assert make()([], spans_key="sc")["spans_sc_f"] is None


def call_linker(make, tmp_path, encoder):
    pipe = spacy.blank("en").add_pipe("term_linker")
    with pytest.raises(BionerError, match="B908"):
        pipe.predict([spacy.blank("en")("renal cancer")])


def call_links_scorer(make, tmp_path, encoder):
    assert make()([])["nel_micro_f"] is None


def call_llm_task(make, tmp_path, encoder):
    ((prompts, _),) = make(["DISEASE"]).generate_prompts([spacy.blank("en")("Gout.")])
    assert "Text: Gout." in prompts[0]


def call_llm_model(make, tmp_path, encoder):
    assert list(make("http://127.0.0.1:9/v1", "none")([])) == []


def call_local_causal(make, tmp_path, encoder):
    assert list(make("nowhere")([])) == []  # nothing is loaded before it is needed


def call_cli(app, tmp_path, encoder):
    result = CliRunner().invoke(spacy_app, ["bioner", "--help"])
    assert result.exit_code == 0 and "annotate" in result.output


def call_callback(create, folder, encoder):
    with pytest.raises(KeyError, match="transformer"):
        create(0.1)(spacy.blank("en"))  # there is none to set


def call_small_component(make, tmp_path, encoder):
    nlp = spacy.blank("en")
    name = make.__name__.removeprefix("make_")
    assert type(nlp.add_pipe(name)).__name__.lower() == name.replace("_", "")


CALLS = {
    "gerbera_ner": call_factory,
    "instruct_ner": call_instruct,
    "spacy-bioner.InstructedTagger.v1": call_instructed_tagger,
    "spacy-bioner.InstructionCorpus.v1": call_instruction_reader,
    "spacy-bioner.instruct_scorer.v1": call_instruct_scorer,
    "nested_spancat": call_nested,
    "term_linker": call_linker,
    "abbreviation_entities": call_small_component,
    "entity_collector": call_small_component,
    "entity_resolver": call_small_component,
    "candidate_filter": call_filter,
    "spacy-bioner.MultiHeadTagger.v1": call_multi_head,
    "spacy-bioner.SpanMatcher.v1": call_span_matcher,
    "spacy-bioner.OnnxSpanMatcher.v1": call_onnx_model,
    "spacy-bioner.SpanNegatives.v1": call_negatives,
    "spacy-bioner.CandidateCorpus.v1": call_candidate_corpus,
    "spacy-bioner.filter_scorer.v1": call_filter_scorer,
    "spacy-bioner.SpanScorer.v1": call_span_scorer,
    "spacy-bioner.TransformerModel.v1": call_transformer,
    "spacy-bioner.OnnxGraph.v1": call_onnx_graph,
    "spacy-bioner.OnnxTagger.v1": call_onnx_model,
    "spacy-bioner.OnnxSpanScorer.v1": call_onnx_model,
    "spacy-bioner.OnnxListener.v1": call_onnx_listener,
    "spacy-bioner.Tokenizer.v1": call_tokenizer,
    "spacy-bioner.AdamW.v1": call_optimizer,
    "spacy-bioner.MultiTaskCorpus.v1": call_reader,
    "spacy-bioner.heads_scorer.v1": call_scorer,
    "spacy-bioner.nested_scorer.v1": call_nested_scorer,
    "spacy-bioner.links_scorer.v1": call_links_scorer,
    "spacy-bioner.encoder_dropout.v1": call_callback,
    "spacy-bioner.SymbolicSpans.v1": call_llm_task,
    "spacy-bioner.OpenAICompatible.v1": call_llm_model,
    "spacy-bioner.LocalCausal.v1": call_local_causal,
    "bioner": call_cli,
}


@pytest.mark.parametrize(("group", "name", "target"), ENTRY_POINTS)
def test_can_be_called(group, name, target, tmp_path, tiny_encoder):
    CALLS[name](resolve(target), tmp_path, str(tiny_encoder))
