"""displaCy pages with scores."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Span, SpanGroup

from spacy_bioner.display import COLORS, render
from spacy_bioner.errors import BionerError


@pytest.fixture
def doc():
    doc = spacy.blank("en")("No lung cancer in <b>Paris</b>")
    cancer = Span(doc, 1, 3, "DISEASE", kb_id="D008175")
    spans = [cancer, cancer, Span(doc, 1, 2, "ORGAN")]
    scores = np.array([0.75, 0.5, np.nan], dtype="float32")
    doc.spans["sc"] = SpanGroup(
        doc, name="sc", spans=spans, attrs={"scores": scores, "ents": True}
    )
    doc.set_ents([cancer, Span(doc, 5, 6, "GPE")])
    return doc


def test_entities_have_score_identifier_and_note(doc):
    options = {"kb_url_template": "https://example.org/{}"}
    html = render(
        doc, note=lambda s: "negated" if s.label_ == "DISEASE" else "", options=options
    )
    assert "DISEASE 0.75 negated" in html
    assert "https://example.org/D008175" in html
    assert html.count(COLORS["DISEASE"]) == 1 and "#feca74" in html  # GPE: spaCy's own
    assert "<b>" not in html
    assert options == {"kb_url_template": "https://example.org/{}"}


def test_notes_are_text(doc):
    for style in ("ent", "span"):
        html = render(doc, style, note=lambda s: "p<0.05 & <b>")
        assert "p&lt;0.05 &amp; &lt;b&gt;" in html and "<b>" not in html


def test_spans_have_the_scores_of_their_own_row(doc):
    html = render([doc, doc], "span", key="sc", page=True)
    assert html.startswith("<!DOCTYPE html>")
    assert "DISEASE 0.75" in html and "DISEASE 0.50" in html and "ORGAN" in html
    assert "nan" not in html


@pytest.mark.parametrize("style", ["ent", "span"])
def test_options_of_displacy(doc, style):
    doc.spans["sc"] = [*doc.spans["sc"], Span(doc, 2, 3, "Organ")]
    doc.ents = [Span(doc, 1, 2, "Organ"), *doc.ents[1:]]
    html = render(doc, style, options={"colors": {"Organ": "#123456"}})
    assert "#123456" in html
    if style == "ent":
        html = render(doc, options={"ents": ["GPE"]})
        assert "Organ" not in html and "GPE" in html


def test_spans_under_which_tokens_were_merged(doc):
    before = render(doc, "span")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[1:3])
    html = render(doc, "span")
    assert "DISEASE 0.75" in before and "DISEASE 0.75" in html
    assert "ORGAN" not in html  # "lung" is no token any more


def test_errors(doc):
    with pytest.raises(BionerError, match="B004.*dep"):
        render(doc, "dep")
    with pytest.raises(BionerError, match="B003.*missing"):
        render(doc, "span", key="missing")
