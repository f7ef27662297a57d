"""`spacy bioner inspect`: counts, lengths, nesting, leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.corpora.convert import Report, to_doc, write
from spacy_bioner.corpora.document import Mention, SourceDocument
from spacy_bioner.corpora.overview import nesting_depths, shared, survey

LONG = "The second sentence of this abstract is long enough to be compared."
NLP = spacy.blank("en")


def make(identifier, text, *mentions, nested=False):
    source = SourceDocument(identifier, text, [Mention(*m) for m in mentions])
    return to_doc(source, NLP.make_doc, Report(), nested=nested)


def test_depths_ignore_crossing_and_equal_spans():
    doc = make("d", "a b c d", (0, 7, "X"), (0, 3, "X"), (0, 1, "X"), (2, 5, "X"),
               (0, 1, "Y"), nested=True)  # fmt: skip
    assert sorted(nesting_depths(doc.spans["sc"])) == [1, 2, 2, 3]


def test_shared_documents_are_found_whatever_their_id_and_spaces():
    one = survey([make("1", f"Short. {LONG}"), make("2", "Other text.")])
    two = survey([make("9", f"Short.\n{LONG}"), make("2", "Third text.")])
    [row] = shared({"a": one, "b": two})
    assert row == {
        "first": "a", "second": "b",
        "ids": 1, "texts": 1, "documents": 1, "sentences": 1,
    }  # fmt: skip
    assert shared({"a": survey([make("1", "A.")]), "b": survey([])}) == []


def test_command(tmp_path):
    write([make("1", LONG, (4, 10, "X"), (4, 19, "X"))], tmp_path / "c" / "train.spacy")
    write([make("1", LONG), make("2", "")], tmp_path / "c" / "test.spacy")
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_padding(length=128)
    tokenizer.enable_truncation(4)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    args = [tmp_path, "--encoder", tmp_path, "--report", tmp_path / "r.json"]
    result = CliRunner().invoke(app, ["bioner", "inspect", *map(str, args)])
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "r.json").read_text())
    train = report["corpora"]["c/train"]
    assert train["labels"] == {"X": 1}
    assert train["mentions"]["overlapping"] == 1
    assert train["sentence_pieces"]["100"] == 13
    assert [row["documents"] for row in report["shared"]] == [1]


@pytest.mark.parametrize("folders", [("old/c", "c"), ("c", "old/c")])
def test_files_of_one_name_are_told_apart(tmp_path, monkeypatch, folders):
    monkeypatch.chdir(tmp_path)
    for folder in folders:
        write([make("1", LONG)], Path(folder) / "train.spacy")
    paths = [f"{folder}/train.spacy" for folder in folders]
    result = CliRunner().invoke(app, ["bioner", "inspect", *paths])
    assert "old/c/train" in result.output
    assert "Nothing is shared" not in result.output


def test_documents_whose_sentences_nobody_set():
    overview = survey([NLP("Rats ran. They won."), NLP("")])
    assert (overview.documents, overview.tokens) == (2, [6])


@pytest.mark.parametrize(
    ("name", "error"),
    [("absent.spacy", "B108"), ("bad.spacy", "B901"), ("empty", "B108")],
)
def test_files_that_are_none(tmp_path, name, error):
    (tmp_path / "bad.spacy").write_text("no DocBin")
    (tmp_path / "empty").mkdir()
    args = ["bioner", "inspect", str(tmp_path / name)]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 1
    assert error in result.output
