"""`spacy bioner annotate` from the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import Span, SpanGroup
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.annotate import entities_of

TEXT = "Renal cancer – α-synuclein\r\nof the patients 🧬 <b>acid</b>.\n"


@pytest.fixture(scope="module")
def model(tiny_trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    tiny_trained.to_disk(path)
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a note.txt"
    path.write_bytes(TEXT.encode("utf8"))
    return path


def run(*args, **kwargs):
    return CliRunner().invoke(app, ["bioner", "annotate", *map(str, args)], **kwargs)


def test_table_has_types_scores_and_heads(model, file):
    result = run(model, file, "--all")
    assert result.exit_code == 0, result.output
    assert "DISEASE" in result.output and "0." in result.output
    assert "diseases" in result.output and "everyday" not in result.output


def test_json_has_the_offsets_of_the_file(model, file):
    result = run(model, file, file, "--json")
    first, second = map(json.loads, result.output.splitlines())
    assert first == second and first["text"] == TEXT
    assert first["spans"]
    for span in first["spans"]:
        assert span["text"] == TEXT[span["start"] : span["end"]]
        assert span["score"] in span["heads"].values()


def test_all_heads_hold_every_entity(model, file):
    ents, spans = (
        json.loads(run(model, file, "--json", *more).output)["spans"]
        for more in ((), ("--all",))
    )
    assert len(spans) > len(ents) and all(span in spans for span in ents)


@pytest.mark.parametrize("style", ["ent", "span"])
def test_page(model, file, tmp_path, style):
    page = tmp_path / "new" / "page.html"
    result = run(model, file, "--render", style, page)
    assert result.exit_code == 0, result.output
    html = page.read_text("utf8")
    assert html.startswith("<!DOCTYPE html>")
    assert re.search(r"(DISEASE|CHEMICAL) [01]\.\d\d", html)  # with its score
    assert "<b>acid" not in html  # the text's own markup is no markup


def test_merged_tokens(model, file, tmp_path):
    """`merge_entities` leaves span groups where they stood."""
    nlp = spacy.load(model)
    nlp.add_pipe("merge_entities")
    nlp.to_disk(tmp_path / "merging")
    for more in ((), ("--all", "--render", "span", tmp_path / "page.html")):
        plain, merged = (
            {span["text"]: span["score"] for span in json.loads(result.stdout)["spans"]}
            for result in (
                run(model, file, "--json", *more),
                run(tmp_path / "merging", file, "--json", *more),
            )
        )
        assert merged.items() <= plain.items() and merged


def test_a_terminal_that_knows_few_characters(model, file):
    file = file.rename(file.with_name("α.txt"))
    arguments = [sys.executable, "-m", "spacy", "bioner", "annotate", model, file]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(arguments, env=environment, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert b"\\u03b1.txt" in result.stdout


def test_stdin_and_empty_text(model):
    assert json.loads(run(model, "--json", input="").output)["spans"] == []
    marked = TEXT.encode("utf-8-sig")
    assert json.loads(run(model, "--json", input=marked).output)["text"] == TEXT


def test_all_shows_entities_of_any_component(file, tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "X", "pattern": "patients"}])
    nlp.to_disk(tmp_path / "rules")
    for more in ((), ("--all", "--render", "span", tmp_path / "page.html")):
        [line] = run(tmp_path / "rules", file, "--json", *more).stdout.splitlines()
        [span] = json.loads(line)["spans"]
        assert (span["text"], span["score"]) == ("patients", None)
    assert "patients" in (tmp_path / "page.html").read_text("utf8")


def test_what_is_wrong_is_said_in_one_line(model, file, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"na\xefve")
    for args, message in [
        ((model, tmp_path / "no.txt"), "no.txt cannot be read"),
        ((model, tmp_path / "latin.txt"), "not UTF-8 at byte 2"),
        ((tmp_path / "nothing", file), "cannot be loaded"),
        ((model, file, "--render", "dep", "a.html"), "choose 'ent'"),
    ]:
        result = run(*args)
        assert result.exit_code == 1
        assert message in result.output and "Traceback" not in result.output


def test_entities_of_other_components_have_their_scores():
    nlp = spacy.blank("en")
    doc = nlp("a b c")
    doc.ents = [Span(doc, 0, 1, "X"), Span(doc, 2, 3, "Y")]
    doc.spans["instruct"] = SpanGroup(
        doc, spans=[doc.ents[0]], attrs={"ents": True, "scores": np.array([0.25])}
    )
    first, second = entities_of(doc, {}, {})
    assert (first["label"], first["score"], first["heads"]) == ("X", 0.25, {})
    assert (second["label"], second["score"]) == ("Y", None)
