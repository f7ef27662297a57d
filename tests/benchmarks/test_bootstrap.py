"""F1 from counts, and the paired bootstrap."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spacy.scorer import PRFScore

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

from bootstrap import compare, prf  # noqa: E402

NUMBER = st.integers(0, 5)
COUNTS = st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=8)


@given(COUNTS)
def test_prf_is_spacys(counts):
    score = PRFScore()
    score.tp, score.fp, score.fn = np.sum(counts, axis=0)
    wanted = [score.precision, score.recall, score.fscore]
    assert prf(counts) == pytest.approx([100 * x for x in wanted], abs=1e-6)


@given(COUNTS)
def test_an_arm_is_no_better_than_itself(counts):
    gain = compare([counts, counts], [counts], resamples=20)
    assert (gain.difference, gain.low, gain.high) == pytest.approx((0, 0, 0))


def test_a_better_arm():
    """Both seeds of the arm find what the base misses in every second unit."""
    base = [[1, 0, 1], [1, 0, 0]] * 50
    arm = [[2, 0, 0], [1, 0, 0]] * 50
    gain = compare([arm, arm], [base, base], resamples=2000)
    assert gain.difference == pytest.approx(100 - 80)
    assert 14 < gain.low < gain.difference < gain.high < 26
    assert gain.not_better == 0
    loss = compare([base], [arm], resamples=2000)
    assert loss.difference == pytest.approx(-20) and loss.not_better == 1


def test_units_are_paired():
    """Arms that differ in one way in each unit differ so in every resample, however
    much the units differ."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 50, 40)
    base = [[n, n, n] for n in sizes]
    arm = [[n, 0, 2 * n] for n in sizes]
    gain = compare([arm], [base], resamples=500)
    assert gain.low == pytest.approx(gain.high) == pytest.approx(gain.difference)


def test_the_mean_is_over_seeds():
    good, bad = [[1, 0, 0]] * 4, [[0, 1, 1]] * 4
    gain = compare([good, bad], [bad, bad], resamples=10)
    assert gain.difference == pytest.approx(50)


def test_other_test_sets_are_not_compared():
    with pytest.raises(ValueError, match="other test units: 2 and 3"):
        compare([[[1, 0, 0]] * 2], [[[1, 0, 0]] * 3])
