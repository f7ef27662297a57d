"""unpack, pretrain and package; and project.yml names only what there is."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import tarfile
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.cli._util import app
from spacy.tokens import Doc
from spacy.training import Example
from typer.testing import CliRunner
from weasel.util import load_project_config

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.package import save_clean
from spacy_bioner.errors import BionerError
from spacy_bioner.training.texts import read_texts
from spacy_bioner.training.tiny import make_tiny_encoder

ROOT = Path(__file__).parent.parent.parent


def run(*args):
    return CliRunner().invoke(app, ["bioner", *map(str, args)])


def test_unpack(tmp_path):
    (tmp_path / "a.txt").write_text("hello", "utf8")
    with tarfile.open(tmp_path / "corpus.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "a.txt", "corpus/a.txt")
    (tmp_path / "lines.txt.xz").write_bytes(lzma.compress(b"one\ntwo\n"))
    (tmp_path / "terms.obo.gz").write_bytes(gzip.compress(b"[Term]"))
    output = tmp_path / "out"
    assert run("unpack", tmp_path, output).exit_code == 0
    assert (output / "corpus" / "a.txt").read_text() == "hello"
    assert (output / "lines.txt").read_text() == "one\ntwo\n"
    assert (output / "terms.obo").read_text() == "[Term]"
    result = run("unpack", output, tmp_path / "again")
    assert result.exit_code == 1 and "no archive" in result.output
    result = run("unpack", tmp_path, tmp_path / "a.txt")
    assert result.exit_code == 1 and "B618" in result.output


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.txt.gz", "a.tar.xz", "a.xz"])
def test_broken_archives(tmp_path, name):
    whole = gzip.compress(b"a" * 999) if "gz" in name else lzma.compress(b"a" * 999)
    for data in (b"none", whole[:20], whole[:-9]):
        (tmp_path / name).write_bytes(data)
        result = run("unpack", tmp_path, tmp_path / "out")
        assert result.exit_code == 1 and "B603" in result.output, result.output
        assert not any(path.is_file() for path in (tmp_path / "out").rglob("*"))


def test_of_a_torn_archive_nothing_is_left(tmp_path):
    """Half of a corpus looks like a whole one."""
    rng = random.Random(0)
    (tmp_path / "big.txt").write_bytes(rng.randbytes(200_000))
    with tarfile.open(tmp_path / "corpus.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "big.txt", "corpus/big.txt")
    torn = tmp_path / "corpus.tar.gz"
    torn.write_bytes(torn.read_bytes()[:100_000])
    result = run("unpack", tmp_path, tmp_path / "out")
    assert result.exit_code == 1 and "B603" in result.output
    assert not list((tmp_path / "out").iterdir())


def test_pretrain_from_a_tiny_encoder(tmp_path):
    pytest.importorskip("spacy_transformers")
    lines = ["The CFTR gene is mutated.", "Aspirin relieved the pain of the patient."]
    (tmp_path / "a.txt").write_text("\n\n".join(lines), "utf8")
    texts = list(read_texts([tmp_path]))
    assert texts == lines
    make_tiny_encoder(texts, tmp_path / "tiny", width=16)
    output = tmp_path / "out"
    result = run("pretrain", tmp_path / "tiny", output, tmp_path, "--minutes", "0.01")
    assert result.exit_code == 0, result.output
    assert (output / "config.json").exists() and (output / "tokenizer.json").exists()
    result = run("pretrain", "tiny", output, tmp_path / "tiny" / "config.json")
    assert result.exit_code == 1 and "no .txt or .spacy file" in result.output


def test_texts_are_utf8_with_or_without_a_mark(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("One text.\n\nTwo.\n", "utf-8-sig")
    assert list(read_texts([path])) == ["One text.", "Two."]
    path.write_bytes(b"caf\xe9")
    with pytest.raises(BionerError, match="B603.*UTF-8"):
        list(read_texts([path]))


def test_package_with_test_scores(tmp_path):
    nlp = spacy.blank("en")
    nlp.meta["performance"] = {"dev_f": 0.9}
    nlp.to_disk(tmp_path / "model")
    meta, metrics = tmp_path / "meta.json", tmp_path / "metrics.json"
    meta.write_text(json.dumps({"license": "MIT", "version": "1.2.0"}))
    prf = {"p": 0.5, "r": 0.25, "f": 1 / 3}
    metrics.write_text(json.dumps({"bc2gm": {"own": prf, "ents": prf}}))
    output = tmp_path / "packages" / "en_toy"
    for _ in range(2):  # the second time replaces the first
        args = "--meta", meta, "--metrics", metrics
        result = run("package", tmp_path / "model", output, *args)
        assert result.exit_code == 0, result.output
    assert (output / "setup.py").exists()
    assert (output / "en_toy" / "en_toy-1.2.0" / "config.cfg").exists()
    saved = json.loads((output / "meta.json").read_text())
    assert saved["performance"]["bc2gm_own_f"] == pytest.approx(1 / 3)
    assert "dev_f" not in saved["performance"]
    inside = spacy.load(output / "en_toy" / "en_toy-1.2.0").meta
    assert inside["license"] == "MIT"
    assert inside["performance"] == pytest.approx(saved["performance"])
    assert run("package", tmp_path / "model", output).exit_code == 0
    assert not json.loads((output / "meta.json").read_text())["performance"]
    users = tmp_path / "en_mine"  # a project of the user's
    users.mkdir()
    (users / "setup.py").write_text("")
    for bad, message in [
        ("toy", "no package name"),
        ("model", "is no package"),
        ("en_mine", "is no package"),
    ]:
        result = run("package", tmp_path / "model", tmp_path / bad)
        assert result.exit_code == 1 and message in result.output
    assert (users / "setup.py").exists()
    for name, text in (("absent.json", None), ("list.json", "[]"), ("no.json", "{")):
        if text is not None:
            (tmp_path / name).write_text(text)
        result = run("package", tmp_path / "model", output, "--meta", tmp_path / name)
        assert result.exit_code == 1 and name in result.output


def test_no_path_of_the_machine_is_packaged(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("term_linker")
    nlp.config["paths"]["data"] = str(tmp_path / "corpus")
    nlp.config["initialize"]["components"]["term_linker"] = {"kb": str(tmp_path / "a")}
    save_clean(nlp, tmp_path / "out")
    saved = (tmp_path / "out" / "config.cfg").read_text("utf8")
    assert str(tmp_path) not in saved
    assert spacy.load(tmp_path / "out").config["paths"]["data"] == "corpus"


def test_words_that_a_lemmatizer_looks_up_are_packaged(tmp_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("trainable_lemmatizer", config={"min_tree_freq": 1})
    doc = nlp.make_doc("genes mice")
    gold = Doc(nlp.vocab, [t.text for t in doc], lemmas=["gene", "mouse"])
    examples = [Example(doc, gold)] * 8
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    save_clean(nlp, tmp_path)
    assert [t.lemma_ for t in spacy.load(tmp_path)("genes mice")] == ["gene", "mouse"]


def test_workflows_name_commands_and_share_no_name():
    project = srsly.read_yaml(ROOT / "project.yml")
    commands = [command["name"] for command in project["commands"]]
    assert len(set(commands)) == len(commands)
    for name, steps in project["workflows"].items():
        assert name not in commands
        assert set(steps) <= set(commands)
    wanted = "assets unpack convert inspect train evaluate package document all smoke"
    assert set(wanted.split()) <= {*commands, *project["workflows"]}


def test_every_dependency_is_one_path():
    """Of a list that begins with two variables, interpolation makes one string."""
    commands = load_project_config(ROOT)["commands"]
    for command in commands:
        for path in [*command.get("deps", []), *command.get("outputs", [])]:
            assert "," not in path, f"{command['name']}: {path}"
