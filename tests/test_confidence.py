"""The score of a span is the one that its component gave to its words and label."""

import math
import pickle

import numpy as np
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span, SpanGroup

from spacy_bioner.confidence import register_confidence, score_of, scored, scores_of
from spacy_bioner.errors import BionerError


def add_group(doc, key, rows, **attrs):
    """rows: (start, end, label, score)."""
    spans = [Span(doc, *row[:3]) for row in rows]
    attrs["scores"] = np.array([row[3] for row in rows], dtype="float32")
    doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attrs)


@pytest.fixture
def doc():
    doc = spacy.blank("en")("cold agglutinin disease of the lung")
    add_group(
        doc,
        "found",
        [(0, 3, "DISEASE", 0.75), (0, 3, "GENE", 0.25), (5, 6, "ORGAN", math.nan)],
        ents=True,
    )
    add_group(doc, "nested", [(0, 3, "DISEASE", 0.5), (0, 1, "X", 0.125)])
    doc.set_ents([doc.spans["found"][0], doc.spans["found"][2]])
    return doc


def test_two_labels_on_the_same_words_have_their_own_scores(doc):
    assert [score_of(span) for span in doc.spans["found"]] == [0.75, 0.25, None]
    assert [score_of(ent) for ent in doc.ents] == [0.75, None]
    assert score_of(Span(doc, 0, 3, "OTHER")) is None


def test_a_group_is_asked_only_by_its_name_unless_it_speaks_for_entities(doc):
    assert [score_of(s, "nested") for s in doc.spans["nested"]] == [0.5, 0.125]
    assert score_of(doc.spans["nested"][1]) is None
    assert scores_of(doc) == {(0, 3, "DISEASE"): 0.75, (0, 3, "GENE"): 0.25}


def test_the_last_component_that_wrote_entities_is_asked_first(doc):
    add_group(doc, "later", [(0, 3, "DISEASE", 1.0)], ents=True)
    assert [score_of(s) for s in doc.spans["found"]] == [1.0, 0.25, None]


def test_scores_stay_with_their_words_when_tokens_change(doc):
    """As `merge_entities` changes them; span groups stand where they stood."""
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:3])
    assert [(e.text, score_of(e)) for e in doc.ents] == [
        ("cold agglutinin disease", 0.75),
        ("lung", None),
    ]
    assert [(s.text, score) for s, score in scored(doc.spans["nested"])] == [
        ("cold agglutinin disease", 0.5)  # "cold" is no token any more
    ]


def test_scores_travel_with_the_document(doc):
    stored = DocBin(docs=[doc])  # without user data
    (unpacked,) = DocBin().from_bytes(stored.to_bytes()).get_docs(doc.vocab)
    copies = [
        Doc(doc.vocab).from_bytes(doc.to_bytes()),
        doc.copy(),
        pickle.loads(pickle.dumps(doc)),
        unpacked,
    ]
    for copy in copies:
        assert scores_of(copy) == scores_of(doc)
        assert scores_of(copy, "nested") == scores_of(doc, "nested")


def test_scores_that_no_longer_fit_are_refused(doc):
    doc.spans["found"].append(doc[4:5])
    with pytest.raises(BionerError, match="B001.*found"):
        score_of(doc.ents[0])
    with pytest.raises(BionerError, match="B003.*missing"):
        score_of(doc.ents[0], "missing")


def test_a_group_without_scores_has_none(doc):
    doc.spans["plain"] = [doc[0:2]]
    assert score_of(doc[0:2], "plain") is None
    assert [math.isnan(score) for _, score in scored(doc.spans["plain"])] == [True]


def test_extension_is_registered_on_request_and_clobbers_nothing(doc):
    Span.set_extension("theirs", default=7)
    try:
        with pytest.raises(BionerError, match="B002.*theirs"):
            register_confidence("theirs")
        register_confidence("ours")
        register_confidence("ours", key="nested")  # may change its mind
        register_confidence("ours")
        assert [s._.ours for s in doc.spans["found"]] == [0.75, 0.25, None]
        assert doc.ents[0]._.theirs == 7
    finally:
        for name in ("theirs", "ours"):
            if Span.has_extension(name):
                Span.remove_extension(name)
