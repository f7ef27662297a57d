"""Exact best paths, against trying every path."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toy import best_paths, tag_names

from spacy_bioner.layers import viterbi
from spacy_bioner.layers.viterbi import _search


def follows_bio(names: list[str]) -> bool:
    """What BIO is, in words rather than in tag numbers."""
    return all(
        not name.startswith("I-") or previous in ("B-" + name[2:], name)
        for previous, name in zip(["O", *names], names, strict=False)
    )


def by_brute_force(scores: np.ndarray, names: list[str]) -> float:
    paths = product(range(len(names)), repeat=len(scores))
    return max(
        sum(scores[i, tag] for i, tag in enumerate(path))
        for path in paths
        if follows_bio([names[tag] for tag in path])
    )


LENGTHS = st.lists(st.integers(0, 3), min_size=1, max_size=4)


@given(st.integers(0, 2), LENGTHS, st.data())
def test_best_paths_are_the_best_valid_ones(n_labels, lengths, data):
    names = tag_names(["A", "B"][:n_labels])
    score = st.integers(-4, 4).map(float)
    batch = [
        data.draw(arrays("float32", (n, len(names)), elements=score)) for n in lengths
    ]
    for scores, path in zip(batch, best_paths(batch), strict=True):
        assert path.shape == (len(scores),)
        assert follows_bio([names[tag] for tag in path])
        assert scores[np.arange(len(path)), path].sum() == by_brute_force(scores, names)


@given(st.integers(1, 3), st.integers(1, 20), st.data())
def test_runs_searched_alone_are_as_good_as_the_whole(n_labels, length, data):
    names = tag_names(["A", "B", "C"][:n_labels])
    score = st.integers(-4, 4).map(float)
    scores = data.draw(arrays("float32", (length, len(names)), elements=score))
    rows = np.arange(length)
    (path,), (whole,) = best_paths([scores]), _search([scores])
    assert follows_bio([names[tag] for tag in path])
    assert scores[rows, path].sum() == scores[rows, whole].sum()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.data())
def test_sequences_in_one_row_do_not_see_each_other(lengths, data):
    """Also where runs grow to the begin of their sequence."""
    score = st.integers(-4, 4).map(float)
    batch = [data.draw(arrays("float32", (n, 5), elements=score)) for n in lengths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(viterbi, "MOST_GROWTH", data.draw(st.integers(1, 3)))
        paths = best_paths(batch)
    for scores, path in zip(batch, paths, strict=True):
        rows = np.arange(len(scores))
        best = scores[rows, _search([scores])[0]].sum() if len(scores) else 0
        assert follows_bio([tag_names(["A", "B"])[tag] for tag in path])
        assert scores[rows, path].sum() == best


def test_a_run_that_needs_what_comes_before_it():
    """B, then an I that only pays for the two after it: the cut before it is unsafe."""
    scores = np.array([[0, 3, 0], [2, -9, 1], [0, -9, 9], [0, -9, 9]], dtype="float32")
    assert best_paths([scores])[0].tolist() == [1, 2, 2, 2]


def test_two_tokens_are_searched_to_the_end():
    """A decoder elsewhere skipped the way back here and answered [0, x]."""
    scores = np.array([[0, 3, 0], [0, 0, 3]], dtype="float32")
    assert best_paths([scores])[0].tolist() == [1, 2]
    scores = np.array([[2, 1, 0], [0, 0, 9]], dtype="float32")
    assert best_paths([scores])[0].tolist() == [1, 2]


def test_no_sequences():
    assert best_paths([]) == []
