"""Short forms become what their long forms are."""

import math
from contextlib import nullcontext

import pytest
import spacy
from spacy.tokens import Doc, Span
from toy import entities

from spacy_bioner.confidence import score_of
from spacy_bioner.errors import BionerError

TEXT = (
    "PA is common . Patients with pernicious anemia ( PA ) got vitamin B12 ; "
    "PA improved and severe PA did not ."
)
PA = [0, 9, 15, 19]  # where the short form stands
LONG = (6, 8)


@pytest.fixture
def extensions():
    """As the detector registers them."""
    old = {
        kind: kind.get_extension(name)
        for kind, name in [(Doc, "abbreviations"), (Span, "long_form")]
        if kind.has_extension(name)
    }
    Doc.set_extension("abbreviations", default=[], force=True)
    Span.set_extension("long_form", default=None, force=True)
    yield
    for kind, name in [(Doc, "abbreviations"), (Span, "long_form")]:
        kind.remove_extension(name)
        if kind in old:
            kind.set_extension(name, default=old[kind][0])


def make(serializable=True, ents=((*LONG, "DISEASE"),), key="abbreviations"):
    """A pipeline's document as it reaches the component, and the component."""
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("abbreviation_entities", config={"spans_key": key})
    doc = nlp.make_doc(TEXT)
    for i in PA:
        short, long = doc[i : i + 1], doc[slice(*LONG)]
        assert short.text == "PA"
        if serializable:
            row = {"short_text": "PA", "short_start": i, "short_end": i + 1}
            row |= {"long_text": long.text, "long_start": 6, "long_end": 8}
            doc._.abbreviations.append(row)
        else:
            short._.long_form = long
            doc._.abbreviations.append(short)
    doc.set_ents([Span(doc, *ent) for ent in ents])
    return doc, pipe


@pytest.mark.parametrize("serializable", [False, True])
def test_short_forms_get_the_type_from_the_definition_on(extensions, serializable):
    doc, pipe = make(serializable)
    pipe(doc)
    assert [(e.start, e.text) for e in doc.ents] == [
        (6, "pernicious anemia"),
        (9, "PA"),
        (15, "PA"),
        (19, "PA"),
    ]
    assert {ent.label_ for ent in doc.ents} == {"DISEASE"}
    group = doc.spans["abbreviations"]
    assert [span.start for span in group] == [9, 15, 19]
    assert group.attrs["long_forms"] == [list(LONG)] * 3


def test_tokens_may_have_changed_since(extensions):
    """Places of the detector's dicts are stale then, and stand on other words."""
    for serializable, found in ((False, [8, 14, 18]), (True, [])):
        doc, pipe = make(serializable)
        with doc.retokenize() as retokenizer:
            retokenizer.merge(doc[6:8])
        told = nullcontext() if found else pytest.warns(UserWarning, match="B008.* 4 ")
        with told:
            pipe(doc)
        assert [e.start for e in doc.ents if e.text == "PA"] == found
        doc._.abbreviations.clear()


def test_score_and_identifier_are_the_long_form_s(extensions):
    doc, pipe = make()
    doc.set_ents([Span(doc, *LONG, "DISEASE", kb_id="D000752")])
    doc.spans["ner"] = list(doc.ents)
    doc.spans["ner"].attrs.update(scores=[0.75], ents=True)
    pipe(doc)
    assert [score_of(ent) for ent in doc.ents] == [0.75] * 4
    assert {ent.kb_id_ for ent in doc.ents} == {"D000752"}
    again = Doc(doc.vocab).from_bytes(doc.to_bytes())
    assert [score_of(ent) for ent in again.ents] == [0.75] * 4


def test_a_long_form_without_a_score_gives_none(extensions):
    doc, pipe = make()
    pipe(doc)
    assert [score_of(ent) for ent in doc.ents] == [None] * 4
    assert all(math.isnan(s) for s in doc.spans["abbreviations"].attrs["scores"])


def test_entities_give_way_unless_they_are_longer_or_have_the_type(extensions):
    doc, pipe = make(
        ents=[(0, 1, "GENE"), (*LONG, "DISEASE"), (9, 10, "GENE"), (15, 17, "GENE")]
        + [(18, 20, "DISEASE")]
    )
    pipe(doc)
    assert entities(doc) == [
        ("PA", "GENE"),  # before the definition
        ("pernicious anemia", "DISEASE"),
        ("PA", "DISEASE"),
        ("PA improved", "GENE"),
        ("severe PA", "DISEASE"),
    ]


@pytest.mark.parametrize("score, label", [(0.8, "GENE"), (0.7, "DISEASE")])
def test_entities_that_are_surer_than_the_long_form_stay(extensions, score, label):
    doc, pipe = make(ents=[(*LONG, "DISEASE"), (15, 16, "GENE")])
    doc.spans["ner"] = list(doc.ents)
    doc.spans["ner"].attrs.update(scores=[0.75, score], ents=True)
    pipe(doc)
    assert {ent.start: ent.label_ for ent in doc.ents}[15] == label


@pytest.mark.parametrize("ents", [(), ((7, 8, "DISEASE"),), ((5, 8, "DISEASE"),)])
def test_only_a_long_form_that_is_exactly_an_entity_counts(extensions, ents):
    doc, pipe = make(ents=ents)
    pipe(doc)
    assert len(doc.ents) == len(ents)
    assert len(doc.spans["abbreviations"]) == 0


def test_a_definition_may_come_before_its_long_form(extensions):
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("abbreviation_entities")
    doc = nlp("PA and PA ( pernicious anemia ) and anemia")
    doc._.abbreviations = [
        {"short_start": i, "short_end": i + 1, "long_start": 4, "long_end": 6}
        for i in (0, 2, 5)  # the last one is a part of the long form
    ]
    doc.set_ents([Span(doc, 4, 6, "DISEASE")])
    assert [ent.start for ent in pipe(doc).ents] == [2, 4]


def test_without_a_detector_it_says_what_to_do():
    if Doc.has_extension("abbreviations"):
        pytest.skip("another test has loaded scispaCy's detector")
    nlp = spacy.blank("en")
    nlp.add_pipe("abbreviation_entities")
    with pytest.raises(BionerError, match="B005.*abbreviation_detector"):
        nlp("PA")


def test_settings_survive(tmp_path):
    nlp = spacy.blank("en")
    config = {"spans_key": "k", "labels": ["DISEASE"]}
    nlp.add_pipe("abbreviation_entities", config=config)
    nlp.to_disk(tmp_path)
    pipe = spacy.load(tmp_path).get_pipe("abbreviation_entities")
    assert (pipe.spans_key, pipe.chosen) == ("k", {"DISEASE"})
    problems = nlp.analyze_pipes()["problems"]["abbreviation_entities"]
    assert problems == ["doc.ents"]  # nobody before it finds entities


@pytest.mark.parametrize(
    "labels, found",
    [
        (["DISEASE"], {6: "DISEASE", 9: "DISEASE", 15: "GENE", 19: "DISEASE"}),
        (["GENE"], {6: "DISEASE", 15: "GENE"}),
        ([], {6: "DISEASE", 9: "DISEASE", 15: "DISEASE", 19: "DISEASE"}),
    ],
)
def test_only_chosen_labels_are_given_or_taken(extensions, labels, found):
    doc, pipe = make(ents=[(*LONG, "DISEASE"), (15, 16, "GENE")])
    pipe.chosen = frozenset(labels)
    pipe(doc)
    assert {ent.start: ent.label_ for ent in doc.ents} == found
