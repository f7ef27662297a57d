"""Answers in HTML: what is in the text becomes a candidate, the rest is counted."""

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner

from spacy_bioner.cli import app
from spacy_bioner.corpora.answers import add_answers, parse_answer
from spacy_bioner.errors import BionerError

LABELS = {"problem": "PROBLEM", "test": "TEST", "Sign/Symptom & co": "PROBLEM"}
TEXT = "BP < 90 was found, with a dry cough."


def answer(tmp_path, html):
    nlp = spacy.blank("en")
    doc = nlp.make_doc(TEXT)
    doc.user_data["id"] = "12.bio-1"
    (tmp_path / "12.html").write_text(html, "utf8")
    counts = add_answers(doc, tmp_path, "gpt", LABELS)
    return [(s.text, s.label_) for s in doc.spans["gpt"]], dict(+counts)


@pytest.mark.parametrize(
    ("html", "found", "counts"),
    [
        (
            'BP < 90 was found , with <span class="problem">a dry cough</span> .',
            [("a dry cough", "PROBLEM")],
            {"kept": 1},
        ),
        (  # only a part of the text, in other letters
            "<span class='test'>bp</span> low, <span class=problem>Dry cough</span>",
            [("BP", "TEST"), ("dry cough", "PROBLEM")],
            {"kept": 2},
        ),
        (  # nested, and one that is never closed
            '<span class="problem">a <span class="problem">dry cough</span></span>'
            '<span class="test">.',
            [("a dry cough", "PROBLEM"), ("dry cough", "PROBLEM")],
            {"kept": 2, "never closed": 1},
        ),
        (  # other spellings of HTML, and a span that is no mention
            '<span class="test">BP &lt; 90</span> was <SPAN id="1" CLASS="problem" '
            'title="x">a <span style="color:red">dry</span> cough</SPAN>',
            [("BP < 90", "TEST"), ("a dry cough", "PROBLEM")],
            {"kept": 2},
        ),
        (  # its letters are in the text, one here and one there
            'BP < 90 <span class="problem">fat</span> cough',
            [],
            {"not in the text": 1},
        ),
        (
            'with a dry <span class="problem">coug</span>h</span>',
            [("cough", "PROBLEM")],
            {"kept": 1, "widened": 1},
        ),
        (
            'no <span class="normal">cough</span> <span class="problem">zzz</span>',
            [],
            {"unknown label": 1, "not in the text": 1},
        ),
        (  # a class of the user's own, with signs in it
            'a <span class="Sign/Symptom &amp; co">dry cough</span> <span class="x.y">'
            "BP</span>",
            [("dry cough", "PROBLEM")],
            {"kept": 1, "unknown label": 1},
        ),
        ("", [], {}),
    ],
)
def test_answers(tmp_path, html, found, counts):
    assert answer(tmp_path, html) == (found, counts)


def test_what_only_looks_like_a_tag_is_text():
    text, mentions, _ = parse_answer('a <b> x < y </b> <span class="p">z</span>')
    assert text == "a <b> x < y </b> z"
    assert [(m.start, m.end, m.label) for m in mentions] == [(17, 18, "p")]


def test_the_file_of_the_document_itself_comes_first(tmp_path):
    doc = spacy.blank("en").make_doc(TEXT)
    doc.user_data["id"] = "PMC.1"
    html = '<span class="problem">{}</span>'
    (tmp_path / "PMC.html").write_text(html.format("cough"), "utf8")
    add_answers(doc, tmp_path, "gpt", LABELS)
    assert [s.text for s in doc.spans["gpt"]] == ["cough"]
    (tmp_path / "PMC.1.html").write_text(html.format("dry cough"), "utf8")
    add_answers(doc, tmp_path, "gpt", LABELS)
    assert [s.text for s in doc.spans["gpt"]] == ["dry cough"]
    del doc.user_data["id"]
    with pytest.raises(BionerError, match="B111.*BP < 90"):
        add_answers(doc, tmp_path, "gpt", LABELS)


def test_the_command(tmp_path):
    nlp = spacy.blank("en")
    docs = [nlp.make_doc(TEXT), nlp.make_doc("Nothing.")]
    for i, doc in enumerate(docs):
        doc.user_data["id"] = f"{i}.bio-1"
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "gold.spacy")
    (tmp_path / "html").mkdir()
    html = 'a <span class="problem">dry cough</span>'
    (tmp_path / "html" / "0.html").write_text(html, "utf8")
    args = ["candidates", str(tmp_path / "gold.spacy"), str(tmp_path / "out.spacy")]
    options = ["--labels", "problem=PROBLEM", "--answers"]
    result = CliRunner().invoke(app, [*args, *options, f"m/1={tmp_path / 'html'}"])
    assert result.exit_code == 0, result.output
    one, other = DocBin().from_disk(tmp_path / "out.spacy").get_docs(nlp.vocab)
    assert [s.text for s in one.spans["m/1"]] == ["dry cough"]
    assert len(other.spans["m/1"]) == 0
    result = CliRunner().invoke(app, [*args, *options, f"m/1={tmp_path / 'none'}"])
    assert result.exit_code == 1 and "B603" in result.output
    result = CliRunner().invoke(app, [*args, *options, "folder"])
    assert result.exit_code == 1 and "--answers folder" in result.output
