"""Several models in one pipeline: whole entities, by a stated policy."""

import math

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span, SpanGroup
from toy import entities

from spacy_bioner.confidence import score_of
from spacy_bioner.errors import BionerError

WORDS = ["acute", "renal", "failure", "after", "aspirin", "in", "rats"]


def resolve(groups, standing=(), **config):
    """groups: span group -> (start, end, label, score). RETURNS (Doc): Resolved."""
    nlp = spacy.blank("en")
    config = {"sources": list(groups), **config}
    pipe = nlp.add_pipe("entity_resolver", config=config)
    doc = Doc(nlp.vocab, words=WORDS)
    for key, rows in groups.items():
        spans = [Span(doc, *row[:3]) for row in rows]
        attrs = {"scores": [row[3] for row in rows]}
        doc.spans[key] = SpanGroup(doc, name=key, spans=spans, attrs=attrs)
    doc.set_ents([Span(doc, *row) for row in standing])
    return pipe(doc)


A = {"a": [(0, 3, "DISEASE", 0.6), (4, 5, "CHEMICAL", 0.9)]}
B = {"b": [(1, 3, "SYMPTOM", 0.8), (4, 5, "CHEMICAL", 0.5), (6, 7, "SPECIES", 0.3)]}


@pytest.mark.parametrize(
    "config, winner",
    [
        ({"policy": "score"}, ("renal failure", "SYMPTOM")),
        ({"policy": "length"}, ("acute renal failure", "DISEASE")),
        (
            {"policy": "labels", "labels": ["DISEASE", "SYMPTOM"]},
            ("acute renal failure", "DISEASE"),
        ),
        ({"policy": "labels", "labels": ["SYMPTOM"]}, ("renal failure", "SYMPTOM")),
    ],
)
def test_policies(config, winner):
    doc = resolve(A | B, **config)
    assert entities(doc) == [winner, ("aspirin", "CHEMICAL"), ("rats", "SPECIES")]


def test_tokens_may_change_before():
    doc = resolve(A | B, policy="length")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:3])
    pipe = spacy.blank("en").add_pipe("entity_resolver", config={"sources": ["a", "b"]})
    doc = pipe(doc)
    assert entities(doc) == [
        ("acute renal failure", "DISEASE"),
        ("aspirin", "CHEMICAL"),
        ("rats", "SPECIES"),
    ]
    assert [score_of(ent) for ent in doc.ents] == pytest.approx([0.6, 0.9, 0.3])


def test_every_entity_says_where_it_is_from():
    doc = resolve(A | B, standing=[(4, 5, "CHEMICAL"), (0, 1, "OTHER")])
    group = doc.spans["resolved"]
    assert [span.text for span in group] == [ent.text for ent in doc.ents]
    assert dict(zip(map(str, group), group.attrs["sources"], strict=True)) == {
        "acute": ["doc.ents"],
        "renal failure": ["b"],
        "aspirin": ["a", "b", "doc.ents"],
        "rats": ["b"],
    }
    assert [score_of(ent) for ent in doc.ents] == pytest.approx([None, 0.8, 0.9, 0.3])
    again = Doc(doc.vocab).from_bytes(doc.to_bytes())
    assert again.spans["resolved"].attrs["sources"] == group.attrs["sources"]


def test_earlier_sources_win_ties():
    one, two = {"a": [(1, 3, "X", 0.5)]}, {"b": [(1, 3, "Y", 0.5)]}
    assert entities(resolve(one | two)) == [("renal failure", "X")]
    assert entities(resolve(two | one)) == [("renal failure", "Y")]
    standing = [(1, 3, "Z")]  # without a score: counts for 0.5
    assert entities(resolve(one, standing)) == [("renal failure", "X")]
    first = {"sources": ["doc.ents", "a"]}
    assert entities(resolve(one, standing, **first)) == [("renal failure", "Z")]
    sure = {"default_score": 0.6}
    assert entities(resolve(one, standing, **sure)) == [("renal failure", "Z")]


def test_identifiers_and_extensions_of_winners_stay():
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("entity_resolver", config={"sources": ["a"]})
    doc = Doc(nlp.vocab, words=WORDS)
    Span.set_extension("seen", default=False)
    try:
        doc.set_ents(
            [Span(doc, 1, 3, "DISEASE", kb_id="D7"), Span(doc, 4, 5, "C", span_id="x")]
        )
        doc.ents[0]._.seen = True
        doc.spans["a"] = [Span(doc, 1, 3, "DISEASE"), Span(doc, 4, 5, "C", kb_id="C1")]
        pipe(doc)
        assert [(e.kb_id_, e.id_, e._.seen) for e in doc.ents] == [
            ("D7", "", True),
            ("C1", "x", False),
        ]
    finally:
        Span.remove_extension("seen")


