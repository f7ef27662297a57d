"""`spacy bioner tune-filter`: what it changes and refuses."""

import spacy
from spacy.tokens import DocBin, Span
from toy import TOK2VEC, annotate, cnn_pipeline, example, toy_examples, train
from typer.testing import CliRunner

from spacy_bioner.cli import app

MODEL = {"@architectures": "spacy-bioner.SpanMatcher.v1", "hidden": 8}
TEXTS = ["No [p53|GENE] was found .", "Mice lack [TNF|GENE] and [IL2|GENE] ."] * 3


def run(*args):
    return CliRunner().invoke(app, ["tune-filter", *map(str, args)])


def make(folder):
    """A filter as it is before training, and a development set."""
    nlp = spacy.blank("en")
    nlp.add_pipe("candidate_filter", config={"model": {**MODEL, "tok2vec": TOK2VEC}})
    docs = [annotate(nlp, text) for text in TEXTS]
    nlp.initialize(lambda: [example(nlp, doc) for doc in docs])
    for doc in docs:
        doc.spans["gold"] = [Span(doc, e.start, e.end, e.label_) for e in doc.ents]
    nlp.to_disk(folder / "model")
    DocBin(docs=docs).to_disk(folder / "dev.spacy")


def test_settings_are_fitted_and_saved(tmp_path):
    make(tmp_path)
    result = run(tmp_path / "model", tmp_path / "dev.spacy")
    assert result.exit_code == 0, result.output
    cfg = spacy.load(tmp_path / "model").get_pipe("candidate_filter").cfg
    assert f"threshold {cfg['threshold']}" in result.output
    assert cfg["threshold"] != 0.5


def test_candidates_of_a_tagger_before_it(tmp_path):
    """It finds nothing in documents of a task that is not its own."""
    make(tmp_path)
    tagger = cnn_pipeline()
    train(tagger, toy_examples(tagger), 40)
    nlp = spacy.load(tmp_path / "model")
    nlp.get_pipe("candidate_filter").cfg["candidates_key"] = "gerbera"
    nlp.add_pipe("ner", source=tagger, first=True)
    nlp.to_disk(tmp_path / "both")
    result = run(tmp_path / "both", tmp_path / "dev.spacy", "--no-simulate")
    assert result.exit_code == 0, result.output


def test_what_it_refuses(tmp_path):
    make(tmp_path)
    spacy.blank("en").to_disk(tmp_path / "blank")
    model, dev = tmp_path / "model", tmp_path / "dev.spacy"
    for code, args in [
        ("B203", (tmp_path / "blank", dev)),
        ("B605", (model, tmp_path / "nowhere.spacy")),
        ("B204", (model, dev, "--no-simulate")),
    ]:
        result = run(*args)
        assert result.exit_code == 1 and code in result.output
