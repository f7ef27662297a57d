"""Names -> identifiers, and the words of a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.errors import BionerError
from spacy_bioner.kb import Entry, KnowledgeBase, TermIndex
from spacy_bioner.kb.entry import common_id, identifiers
from spacy_bioner.kb.fold import fold


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Tumours of the β-cell, type II", "tumor beta cell type 2"),
        ("TNFα", "tnf alpha"),
        ("Crohn's disease", "crohn disease"),
        ("anaemias and oedema", "anemia edema"),
        ("Ménière’s", "meniere"),
        ("biopsies, viruses, gas, virus, meningitis, loss", "biopsy viruse gas virus "
         "meningitis loss"),
        ("factor V, X-linked", "factor 5 x linked"),
        ("factor XI, type VIII", "factor 11 type 8"),
        ("hepatitis A", "hepatitis a"),
        ("of the", "of the"),
        ("four hours", "four hor"),
        ("", ""),
        ("- ?", ""),
    ],
)  # fmt: skip
def test_fold(text, words):
    assert fold(text) == words.split()


@given(st.text())
def test_fold_is_stable_under_case_and_spaces(text):
    words = fold(text)
    assert all(words)
    assert fold(f"  {text}  ") == words


def make_index(*entries, prefixes=()):
    return TermIndex(KnowledgeBase(list(entries)), prefixes)


def found(index, text, k=5, types=None):
    return [(one.id, one.score) for one in index.nearest(text, k, types)]


def test_same_words_score_one_whatever_their_order():
    index = make_index(Entry("T:1", "renal tumor, type 1"), Entry("T:2", "renal gout"))
    for text in ("renal tumor, type 1", "Type I tumours of the renal"):
        best, other = found(index, text)
        assert best == ("T:1", 1.0) and other[0] == "T:2" and other[1] < 1
    assert found(index, "xyz") == found(index, "") == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("IL-2", "IL2"), ("NF-kappaB", "NF-κB"), ("TNFalpha", "TNFα"), ("HER2", "HER-2")],
)
def test_a_space_or_hyphen_makes_no_other_name(name, text):
    index = make_index(Entry("T:1", name), Entry("T:2", f"{name}0"))
    assert found(index, text)[0] == ("T:1", 1.0)
    assert found(make_index(Entry("T:1", "type 1 2")), "type 12")[0][1] < 1


def test_equal_scores_spelling_then_closeness_then_order():
    index = make_index(
        Entry("T:1", "a", synonyms={"ate": "related", "Fed": "exact"}),
        Entry("T:2", "b", synonyms={"ate": "exact", "fed": "related"}),
        Entry("T:3", "c", synonyms={"ate": "exact"}),
        Entry("T:4", "ATEs"),
    )
    assert [one for one, _ in found(index, "ate")] == ["T:2", "T:3", "T:1", "T:4"]
    assert [one for one, _ in found(index, "fed")] == ["T:2", "T:1"]
    assert [one for one, _ in found(index, "FED")] == ["T:1", "T:2"]


def test_a_corpuss_mention_is_as_good_as_a_preferred_name():
    corpus = Entry("T:1", "gouts", synonyms={"ache": "mention"})
    assert found(make_index(corpus, Entry("T:2", "ache")), "ache", 1)[0][0] == "T:1"
    assert found(make_index(Entry("T:2", "ache"), corpus), "ache", 1)[0][0] == "T:2"


def test_entries_that_share_an_identifier_are_one_candidate():
    index = make_index(
        Entry("MESH:D1", "gout"),
        Entry("T:2", "gouty ache", xrefs=["OMIM:7", "MESH:D1", "MESH:D2"]),
        Entry("T:3", "gout and more"),
        prefixes=["MESH", "OMIM"],
    )
    names = [one.name for one in index.nearest("gouty ache", 3)]
    assert [one for one, _ in found(index, "gouty ache")] == [
        "MESH:D1",
        "MESH:D2",
        "OMIM:7",
    ]
    assert names == ["gouty ache"] * 3
    assert index.nearest("gout", 1)[0] == ("MESH:D1", 1.0, "gout")


def test_types_and_number():
    entries = [Entry(f"T:{i}", f"stone {i}", "A" if i % 2 else "B") for i in range(20)]
    index = make_index(*entries, Entry("", "stone 3", "A"))
    assert index.types == ["A", "B"]
    assert [one for one, _ in found(index, "stone 3", 1)] == ["T:3"]
    among = found(index, "stone 3", 20, ["B"])
    assert len(among) == 10 and all(int(one[2:]) % 2 == 0 for one, _ in among)
    assert found(index, "stone 3", 3, ["C"]) == []


def test_the_k_best_are_the_first_of_all():
    words = ["renal", "stone", "acute", "fever", "of", "liver"]
    names = [f"{a} {b}" for a in words for b in words]
    index = make_index(*(Entry(f"T:{i}", name) for i, name in enumerate(names)))
    every = found(index, "acute renal fever", 100)
    assert [score for _, score in every] == sorted((s for _, s in every), reverse=True)
    for k in (1, 3, 10):
        assert found(index, "acute renal fever", k) == every[:k]


def test_nothing_to_find():
    assert make_index().nearest("gout", 3) == []
    assert make_index(Entry("", "gout")).ids == []


def test_signs_alone_are_no_name():
    index = make_index(Entry("T:1", "gout", synonyms={"-": "exact"}))
    assert index.nearest("+", 3) == []


def test_identifiers_of_a_mention():
    assert identifiers("D000001|OMIM:2") == ["MESH:D000001", "OMIM:2"]
    assert identifiers("D000001+MIM:2") == ["MESH:D000001", "OMIM:2"]
    assert identifiers("-1") == identifiers("") == identifiers("-") == []
    assert identifiers("T:1|-1") == ["T:1"]
    assert identifiers("CUI-less") == identifiers("None") == []
    assert common_id("MESH:D000001,") == "MESH:D000001"  # as a release has it


def test_bytes():
    kb = KnowledgeBase([Entry("T:1", "gout\u2028", "A", {"ache": "broad"}, ["T:2"])])
    assert KnowledgeBase.from_bytes(kb.to_bytes()) == kb
    with pytest.raises(BionerError, match="B905"):
        KnowledgeBase.from_bytes(b"\xff")
