"""Near names: scores against a plain computation, ties, types, seeds."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.kb import NameIndex, NearNames
from spacy_bioner.kb.search import best, normal_form

NAMES = ["stone fever", "sand fever", "Stone-Fever", "rust", "grey cell", "AB", "+"]
words = st.text(max_size=8)


def plain_scores(names: list[str], text: str) -> list[float]:
    """The same cosines with sets and loops."""

    def grams(name: str) -> set[str]:
        padded = f" {normal_form(name)} "
        return {padded[i : i + 3] for i in range(len(padded) - 2)}

    counts = Counter(gram for name in names for gram in grams(name))

    def product(one: set[str], two: set[str]) -> float:
        return sum(math.log1p(len(names) / max(counts[g], 1)) ** 2 for g in one & two)

    asked = grams(text)
    return [
        product(grams(name), asked)
        / max(
            math.sqrt(product(grams(name), grams(name)) * product(asked, asked)), 1e-9
        )
        for name in names
    ]


@given(st.lists(words, max_size=6), words)
def test_scores_are_cosines(names, text):
    scores = NameIndex(names).scores(text)
    np.testing.assert_allclose(scores, plain_scores(names, text), atol=1e-6)


def test_a_name_finds_itself():
    index = NameIndex(NAMES)
    assert len(index) == len(NAMES)
    [(place, score)] = index.nearest("Rust", 1)
    assert (NAMES[place], round(score, 6)) == ("rust", 1.0)
    # Two spellings of one name: the first comes first.
    assert [place for place, _ in index.nearest("STONE FEVER", 3)] == [0, 2, 1]
    assert [place for place, _ in index.nearest("ab", 3)] == [5]


def test_nothing_in_common():
    index = NameIndex(NAMES)
    assert index.nearest("zzz", 5) == index.nearest("", 5) == []
    assert index.nearest("stone fever", 0) == []
    assert NameIndex([]).nearest("stone fever", 5) == []


def test_among():
    index = NameIndex(NAMES)
    among = np.array([name.startswith("s") for name in NAMES])
    assert [place for place, _ in index.nearest("stone fever", 9, among)] == [0, 1]


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9])), st.integers(0, 5))
def test_best_is_a_stable_sort(scores, n):
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    expected = [place for place in order if scores[place] > 0][:n]
    assert best(np.array(scores, dtype=float), n).tolist() == expected


@pytest.fixture
def near():
    fevers = [(f"{kind} fever", "DIS") for kind in ("stone", "sand", "glass", "salt")]
    cells = [(f"{kind} cell", "CELL") for kind in ("stone", "sand", "glass")]
    return NearNames([*fevers, *cells, ("Stone fever", "CELL"), ("Sand-cell", "CELL")])


def test_near_names_have_their_types(near):
    sentence = "A stone cell with sand fever; and glass."
    names = near(sentence, "DIS", Random(0), same=3, other=2)
    assert Counter(label for _, label in names) == {"DIS": 3, "CELL": 2}
    assert ("sand fever", "DIS") in names and ("stone cell", "CELL") in names


def test_a_name_of_two_types_is_no_counterexample(near):
    names = near("stone fever", "DIS", Random(0))
    assert ("stone fever", "DIS") in names
    assert "Stone fever" not in [name for name, _ in names]
    names = near("stone fever", "CELL", Random(0))
    assert ("Stone fever", "CELL") in names
    assert "stone fever" not in [name for name, _ in names]


def test_one_spelling_of_a_name(near):
    names = [name for name, _ in near("sand cell", "CELL", Random(0))]
    assert "sand cell" in names and "Sand-cell" not in names


def test_the_seed_decides_the_order_only(near):
    sentence = "stone sand glass salt fever cell"
    orders = [near(sentence, "DIS", Random(seed)) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert any(order != orders[0] for order in orders)
    assert all(sorted(order) == sorted(orders[0]) for order in orders)


def test_a_type_that_is_not_there(near):
    names = near("stone fever", "GENE", Random(0))
    assert names and all(label != "GENE" for _, label in names)
    assert near("zzz", "DIS", Random(0)) == []
