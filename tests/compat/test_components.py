"""Ours with negspacy, medspaCy's ConText and scispaCy's components, as they are."""

import subprocess
import sys

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from toy import entities

from spacy_bioner.confidence import score_of
from spacy_bioner.display import render

from .conftest import ROOT, insert

NOTE = (
    "There is no evidence of pneumonia. The patient has rheumatoid arthritis and "
    "denies chest pain. Her hypertension was treated with aspirin."
)
DEFINED = (
    "Patients with polycystic kidney disease (PKD) and hypertension were enrolled. PKD "
    "was treated with tolvaptan. Twelve PKD families were seen."
)


def negspacy():
    return pytest.importorskip("negspacy.negation", reason="needs negspacy")


def medspacy():
    return pytest.importorskip(
        "medspacy.context", reason="needs medspaCy, on Python 3.12"
    )


def scispacy(module: str):
    return pytest.importorskip(f"scispacy.{module}", reason="needs scispaCy")


@pytest.fixture
def nlp(compiled):
    """Sentences, and ours."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    insert(nlp, compiled)
    return nlp


# Negation and context


def test_negex_negates_our_entities(nlp):
    negspacy()
    nlp.add_pipe("negex")
    doc = nlp(NOTE)
    assert {ent.text: ent._.negex for ent in doc.ents if ent.label_ == "DISEASE"} == {
        "pneumonia": True,
        "rheumatoid arthritis": False,
        "chest pain": True,
        "hypertension": False,
    }
    assert "DISEASE 0." in render(doc, note=lambda s: "negated" if s._.negex else "")


def test_negex_reads_our_overlapping_spans(nlp):
    """In another extension: theirs are known by characters alone, and never unset."""
    negspacy()
    config = {"span_keys": ["gerbera"], "extension_name": "negex_of_spans"}
    nlp.add_pipe("negex", config=config)
    doc = nlp(NOTE)
    group = doc.spans["gerbera"]
    assert {s.text for s in group if s._.negex_of_spans} >= {"pneumonia", "chest pain"}
    assert not any(s._.negex_of_spans for s in group if s.text == "aspirin")


def test_nested_entities_reach_what_reads_entities(nested):
    """`nested_spancat` leaves `doc.ents` alone; a resolver puts the outermost there."""
    negspacy()
    nlp = spacy.load(nested)
    nlp.add_pipe("sentencizer", first=True)
    config = {"sources": ["sc"], "policy": "length"}
    nlp.add_pipe("entity_resolver", config=config)
    nlp.add_pipe("negex")
    doc = nlp("There was no mutation of the IL-2 gene promoter in T cells.")
    wanted = ["IL-2 gene promoter", "IL-2"]  # what else is inside is the model's choice
    texts = [span.text for span in doc.spans["sc"]]
    assert [text for text in texts if text in wanted] == wanted
    assert [ent.text for ent in doc.ents] == ["IL-2 gene promoter", "T cells"]
    promoter = doc.ents[0]
    assert promoter._.negex
    assert score_of(promoter) == score_of(promoter, "sc") is not None


def test_context_knows_our_entities(nlp):
    medspacy()
    nlp.add_pipe("medspacy_context")
    doc = nlp(NOTE + " Her mother had breast cancer.")
    negated = {ent.text for ent in doc.ents if ent._.is_negated}
    assert negated == {"pneumonia", "chest pain"}
    assert "breast cancer" in {ent.text for ent in doc.ents if ent._.is_family}
    with pytest.raises((TypeError, NotImplementedError)):
        doc.to_bytes()  # a graph of spans in its user data
    copy = Doc(nlp.vocab).from_bytes(doc.to_bytes(exclude=["user_data"]))
    assert entities(copy) == entities(doc)
    assert [score_of(ent) for ent in copy.ents] == [score_of(ent) for ent in doc.ents]


# scispaCy


@pytest.mark.parametrize("serializable", [False, True])
def test_abbreviations_of_the_detector(nlp, serializable):
    scispacy("abbreviation")
    config = {"make_serializable": serializable}
    nlp.add_pipe("abbreviation_detector", config=config)
    plain = nlp(DEFINED)
    nlp.add_pipe("abbreviation_entities")
    doc = nlp(DEFINED)
    assert set(entities(plain)) <= set(entities(doc))
    assert entities(doc).count(("PKD", "DISEASE")) == 3
    shorts = [ent for ent in doc.ents if ent.text == "PKD"]
    assert all(score_of(ent) is not None for ent in shorts)
    if serializable:
        copy = Doc(nlp.vocab).from_bytes(doc.to_bytes())
        assert entities(copy) == entities(doc)
        (binned,) = DocBin(docs=[doc]).get_docs(nlp.vocab)
        assert [score_of(e) for e in binned.ents] == [score_of(e) for e in doc.ents]
    else:  # what a linker after it looks at
        assert {ent._.long_form.text for ent in shorts} == {"polycystic kidney disease"}


def test_a_linker_after_it_finds_the_long_form(nlp):
    """scispaCy's linker reads `ent._.long_form` where the places are equal; its
    indexes are downloads, so the reading is done here."""
    scispacy("abbreviation")
    nlp.add_pipe("abbreviation_detector")
    nlp.add_pipe("abbreviation_entities")
    doc = nlp(DEFINED)
    mentions = {
        ent._.long_form.text if ent._.long_form else ent.text for ent in doc.ents
    }
    assert "polycystic kidney disease" in mentions and "PKD" not in mentions


def test_hyponyms_of_our_entities(general, compiled):
    scispacy("hyponym_detector")
    insert(general, compiled)
    general.add_pipe("hyponym_detector")
    doc = general("He was treated with drugs such as vancomycin and ceftriaxone.")
    found = {(rule, str(a), str(b)) for rule, a, b in doc._.hearst_patterns}
    assert found == {
        ("such_as", "drugs", "vancomycin"),
        ("such_as", "drugs", "ceftriaxone"),
    }
    chemicals = {ent.text for ent in doc.ents if ent.label_ == "CHEMICAL"}
    assert chemicals >= {"vancomycin", "ceftriaxone"}


def test_hyponyms_need_a_tagger_and_not_us(nlp):
    scispacy("hyponym_detector")
    nlp.add_pipe("hyponym_detector")
    with pytest.raises(ValueError, match="E155"):
        nlp(NOTE)


# Everything at once


def test_several_processes(packaged):
    """In a process of its own, so that a deadlock fails instead of hanging."""
    negspacy(), scispacy("abbreviation")
    script = f"""
