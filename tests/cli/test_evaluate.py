"""`spacy bioner evaluate`: what counts, and what is written."""

from __future__ import annotations

import json

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin, Span
from toy import annotate
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.evaluate import calibration_error, evaluate, shown
from spacy_bioner.task import set_task

TEXTS = ["Renal cancer of the patients.", "A mutation of the gene.", "Acid."]


@pytest.fixture(scope="module")
def corpus(tiny_trained, tmp_path_factory):
    """Gold that the model itself found: its head `mixed`, with an overlapping span
    more, which no flat prediction finds."""
    docs = []
    for text in TEXTS:
        predicted = tiny_trained.make_doc(text)
        set_task(predicted, "mixed")
        found = tiny_trained(predicted)
        doc = Doc(tiny_trained.vocab, [t.text for t in found])
        doc = tiny_trained.make_doc(text)
        doc.ents = [Span(doc, e.start, e.end, e.label_) for e in found.ents]
        whole = Span(doc, 0, len(doc), "DISEASE")
        doc.spans["gold"] = [*doc.ents, *([whole] if text == TEXTS[0] else [])]
        docs.append(doc)
    path = tmp_path_factory.mktemp("corpus") / "mixed" / "test.spacy"
    path.parent.mkdir()
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    return path


def test_own_head_counts_all_gold(tiny_trained, corpus):
    result = evaluate(tiny_trained, tiny_trained.get_pipe("ner"), "mixed", corpus)
    own = result["own"]
    assert own["p"] == 1.0 and own["found"] == own["correct"] == own["gold"] - 1
    assert own["r"] == pytest.approx(own["correct"] / own["gold"])
    assert set(own["per_type"]) <= {"CHEMICAL", "DISEASE"}
    assert 0 <= result["calibration"] <= 1


def test_gold_whose_label_the_head_does_not_know_is_missed(
    tiny_trained, corpus, tmp_path
):
    ner = tiny_trained.get_pipe("ner")
    docs = list(DocBin().from_disk(corpus).get_docs(tiny_trained.vocab))
    docs[-1].spans["gold"] = [*docs[-1].spans["gold"], Span(docs[-1], 0, 1, "RARE")]
    bare = tiny_trained.make_doc("Nobody looked at this.")  # and so it does not count
    path = tmp_path / "more.spacy"
    DocBin(docs=[*docs, bare], store_user_data=True).to_disk(path)
    one, two = (evaluate(tiny_trained, ner, "mixed", p) for p in (corpus, path))
    assert two["own"]["gold"] == one["own"]["gold"] + 1
    assert two["own"]["found"] == one["own"]["found"]
    assert two["own"]["per_type"]["RARE"]["r"] == 0.0
    assert two["ents"] == one["ents"]
    DocBin(docs=[annotate(tiny_trained, "[Acid|RARE] .")]).to_disk(path)
    assert "ents" not in evaluate(tiny_trained, ner, "unknown", path)


def test_a_corpus_without_a_head_is_measured_on_doc_ents(tiny_trained, corpus):
    result = evaluate(tiny_trained, tiny_trained.get_pipe("ner"), "unknown", corpus)
    assert "own" not in result and result["ents"]["gold"] > 0


def test_a_general_head_is_measured_too(tiny_trained, corpus):
    result = evaluate(tiny_trained, tiny_trained.get_pipe("ner"), "everyday", corpus)
    assert result["own"]["found"] > 0 and "ents" not in result


def test_calibration_error():
    assert calibration_error([]) == 0.0
    assert calibration_error([(1.0, True), (0.95, True)]) == pytest.approx(0.025)
    assert calibration_error([(0.5, True), (0.5, False)]) == 0.0
    assert calibration_error([(0.9, False)] * 4) == pytest.approx(0.9)


def test_files(tiny_trained, corpus, tmp_path):
    model, data = tmp_path / "model", corpus.parent.parent
    tiny_trained.to_disk(model)
    metrics, records = tmp_path / "m" / "metrics.json", tmp_path / "r" / "records.json"
    args = ["--targets", "mixed", "--data", data, "--output", metrics]
    args += ["--records", records, "--system", "tiny", "--seed", "3"]
    command = ["bioner", "evaluate", str(model), *map(str, args)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    saved = json.loads(metrics.read_text())["mixed"]
    by_metric = {r["metric"]: r for r in json.loads(records.read_text())}
    record = by_metric["own_f"]
    assert record["value"] == pytest.approx(100 * saved["own"]["f"], abs=0.01)
    assert (record["system"], record["split"], record["seed"]) == ("tiny", "test", 3)
    assert {"ents_p", "own_calibration_error", "own_r/DISEASE"} <= set(by_metric)
    assert str(tmp_path) not in records.read_text()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Name corpora"),
        (("--source", "a.spacy"), "expected NAME=PATH"),
        (("--source", "a=no.spacy"), "No corpus of task 'a'"),
        (("--source", "a=no.spacy", "--source", "a=b.spacy"), "B620"),
        (("--source", "a=no.spacy", "--targets", "b"), "Name corpora"),
        (("--data", ".", "--output", "."), "B618"),
    ],
)
def test_bad_sources(tiny_trained, tmp_path, args, message):
    tiny_trained.to_disk(tmp_path)
    result = CliRunner().invoke(app, ["bioner", "evaluate", str(tmp_path), *args])
    assert result.exit_code == 1 and message in result.output


def test_a_corpus_of_which_nothing_is_known(tiny_trained, tmp_path):
    """Not an empty table, as if that were the result."""
    tiny_trained.to_disk(tmp_path / "model")
    doc = tiny_trained.make_doc("a house")
    doc.ents = [Span(doc, 1, 2, "BUILDING")]
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    command = ["bioner", "evaluate", str(tmp_path / "model")]
    source = f"unheard={tmp_path / 'a.spacy'}"
    result = CliRunner().invoke(app, [*command, "--source", source])
    assert result.exit_code == 1 and "B619" in result.output
    assert "BUILDING" in result.output
    result = CliRunner().invoke(
        app, [*command, "--source", source, "--batch-size", "0"]
    )
    assert result.exit_code == 2


def test_a_pipeline_without_heads(tmp_path):
    spacy.blank("en").to_disk(tmp_path)
    result = CliRunner().invoke(app, ["bioner", "evaluate", str(tmp_path)])
    assert result.exit_code == 1 and "no `gerbera_ner`" in result.output


def test_paths_lose_their_head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown("corpus/a.spacy") == "corpus/a.spacy"
    assert shown(tmp_path / "a" / "b") == "a/b"
    assert shown("/home/someone/x/y/z.spacy") == "x/y/z.spacy"
