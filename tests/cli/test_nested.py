"""The commands on pipelines with a `nested_spancat`."""

from __future__ import annotations

import json
import shutil

import pytest
import spacy
from pipeline.test_nested_spancat import SENTENCES, cnn_pipeline, nested, toy_examples
from pipeline.test_nested_spancat import train as train_toy
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin, Span
from thinc.api import fix_random_seed
from toy import annotate
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli._nested import kinds_of, measure_nested, nested_values

TEXT = "The IL2 promoter binds NFAT .\n"


def run(command, *args):
    return CliRunner().invoke(app, ["bioner", command, *map(str, args)])


@pytest.fixture(scope="module")
def trained():
    fix_random_seed(0)
    nlp = cnn_pipeline(task="nests")
    train_toy(nlp, toy_examples(nlp), 60)
    return nlp


@pytest.fixture
def model(trained, tmp_path):
    trained.to_disk(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def data(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    flat = annotate(trained, "[p53|DNA] is here .")
    for name, docs in [
        ("nests", [nested(trained, marked) for marked in SENTENCES]),
        ("flat", [flat]),
    ]:
        (folder / name).mkdir()
        for split in ("dev", "test"):
            DocBin(docs=docs).to_disk(folder / name / f"{split}.spacy")
    return folder


def test_calibrate_stores_what_it_finds(model, data):
    result = run("calibrate", model, "--data", data)
    assert result.exit_code == 0, result.output
    cfg = spacy.load(model).get_pipe("spancat").cfg
    assert set(cfg["thresholds"]) == {"CELL", "DNA", "PROTEIN"}
    assert cfg["temperature"] != 1.0
    assert str(cfg["temperature"]) in result.output


def test_a_larger_beta_asks_for_less(model, data, tmp_path):
    thresholds = []
    for beta in (1, 4):
        copied = tmp_path / str(beta)
        shutil.copytree(model, copied)
        result = run("calibrate", copied, "--data", data, "--beta", beta)
        assert result.exit_code == 0, result.output
        thresholds.append(spacy.load(copied).get_pipe("spancat").cfg["thresholds"])
    assert all(thresholds[1][label] <= p for label, p in thresholds[0].items())


def test_evaluate_says_who_nests_and_how_long(model, data, tmp_path):
    metrics, records = tmp_path / "m.json", tmp_path / "r.json"
    args = "--data", data, "--output", metrics, "--records", records
    result = run("evaluate", model, *args, "--system", "toy")
    assert result.exit_code == 0, result.output
    assert "inner" in result.output and "length 6-10" not in result.output
    saved = json.loads(metrics.read_text())["nests"]
    counts = {kind: part["gold"] for kind, part in saved["nested"]["recall"].items()}
    assert counts == {"flat": 3, "inner": 6, "outer": 6}  # p53 kinase is both
    assert saved["nested"]["f"] == 1.0 and saved["nested"]["gold"] == 14
    assert set(saved["nested"]["lengths"]) == {"1", "2", "3"}
    rows = json.loads(records.read_text())
    assert {row["benchmark"] for row in rows} == {"nested_accuracy"}
    by_metric = {row["metric"]: row["value"] for row in rows}
    assert by_metric["nested_f"] == by_metric["nested_r/inner"] == 100.0
    assert {"nested_p/DNA", "nested_f/length 2", "nested_calibration_error"} <= set(
        by_metric
    )


def test_what_is_missed_counts_where_it_belongs():
    doc = Doc(spacy.blank("en").vocab, ["a", "b", "c", "d", "e"])
    doc.spans["sc"] = [Span(doc, 0, 3, "X"), Span(doc, 4, 5, "X")]
    doc.spans["sc"].attrs["scores"] = [1.0, 0.5]
    gold = {(0, 5, "X"), (0, 1, "Y"), (8, 9, "Z")}
    result = measure_nested([(doc, gold)], "sc")
    values = nested_values(result["nested"])
    assert (values["nested_p"], values["nested_r"]) == (50.0, pytest.approx(100 / 3))
    recall = [values[f"nested_r/{kind}"] for kind in ("flat", "inner", "outer")]
    assert recall == [0.0, 0.0, 100.0]
    assert values["nested_f/length 3"] == 100.0 and values["nested_f/length 1"] == 0.0
    assert values["nested_f/X"] == pytest.approx(200 / 3)
    assert result["calibration"] == 0.25


def test_what_nests():
    spans = {(0, 5, "X"), (0, 5, "Y"), (0, 3, "X"), (1, 2, "X"), (4, 8, "X")}
    kinds = {span: list(kinds_of(span, spans)) for span in spans}
    assert kinds[0, 5, "X"] == kinds[0, 5, "Y"] == ["outer"]
    assert kinds[0, 3, "X"] == ["inner", "outer"]
    assert kinds[1, 2, "X"] == ["inner"]
    assert kinds[4, 8, "X"] == ["flat"]  # it only crosses
    assert [*kinds_of((0, 5, "X"), {(0, 5, "X"), (0, 5, "Y")})] == ["flat"]


def test_nothing_to_settle_or_to_measure_is_said(model, data):
    for command, args, message in [
        ("calibrate", ("--targets", "flat"), "Nothing to settle"),
        ("calibrate", ("--component", "tagger"), "no component 'tagger'"),
        ("calibrate", ("--beta", 0), "--beta 0.0: expected a number above 0"),
        ("evaluate", ("--targets", "flat"), "whose span group the corpus annotates"),
    ]:
        result = run(command, model, "--data", data, *args)
        assert result.exit_code == 1
        assert message in result.output and "Traceback" not in result.output


def test_annotate_prints_and_renders_nests(model, tmp_path):
    file, page = tmp_path / "note.txt", tmp_path / "page.html"
    file.write_text(TEXT, "utf8")
    result = run("annotate", model, file, "--render", "span", page)
    assert result.exit_code == 0, result.output
    assert "IL2 promoter" in result.output and "spancat" in result.output
    html = page.read_text("utf8")
    assert html.startswith("<!DOCTYPE html>") and "PROTEIN" in html and "DNA" in html
    (line,) = run("annotate", model, file, "--json").output.splitlines()
    found = [(span["text"], span["label"]) for span in json.loads(line)["spans"]]
    assert found == [("IL2 promoter", "DNA"), ("IL2", "PROTEIN"), ("NFAT", "PROTEIN")]


def test_annotate_shows_flat_and_nested_together(trained, tmp_path):
    nlp = cnn_pipeline().from_bytes(trained.to_bytes())
    ner = nlp.add_pipe("entity_ruler")
    ner.add_patterns([{"label": "DNA", "pattern": "IL2 promoter"}])
    ner.add_patterns([{"label": "X", "pattern": "binds"}])
    nlp.to_disk(tmp_path / "both")
    file = tmp_path / "note.txt"
    file.write_text(TEXT, "utf8")
    (line,) = run("annotate", tmp_path / "both", file, "--json").output.splitlines()
    spans = json.loads(line)["spans"]
    assert [span["label"] for span in spans] == ["DNA", "PROTEIN", "X", "PROTEIN"]
    assert spans[0]["heads"] and not spans[2]["heads"]


def test_a_package_names_its_nested_scores(model, tmp_path):
    metrics = tmp_path / "metrics.json"
    prf = {"p": 0.5, "r": 0.25, "f": 1 / 3}
    metrics.write_text(json.dumps({"genia": {"nested": prf, "calibration": 0.1}}))
    output = tmp_path / "packages" / "en_toy"
    result = run("package", model, output, "--metrics", metrics)
    assert result.exit_code == 0, result.output
    saved = json.loads((output / "meta.json").read_text())
    assert saved["performance"]["genia_nested_f"] == pytest.approx(1 / 3)
    folder = next(output.glob("en_toy/en_toy-*"))
    doc = spacy.load(folder)(TEXT)
    assert [span.label_ for span in doc.spans["sc"]] == ["DNA", "PROTEIN", "PROTEIN"]
