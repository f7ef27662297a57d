"""F1 from counts, and whether one arm of an experiment beats another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
# Of each unit of a test set: mentions that are correct, spurious, missed.
Counts = Sequence[Sequence[int]]


def prf(counts: Counts | np.ndarray) -> tuple[float, float, float]:
    """Precision, recall and F1 over all units, in percent."""
    tp, fp, fn = (float(n) for n in np.sum(np.asarray(counts), axis=0))
    precision, recall = tp / max(tp + fp, 1), tp / max(tp + fn, 1)
    return 100 * precision, 100 * recall, float(_f1(np.array([tp, fp, fn])))


@dataclass(frozen=True)
class Comparison:
    """How much better an arm is, in points of F1.

    difference: Of the means over seeds, on the test set itself.
    low, high: 95% of the resampled test sets lie between.
    not_better: Share of the resampled test sets on which the arm is not better.
    """

    difference: float
    low: float
    high: float
    not_better: float


def compare(
    arm: Sequence[Counts],
    base: Sequence[Counts],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap over the units of a test set.

    A resample draws units with replacement, the same for both arms and all seeds; an
    arm's F1 on it is the mean over seeds. What other seeds would have given is not in
    the interval: the spread over seeds says that.

    arm, base (Sequence[Counts]): One entry a seed, in the same order of units.
    """
    ours, theirs = np.asarray(arm), np.asarray(base)  # (seeds, units, 3)
    if ours.shape[1:] != theirs.shape[1:]:
        raise ValueError(f"other test units: {ours.shape[1]} and {theirs.shape[1]}")
    units = ours.shape[1]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(units, np.full(units, 1 / units), size=resamples)
    gains = _mean_f1(ours, drawn) - _mean_f1(theirs, drawn)
    once = np.ones((1, units), int)
    gain = (_mean_f1(ours, once) - _mean_f1(theirs, once))[0]
    low, high = np.quantile(gains, [0.025, 0.975])
    return Comparison(*map(float, (gain, low, high, (gains <= 0).mean())))


def _mean_f1(counts: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """counts (seeds, units, 3), drawn (resamples, units) -> (resamples,)"""
    sums = np.einsum("ru,suk->rsk", drawn, counts, optimize=True)
    return _f1(sums).mean(axis=1)


def _f1(sums: np.ndarray) -> np.ndarray:
    """Of correct, spurious, missed on the last axis; 0 where there is none of them."""
    tp, fp, fn = np.moveaxis(sums, -1, 0)
    return 100 * 2 * tp / np.maximum(2 * tp + fp + fn, 1)
