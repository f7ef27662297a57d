"""Names inside mentions: which are counted, and as what."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Span

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from nested_gold import agreement, count, known_names  # noqa: E402


def make(nlp, text: str, *mentions: tuple[int, int]):
    doc = nlp(text)
    doc.spans["sc"] = [Span(doc, start, end, "DNA") for start, end in mentions]
    return doc


def test_names_are_known_that_are_often_mentions():
    nlp = spacy.blank("en")
    often = make(
        nlp, "IL2 and IL2 , IL2 , IL2 , IL2", *[(i, i + 1) for i in range(0, 9, 2)]
    )
    often = [often, *(make(nlp, "IL2") for _ in range(3))]  # five of eight
    assert known_names(often) == {"il2"}
    assert known_names([*often, make(nlp, "IL2")]) == set()  # five of nine
    assert known_names(often[1:]) == set()


def test_only_the_longest_names_are_counted_and_in_one_mention():
    nlp = spacy.blank("en")
    names = {"il2", "il2 receptor", "cell"}
    whole = make(nlp, "T cell IL2 receptor gene", (0, 5))
    assert count([whole], names) == {"DNA": Counter({False: 2})}
    nested = make(nlp, "T cell IL2 receptor gene", (0, 5), (2, 4))
    assert count([nested], names)["DNA"] == Counter({True: 1, False: 2})
    # "cell" lies in the whole alone; "IL2 receptor" is a mention; "IL2" is inside it.


def test_agreement_is_of_places_with_the_same_words():
    nlp = spacy.blank("en")
    annotated = make(nlp, "IL2 gene", (0, 2), (0, 1))
    bare, other = make(nlp, "il2 gene", (0, 2)), make(nlp, "IL2 promoter", (0, 2))
    pairs, alike, kappa = agreement([annotated, annotated, bare, other], {"il2"})
    assert (pairs, alike) == (3, pytest.approx(1 / 3))
    chance = (2 / 3) ** 2 + (1 / 3) ** 2  # "IL2 promoter" is in no pair
    assert kappa == pytest.approx((1 / 3 - chance) / (1 - chance))
    assert agreement([bare, bare, annotated, annotated], {"il2"})[0] == 6