def test_a_collector_puts_entities_aside():
    nlp = spacy.blank("en")
    rules = [{"label": "DISEASE", "pattern": "renal failure", "id": "r1"}]
    nlp.add_pipe("entity_ruler", name="one").add_patterns(rules)
    nlp.add_pipe("entity_collector", config={"spans_key": "one"})
    longer = [{"label": "SYMPTOM", "pattern": "acute renal failure"}]
    nlp.add_pipe("entity_ruler", name="two").add_patterns(longer)
    nlp.add_pipe("entity_resolver", config={"sources": ["one"], "policy": "length"})
    doc = nlp("acute renal failure and renal failure")
    assert entities(doc) == [
        ("acute renal failure", "SYMPTOM"),
        ("renal failure", "DISEASE"),
    ]
    assert doc.ents[1].ent_id_ == "r1"
    assert doc.spans["resolved"].attrs["sources"] == [["doc.ents"], ["one"]]
    assert not any(nlp.analyze_pipes()["problems"].values())


def test_what_is_put_aside_leaves_no_identifier():
    nlp = spacy.blank("en")
    collector = nlp.add_pipe("entity_collector")
    doc = Doc(nlp.vocab, words=WORDS)
    doc.ents = [Span(doc, 1, 2, "ORGAN", span_id="FMA:7203")]
    doc = collector(doc)
    assert [span.id_ for span in doc.spans["collected"]] == ["FMA:7203"]
    assert not any(token.ent_id for token in doc)


def test_each_collector_has_a_group_of_its_own():
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_collector", "one")
    with pytest.warns(UserWarning, match="B007.*'two'.*'one'.*'collected'"):
        nlp.add_pipe("entity_collector", "two")


def test_a_collector_keeps_scores_and_silences_who_wrote_them():
    nlp = spacy.blank("en")
    pipe = nlp.add_pipe("entity_collector")
    doc = Doc(nlp.vocab, words=WORDS)
    doc.set_ents([Span(doc, 1, 3, "DISEASE"), Span(doc, 4, 5, "CHEMICAL")])
    doc.spans["ner"] = [doc.ents[0]]
    doc.spans["ner"].attrs.update(scores=[0.75], ents=True)
    pipe(doc)
    assert doc.ents == ()
    scores = doc.spans["collected"].attrs["scores"]
    assert scores[0] == 0.75 and math.isnan(scores[1])
    doc.set_ents([Span(doc, 1, 3, "DISEASE")])  # another model finds the same
    assert score_of(doc.ents[0]) is None
    assert score_of(doc.ents[0], "collected") == 0.75


SPANS = st.lists(
    st.tuples(
        st.integers(0, 6), st.integers(1, 3), st.sampled_from("XY"), st.floats(0, 1)
    ).map(lambda x: (x[0], min(x[0] + x[1], len(WORDS)), x[2], x[3])),
    max_size=6,
)


@given(SPANS, SPANS, st.sampled_from(["score", "length", "labels"]))
def test_an_entity_is_lost_to_an_overlapping_winner_only(one, two, policy):
    doc = resolve({"a": one, "b": two}, policy=policy, labels=["Y"])
    proposed = {row[:3] for row in one + two}
    assert {(e.start, e.end, e.label_) for e in doc.ents} <= proposed
    taken = {token.i for ent in doc.ents for token in ent}
    for start, end, _ in proposed:
        assert taken & set(range(start, end))


def test_settings_survive(tmp_path):
    nlp = spacy.blank("en")
    config = {"sources": ["a"], "policy": "labels", "labels": ["X"], "spans_key": "k"}
    before = vars(nlp.add_pipe("entity_resolver", config=config))
    nlp.to_disk(tmp_path)
    assert vars(spacy.load(tmp_path).get_pipe("entity_resolver")) == before


def test_errors():
    with pytest.raises(BionerError, match="B006.*best"):
        resolve({}, policy="best")
    with pytest.raises(BionerError, match="B003.*'b'"):
        resolve(A, sources=["a", "b"])
