"""The resolver: entities are taken whole or left whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from spacy_bioner.spans import POLICIES, best_first, resolve, set_entities

VOCAB = Vocab()
SPANS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 4)).map(lambda x: (x[0], x[0] + x[1])),
    max_size=8,
)


@given(SPANS, st.data())
def test_best_first_loses_a_span_only_to_a_better_one(spans, data):
    scores = [data.draw(st.sampled_from([0.1, 0.5, 0.9])) for _ in spans]
    chosen = best_first(spans, scores)
    starts = [spans[i][0] for i in chosen]
    assert starts == sorted(starts)
    for n, i in enumerate(chosen):
        assert all(spans[i][1] <= spans[j][0] for j in chosen[n + 1 :])
    for i in set(range(len(spans))) - set(chosen):
        start, end = spans[i]
        rivals = [j for j in chosen if spans[j][0] < end and start < spans[j][1]]
        assert any(scores[j] >= scores[i] for j in rivals)


def test_best_first_prefers_score_then_length_then_left():
    assert best_first([(0, 3), (1, 2)], [0.5, 0.6]) == [1]
    assert best_first([(1, 2), (0, 3)], [0.5, 0.5]) == [1]
    assert best_first([(1, 3), (0, 2)], [0.5, 0.5]) == [1]


@pytest.fixture
def doc():
    doc = Doc(VOCAB, words=["aspirin", "for", "renal", "failure", "and", "pain"])
    old = [Span(doc, 0, 1, "DRUG", kb_id="D1", span_id="x"), Span(doc, 2, 4, "OLD")]
    doc.set_ents(old)
    return doc


@pytest.mark.parametrize(
    "policy, expected",
    [
        ("replace", ["failure", "pain"]),
        ("keep", ["aspirin", "renal failure", "pain"]),
        ("prefer", ["aspirin", "failure", "pain"]),
    ],
)
def test_policies_never_cut_an_entity(doc, policy, expected):
    set_entities(doc, [Span(doc, 3, 4, "NEW"), Span(doc, 5, 6, "NEW")], policy)
    assert [ent.text for ent in doc.ents] == expected


@pytest.mark.parametrize("policy", ["keep", "prefer"])
def test_kept_entities_keep_their_identifiers(doc, policy):
    set_entities(doc, [Span(doc, 5, 6, "NEW")], policy)
    assert (doc.ents[0].kb_id_, doc.ents[0].id_) == ("D1", "x")


@given(SPANS, SPANS, st.sampled_from(POLICIES))
def test_resolve_takes_whole_entities_and_the_winner_is_complete(old, new, policy):
    doc = Doc(VOCAB, words=["w"] * 14)
    old, new = ([s[i] for i in best_first(s, [0.5] * len(s))] for s in (old, new))
    existing = [Span(doc, *s, label="OLD") for s in old]
    found = [Span(doc, *s, label="NEW") for s in new]
    result = resolve(existing, found, policy)
    doc.set_ents(result)  # raises if they overlap
    assert list(doc.ents) == result
    winners = existing if policy == "keep" else found
    assert all(span in result for span in winners)
    assert all(span in existing or span in found for span in result)


def test_an_entity_that_is_gone_leaves_no_identifier():
    doc = Doc(VOCAB, ["Renal", "failure", "today"])
    doc.ents = [Span(doc, 0, 1, "ORGAN", span_id="FMA:7203")]
    set_entities(doc, [Span(doc, 0, 2, "DISEASE")], "prefer")
    assert [(ent.text, ent.ent_id_) for ent in doc.ents] == [("Renal failure", "")]
    doc.ents = [Span(doc, 2, 3, "TIME", span_id="T:1")]
    set_entities(doc, [Span(doc, 0, 2, "DISEASE")], "prefer")
    assert [ent.ent_id_ for ent in doc.ents] == ["", "T:1"]