import spacy, negspacy.negation, scispacy.abbreviation
from spacy_bioner.confidence import score_of
def make():
    one_thread = {{"components.ner.model.states.threads": 1}}
    nlp = spacy.load({str(packaged)!r}, config=one_thread)
    nlp.add_pipe("sentencizer", first=True)
    nlp.add_pipe("abbreviation_detector", config={{"make_serializable": True}})
    nlp.add_pipe("abbreviation_entities")
    nlp.add_pipe("entity_collector", config={{"spans_key": "bio"}})
    rules = [{{"label": "FAMILY", "pattern": "mother", "id": "m"}}]
    nlp.add_pipe("entity_ruler").add_patterns(rules)
    nlp.add_pipe("entity_resolver", config={{"sources": ["bio"]}})
    nlp.add_pipe("negex")
    return nlp
def found(docs):
    return [[(e.text, e.label_, e.ent_id_, e._.negex, score_of(e)) for e in d.ents]
            for d in docs]
nlp, texts = make(), [{NOTE!r}, "", {DEFINED!r}, "Her mother denies asthma."] * 3
one = found(nlp.pipe(texts))
assert ("PKD", "DISEASE", "") in [row[:3] for row in one[2]], one[2]
assert ("mother", "FAMILY", "m", False, None) in one[3], one[3]
assert found(nlp.pipe(texts, n_process=2, batch_size=2)) == one
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)


def test_three_sources_resolved_with_provenance(compiled):
    """Ours, another model's, and a dictionary."""
    nlp = spacy.blank("en")
    insert(nlp, compiled)
    nlp.add_pipe("entity_collector", "put_ours_aside", config={"spans_key": "ours"})
    drugs = {"label": "CHEMICAL", "pattern": "aspirin", "id": "C1"}
    nlp.add_pipe("entity_ruler", "drugs").add_patterns([drugs])
    nlp.add_pipe("entity_collector", "put_drugs_aside", config={"spans_key": "drugs"})
    other = {"label": "PROBLEM", "pattern": "chest pain"}
    nlp.add_pipe("entity_ruler", "other").add_patterns([other])
    config = {"sources": ["drugs", "ours"], "policy": "labels", "labels": ["PROBLEM"]}
    nlp.add_pipe("entity_resolver", config=config)
    doc = nlp(NOTE)
    group = doc.spans["resolved"]
    rows = zip(group, group.attrs["sources"], strict=True)
    sources = {(span.text, span.label_): names for span, names in rows}
    assert sources["aspirin", "CHEMICAL"] == ["drugs", "ours"]
    assert sources["chest pain", "PROBLEM"] == ["doc.ents"]
    assert sources["pneumonia", "DISEASE"] == ["ours"]
    (aspirin,) = [ent for ent in doc.ents if ent.text == "aspirin"]
    assert aspirin.ent_id_ == "C1" and 0 < score_of(aspirin) <= 1
    assert score_of(Span(doc, aspirin.start, aspirin.end, "GENE")) is None
    assert not any(nlp.analyze_pipes()["problems"].values())


def test_example(packaged, tmp_path):
    """What users are shown runs, with whatever is installed."""
    negspacy()
    page, script = tmp_path / "page.html", ROOT / "examples/clinical.py"
    command = [sys.executable, script, "--model", packaged, "--page", page]
    run = subprocess.run(
        command, check=True, timeout=200, capture_output=True, text=True
    )
    rows = [line.split() for line in run.stdout.splitlines()]
    assert any(row[0] == "pneumonia" and row[-1] == "negated" for row in rows)
    assert "DISEASE" in page.read_text("utf8")
