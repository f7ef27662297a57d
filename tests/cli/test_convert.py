"""`spacy bioner convert` from the command line."""

from __future__ import annotations

import json

import pytest
import spacy
from spacy.cli._util import app
from spacy.tokens import DocBin
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.convert import make_nlp
from spacy_bioner.task import get_task

LINES = [
    {"text": "Rats had ataxia.", "spans": [{"start": 9, "end": 15, "label": "Dis"}]},
    {"text": "Mice ran.", "spans": [{"start": 0, "end": 4, "label": "Org"}]},
]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in LINES))
    return path


def run(*args):
    return CliRunner().invoke(app, ["bioner", "convert", *map(str, args)])


def test_table_and_report(corpus, tmp_path):
    output, report = tmp_path / "a.spacy", tmp_path / "new" / "r.json"
    options = ("--labels", "Dis=DISEASE", "--only-mapped", "--report", report)
    result = run("jsonl", corpus, output, "--task", "t", *options)
    assert result.exit_code == 0, result.output
    assert "DISEASE" in result.output and "2 documents" in result.output
    data = json.loads(report.read_text())
    assert data["labels"] == {"DISEASE": {"mentions": 1, "aligned": 1, "kept": 1}}


def test_lists_of_documents(corpus, tmp_path):
    output, ids = tmp_path / "a.spacy", tmp_path / "ids.txt"
    ids.write_text("PMID:1\n")
    result = run("jsonl", corpus, output, "--without", ids)
    assert "Nothing was left out" in result.output and "2 documents" in result.output
    ids.write_text("a.jsonl-1\na.jsonl-2\n")
    assert "Nothing" not in run("jsonl", corpus, output, "--without", ids).output
    result = run("jsonl", corpus, output, "--ids", ids, "--slice", ":1")
    assert "1 documents" in result.output and "not in the corpus" not in result.output


def test_only_sentences_with_a_mention(tmp_path):
    source, output = tmp_path / "a.txt", tmp_path / "a.spacy"
    source.write_text("Rats\tO\nran\tO\n\nIL2\tB-RNA\nrose\tO\n\nIL3\tB-DNA\n")
    options = ("--task", "t", "--labels", "RNA=RNA", "--only-mapped", "--selected")
    result = run("conll", source, output, *options)
    assert "1 documents" in result.output, result.output
    (doc,) = DocBin().from_disk(output).get_docs(spacy.blank("en").vocab)
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("IL2", "RNA")]
    assert doc.text.strip() == "IL2 rose"
    assert get_task(doc) == "t"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--labels", "Dis"), "OLD=NEW"),
        (("--slice", "9:"), "No document left"),
        (("--tokenizer", "mine"), "'bioner' or 'spacy'"),
        (("--gold", "x"), "no option --gold"),
        (("--only-mapped",), "B110"),
        (("--lang", "foo"), "B617"),
    ],
)
def test_bad_options(corpus, tmp_path, args, message):
    result = run("jsonl", corpus, tmp_path / "a.spacy", *args)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "a.spacy").exists()


def test_malformed_input_leaves_the_old_file_alone(corpus, tmp_path):
    output = tmp_path / "a.spacy"
    output.write_text("old")
    corpus.write_text(corpus.read_text() + "\n{broken")
    result = run("jsonl", corpus, output)
    assert result.exit_code == 1
    assert "a.jsonl:3:" in "".join(result.output.split())
    assert output.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "a.spacy"]


def test_what_cannot_be_written_is_named(corpus, tmp_path):
    (tmp_path / "folder.spacy").mkdir()
    for output, *more in [
        (tmp_path / "folder.spacy",),
        (corpus / "below a file.spacy",),
        (tmp_path / "a.spacy", "--report", tmp_path / "folder.spacy"),
    ]:
        result = run("jsonl", corpus, output, *more)
        assert result.exit_code == 1 and "B618" in result.output
    assert not (tmp_path / "a.spacy").exists()  # nothing was begun
    assert not list(tmp_path.glob(".*"))


def test_output_must_be_spacy(corpus, tmp_path):
    assert "must end in .spacy" in run("jsonl", corpus, tmp_path / "a.json").output


def test_chinese_is_read_by_character():
    assert [t.text for t in make_nlp("zh", "bioner").make_doc("头痛")] == ["头", "痛"]
