"""The task in a pipeline: prompts, span group and report, through a real server."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.cli.init_config import fill_config
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.util import load_config, load_model_from_config

from spacy_bioner.errors import BionerError
from spacy_bioner.llm.task import make_symbolic_spans

pytest.importorskip(
    "spacy_llm", reason="needs spacy-llm: pip install 'spacy-bioner[llm]'"
)

CONFIG = Path(__file__).parent.parent.parent / "configs" / "llm.cfg"
LABELS = ["DISEASE", "CHEMICAL"]
TEXT = "Raised [Ca2+]i and renal failure.\nNo aspirin; asthma.\n"


def pipeline(server, lang="en", task=None, model=None, **settings):
    """A blank pipeline with the component, which asks the server."""
    nlp = spacy.blank(lang)
    nlp.add_pipe(
        "llm",
        config={
            "task": {
                "@llm_tasks": "spacy-bioner.SymbolicSpans.v1",
                "labels": LABELS,
                **(task or {}),
            },
            "model": {
                "@llm_models": "spacy-bioner.OpenAICompatible.v1",
                "endpoint": server.endpoint,
                "name": "tiny",
                "tries": 3,
                "wait": 0.01,
                **(model or {}),
            },
            **settings,
        },
    )
    return nlp


def found(doc: Doc, key: str = "llm_candidates"):
    return [(span.label_, span.text) for span in doc.spans[key]]


ALL = [
    ("CHEMICAL", "[Ca2+]i"),
    ("DISEASE", "renal failure"),
    ("CHEMICAL", "aspirin"),
    ("DISEASE", "asthma"),
]
CLEAN = {"pieces": 1, "unanswered": 0, "exact": 2, "repaired": {}, "dropped": {}}


def prompts(server) -> list[str]:
    return [request["messages"][-1]["content"] for request in server.requests]


# The whole chain


def test_config_to_spans(server):
    """The committed config, its server's address changed."""
    config = load_config(CONFIG, overrides={"vars.endpoint": server.endpoint})
    nlp = load_model_from_config(config, auto_fill=False)
    nlp.initialize()
    assert server.connections == 0
    docs = list(nlp.pipe([TEXT, "", "Nothing here."]))
    assert found(docs[0]) == ALL
    assert docs[0].spans["llm_candidates"].attrs["report"] == CLEAN
    assert [found(doc) for doc in docs[1:]] == [[], []]
    assert docs[1].spans["llm_candidates"].attrs["report"]["pieces"] == 0
    assert len(server.requests) == 2  # the empty document needs none


def test_fill_config_changes_nothing(tmp_path):
    before, after = fill_config(tmp_path / "out.cfg", CONFIG, silent=True)
    assert before == after
    assert before.to_str() == after.to_str()


def test_it_fits_spacy_llm_without_a_warning(server):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline(server)


def test_a_saved_pipeline_does_the_same(server, tmp_path):
    pipeline(server, task={"spans_key": "mine"}).to_disk(tmp_path / "nlp")
    nlp = spacy.load(tmp_path / "nlp")
    assert server.connections == 0
    assert found(nlp(TEXT), "mine") == ALL


def test_group_and_report_survive_a_docbin(server):
    nlp = pipeline(server)
    data = DocBin(docs=[nlp(TEXT)]).to_bytes()
    (doc,) = DocBin().from_bytes(data).get_docs(spacy.blank("en").vocab)
    assert found(doc) == ALL
    assert doc.spans["llm_candidates"].attrs["report"] == CLEAN


def test_chinese(server, tmp_path):
    path = tmp_path / "examples.jsonl"
    srsly.write_jsonl(path, [{"text": "胃癌", "answer": "DISEASE: [胃癌]"}])
    task = {
        "language": "zh",
        "definitions": {"DISEASE": "疾病或症状"},
        "examples": {"@misc": "spacy.FewShotReader.v1", "path": str(path)},
    }
    nlp = pipeline(server, "zh", task)
    doc = nlp("患者肺癌，口服吉非替尼。")
    assert found(doc) == [("DISEASE", "肺癌"), ("CHEMICAL", "吉非替尼")]
    (prompt,) = prompts(server)
    assert "- DISEASE：疾病或症状\n- CHEMICAL\n" in prompt
    assert "文本：胃癌\n答案：\nDISEASE: [胃癌]\n" in prompt
    assert prompt.endswith("文本：患者肺癌，口服吉非替尼。\n答案：")


def test_examples_from_a_file(server, tmp_path):
    path = tmp_path / "examples.jsonl"
    rows = [
        {"text": "[3H] in gout", "answer": "DISEASE: \\[3H\\] in [gout]"},
        {"text": "Well.\n", "answer": "NONE"},
    ]
    srsly.write_jsonl(path, rows)
    reader = {"@misc": "spacy.FewShotReader.v1", "path": str(path)}
    pipeline(server, task={"examples": reader})(TEXT)
    (prompt,) = prompts(server)
    assert "Text: \\[3H\\] in gout\nAnswer:\nDISEASE: \\[3H\\] in [gout]\n" in prompt
    assert "Text: Well.\\n\nAnswer:\nNONE\n" in prompt


