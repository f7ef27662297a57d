"""`spacy bioner kb` from the command line."""

from __future__ import annotations

import pytest
from spacy.cli._util import app
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.kb import KnowledgeBase

OBO = """[Term]
id: TOY:1
name: stone fever
synonym: "SF" EXACT []
xref: MESH:D000001

[Term]
id: TOY:2
name: sand fever
is_obsolete: true
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "toy.obo"
    path.write_text(OBO)
    return path


def run(*args):
    return CliRunner().invoke(app, ["bioner", "kb", *map(str, args)])


def test_table(source, tmp_path):
    table, output = tmp_path / "own.tsv", tmp_path / "new" / "kb.jsonl.gz"
    table.write_text("name\ttype\nrust\tMETAL\n")
    result = run(source, table, output, "--labels", "TOY=DISEASE")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["toy.obo", "1", "1", "0", "0"] in rows
    assert ["DISEASE", "1", "2", "1", "MESH", "1"] in rows
    assert ["METAL", "1", "1", "0"] in rows
    kb = KnowledgeBase.from_disk(output)
    assert [entry.label for entry in kb.entries] == ["DISEASE", "METAL"]


@pytest.mark.parametrize("options", [(), ("--labels", "*=DISEASE")])
def test_a_table_without_types_needs_one(tmp_path, options):
    """A linker looks up nothing in it, and medspaCy turns the linker's warning off."""
    table = tmp_path / "own.tsv"
    table.write_text("id\tname\nC1\tstone fever\n")
    result = run(table, tmp_path / "kb.jsonl", *options)
    assert result.exit_code == 0, result.output
    assert ("have no type" in result.output) == (not options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("kb.json", (), "B907"),
        ("kb.jsonl", ("--labels", "X=Y", "--only-mapped"), "B906"),
        ("kb.jsonl", ("--labels", "X"), "OLD=NEW"),
    ],
)
def test_bad_options(source, tmp_path, name, options, message):
    result = run(source, tmp_path / name, *options)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / name).exists()


def test_a_test_split_is_warned_about(tmp_path):
    result = run(tmp_path / "test.spacy", tmp_path / "kb.jsonl")
    assert "give its answers away" in " ".join(result.output.split())
