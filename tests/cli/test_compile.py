"""`spacy bioner compile`: what it writes, prints and refuses."""

from __future__ import annotations

import pytest
import spacy
from spacy.cli._util import app
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.compile import MOST, read_sample
from spacy_bioner.errors import BionerError


def run(*args):
    return CliRunner().invoke(app, ["bioner", "compile", *map(str, args)])


@pytest.fixture(scope="module")
def trained(tiny_trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    tiny_trained.to_disk(folder)
    return folder


def test_compile_writes_a_pipeline_and_compares_it(trained, tmp_path):
    sample = tmp_path / "sample.txt"
    sample.write_text("Renal cancer of patients.\n\nThe gene BRCA1.\n", "utf8")
    output = tmp_path / "out"
    options = ("--name", "tiny", "--sample", sample, "--quantize", "none")
    for _ in range(2):  # an earlier result is replaced
        result = run(trained, output, *options)
        assert result.exit_code == 0, result.output
        assert not (output / "old").exists()
        (output / "old").mkdir()
        with (output / "config.cfg").open("a") as config:
            config.write('\n[components.old]\nfactory = "sentencizer"\n')
        (output / "notes.txt").write_text("precious")
    assert (output / "notes.txt").read_text() == "precious"
    assert run(trained, output, *options).exit_code == 0  # without the old one
    assert "2 texts" in result.output
    assert "entities (F1): 100.0%" in result.output
    assert "words/s" in result.output
    nlp = spacy.load(output)
    assert nlp.meta["name"] == "tiny"
    assert nlp.pipe_names == ["sentencizer", "ner"]
    assert nlp("Renal cancer").spans["gerbera"].attrs["heads"]


def test_compile_refuses_what_it_cannot_do(trained, tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "empty.txt").write_text("\n")
    spacy.blank("en").to_disk(tmp_path / "blank")
    for code, args in [
        ("B503", (trained, tmp_path / "out", "--quantize", "int4")),
        ("B504", (tmp_path / "blank", tmp_path / "out")),
        ("B509", (trained, tmp_path)),
        ("B509", (trained, trained)),
        ("B601", (tmp_path / "nowhere", tmp_path / "out")),
        ("B608", (trained, tmp_path / "out", "--sample", tmp_path / "nowhere")),
        ("B511", (trained, tmp_path / "out", "--sample", tmp_path / "empty.txt")),
    ]:
        result = run(*args)
        assert result.exit_code == 1
        assert code in result.output
    assert not (tmp_path / "out").exists()
    assert spacy.load(trained).pipe_names == ["sentencizer", "transformer", "ner"]


@pytest.mark.parametrize("texts", [[], [""]])
def test_int8_needs_words_to_learn_from(tiny_trained, texts):
    from spacy_bioner.pipeline.export import compile_pipeline

    with pytest.raises(BionerError, match="B515"):
        compile_pipeline(tiny_trained, texts=texts)


def test_of_a_long_sample_some_texts_are_read_from_all_of_it(tmp_path):
    for lines in (1, 7, MOST, MOST + 1, 1000):
        path = tmp_path / f"{lines}.txt"
        path.write_text("".join(f"Text {i}.\n\n" for i in range(lines)), "utf8")
        texts = read_sample(path)
        assert texts[0] == "Text 0." and len(texts) == len(set(texts))
        assert MOST / 2 <= len(texts) <= MOST or len(texts) == lines
        last = int(texts[-1].removeprefix("Text ").rstrip("."))
        assert last >= lines - lines / len(texts)