def test_a_template_of_ones_own(server, tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text(
        "{{ labels|join('/') }} or {{ nothing }}?\nText: {{ text }}", "utf8"
    )
    reader = {"@misc": "spacy.FileReader.v1", "path": str(path)}
    assert found(pipeline(server, task={"template": reader})("asthma")) == [
        ("DISEASE", "asthma")
    ]
    assert prompts(server) == ["DISEASE/CHEMICAL or NONE?\nText: asthma"]


def test_texts_are_never_read_as_templates(server):
    doc = pipeline(server)("{{ text }} {% if %} asthma {# <b> & #}")
    assert found(doc) == [("DISEASE", "asthma")]
    assert "Text: {{ text }} {% if %} asthma {# <b> & #}\n" in prompts(server)[0]


def test_prompts_say_whether_mentions_nest(server):
    pipeline(server)("a")
    pipeline(server, task={"nested": False})("a")
    nested, flat = prompts(server)
    assert "[[inner] outer]" in nested and "[[inner] outer]" not in flat
    assert "Never put brackets inside brackets" in flat


# Long texts and misbehaving servers


@pytest.mark.parametrize("parallel", [1, 3])
def test_long_texts_are_sent_in_pieces_and_none_is_lost(server, parallel):
    server.faults.extend([429, None, "half_body", "no_json", 500, None, "cut"])
    sentences = [f"Case {i} has renal failure, took aspirin. " for i in range(12)]
    texts = ["".join(sentences[:n]) for n in (12, 1, 5)]
    model = {"parallel": parallel, "tries": 8}
    nlp = pipeline(server, task={"max_chars": 60}, model=model)
    nlp.add_pipe("sentencizer", first=True)
    docs = list(nlp.pipe(texts))
    expected = [("DISEASE", "renal failure"), ("CHEMICAL", "aspirin")]
    assert [found(doc) for doc in docs] == [expected * n for n in (12, 1, 5)]
    report = docs[0].spans["llm_candidates"].attrs["report"]
    assert (report["pieces"], report["unanswered"], report["exact"]) == (12, 0, 24)


def test_a_server_that_stays_away_is_an_error(server):
    server.faults.extend([503] * 9)
    with pytest.raises(BionerError, match="B707"):
        pipeline(server)(TEXT)


def test_unreadable_answers_are_reported(server):
    answers = iter(["I cannot help with that.", "", "NONE"])
    server.reply = lambda prompt: next(answers)
    doc = pipeline(server, task={"max_chars": 15})("One asthma. Two asthma. Three.")
    assert found(doc) == []
    report = doc.spans["llm_candidates"].attrs["report"]
    assert (report["pieces"], report["unanswered"]) == (3, 2)
    assert report["dropped"] == {"other_lines": 1}


def test_what_is_repaired_and_dropped_is_reported(server):
    server.reply = lambda prompt: (
        "**Disease**: Raised [Ca2+]i with [renal failure] [now]. No aspirin; asthma."
    )
    doc = pipeline(server)(TEXT)
    assert found(doc) == [("DISEASE", "renal failure")]
    assert doc.spans["llm_candidates"].attrs["report"] == {
        "pieces": 1,
        "unanswered": 0,
        "exact": 0,
        "repaired": {"type_name": 1, "literal_brackets": 2, "wording": 1},
        "dropped": {"not_in_text": 1},
    }


def test_mentions_within_tokens_grow_to_tokens(server):
    server.reply = lambda prompt: "DISEASE: [ an]ti[asthma]tics and [asthma] [ ]drugs"
    nlp = pipeline(server)
    doc = nlp(" antiasthmatics and asthma  drugs")
    assert found(doc) == [("DISEASE", "antiasthmatics"), ("DISEASE", "asthma")]
    report = doc.spans["llm_candidates"].attrs["report"]
    assert report["repaired"]["token"] == 2


def test_only_the_same_text_has_the_same_answer(server, tmp_path):
    """spacy-llm's own cache takes documents with the same words for one another."""
    nlp = pipeline(server, model={"cache": str(tmp_path / "answers.jsonl")})
    for _ in range(2):
        for text in ("asthma treats aspirin", "aspirin treats asthma"):
            doc = nlp.make_doc(text)
            doc.set_ents([spacy.tokens.Span(doc, 0, 1, "EARLIER")])
            doc = nlp.get_pipe("llm")(doc)
            assert doc.text == text
            assert [span.text for span in doc.spans["llm_candidates"]] == [
                word for word in text.split() if word != "treats"
            ]
            assert doc.ents[0].label_ == "EARLIER"
    assert len(server.requests) == 2


def test_io_is_saved_on_request(server):
    doc = pipeline(server, save_io=True)("asthma")
    assert doc.user_data["llm_io"]["llm"]["response"] == ["DISEASE: [asthma]"]


def test_score(server):
    nlp = pipeline(server)
    reference = nlp.make_doc("asthma or aspirin")
    gold = reference.char_span(0, 6, label="DISEASE")
    reference.spans["llm_candidates"] = [gold]
    scores = nlp.evaluate([Example(nlp.make_doc(reference.text), reference)])
    assert scores["spans_llm_candidates_p"] == 0.5
    assert scores["spans_llm_candidates_r"] == 1.0


# Settings


def test_labels_and_definitions_in_the_prompt(server):
    pipeline(server, task={"definitions": {"DISEASE": "any illness"}})("a")
    assert "\n\n- DISEASE: any illness\n- CHEMICAL\n\n" in prompts(server)[0]
    assert not re.search(r"\n\n\n", prompts(server)[0])


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"labels": ["two\nlines"]}, "B701"),
        ({"language": "de"}, "B703"),
        ({"examples": lambda: [{"text": "asthma"}]}, "B704.*example 1"),
        ({"examples": lambda: [{"text": "a b", "answer": "DISEASE: [c] b"}]}, "B704"),
        ({"examples": lambda: [{"text": "a", "answer": "I cannot."}]}, "B704"),
        ({"max_chars": 0}, "B709.*max_chars"),
    ],
)
def test_settings_that_cannot_be(settings, error):
    with pytest.raises(BionerError, match=error):
        make_symbolic_spans(**{"labels": LABELS, **settings})
