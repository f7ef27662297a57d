"""Every kind of negative is what it is called; all are drawn from one seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.training.negatives import (
    Text,
    create_span_negatives,
    simulate_candidates,
)

NONE = {"boundary": 0, "nested": 0, "wrong_type": 0, "random": 0, "generator": False}


def text(gold=((3, 6, 1), (8, 9, 0)), n=12, candidates=(), known=None):
    return Text(
        gold=np.array(gold, dtype="int64").reshape(-1, 3),
        known=np.ones(n, bool) if known is None else np.array(known, dtype=bool),
        word=np.ones(n, bool),
        labels=3,
        candidates=np.array(candidates, dtype="int64").reshape(-1, 3),
    )


def draw(source, seed=0, **kinds):
    sampler = create_span_negatives(**{**NONE, **kinds})
    return sampler(source, np.random.default_rng(seed))


def negatives(source, **kinds):
    """Of several draws: each negative beside its gold span, None for a free one."""
    pairs = []
    for seed in range(20):
        sample = draw(source, seed, **kinds)
        for row, anchor in zip(sample.spans, sample.anchor, strict=True):
            if tuple(row) not in set(map(tuple, source.gold.tolist())):
                gold = sample.spans[anchor].tolist() if anchor >= 0 else None
                pairs.append((row.tolist(), gold))
    assert pairs
    return pairs


def test_without_negatives_gold_is_left():
    sample = draw(text())
    assert sample.spans.tolist() == [[3, 6, 1], [8, 9, 0]]
    assert sample.anchor.tolist() == [0, 1] and sample.gold == 2


def test_boundaries_move_within_the_window():
    for (start, end, label), gold in negatives(text(), boundary=4, window=2):
        assert label == gold[2] and max(start, gold[0]) < min(end, gold[1])
        assert 0 < max(abs(start - gold[0]), abs(end - gold[1])) <= 2


def test_nested_spans_are_inside_or_around():
    found = negatives(text(), nested=4)
    inside = [g[0] <= s and e <= g[1] for (s, e, _), g in found]
    around = [s <= g[0] and g[1] <= e for (s, e, _), g in found]
    assert all(a or b for a, b in zip(inside, around, strict=True))
    assert any(inside) and any(around)


def test_wrong_types_have_the_right_words():
    for (start, end, label), gold in negatives(text(), wrong_type=1):
        assert [start, end] == gold[:2] and label != gold[2] and 0 <= label < 3
    one = Text(text().gold[:, :3] * [1, 1, 0], *_rest(text()), 1, text().candidates)
    assert len(draw(one, wrong_type=2).spans) == 2  # there is no other


def _rest(source):
    return source.known, source.word


def test_a_generators_spans_that_are_not_gold():
    source = text(candidates=[(3, 6, 1), (3, 7, 1), (3, 7, 1), (0, 1, 2)])
    sample = draw(source, generator=True)
    assert sample.spans[2:].tolist() in ([[0, 1, 2], [3, 7, 1]], [[3, 7, 1], [0, 1, 2]])
    assert sample.anchor[2:].tolist() == [-1, -1]


def test_nothing_is_drawn_where_nothing_is_known():
    known = [True] * 7 + [False] * 5
    sample = draw(text(known=known), random=50, boundary=9, nested=5)
    assert (sample.spans[sample.gold :, 1] <= 7).all() and sample.gold == 2


@given(
    gold=st.lists(
        st.tuples(st.integers(0, 8), st.integers(1, 4), st.integers(0, 2)), max_size=4
    ),
    seed=st.integers(0, 99),
)
def test_samples_hold_each_span_once_gold_first(gold, seed):
    source = text([(s, min(s + w, 12), k) for s, w, k in gold])
    sampler = create_span_negatives()
    sample = sampler(source, np.random.default_rng(seed))
    again = sampler(source, np.random.default_rng(seed))
    assert np.array_equal(sample.spans, again.spans)
    rows = list(map(tuple, sample.spans.tolist()))
    assert len(set(rows)) == len(rows)
    assert set(rows[: sample.gold]) == set(map(tuple, source.gold.tolist()))
    start, end, label = sample.spans.T
    assert ((start >= 0) & (start < end) & (end <= 12) & (label < 3)).all()
    assert sample.anchor[: sample.gold].tolist() == list(range(sample.gold))
    assert (sample.anchor < sample.gold).all()


def test_no_tokens():
    nothing = text([], n=0)
    assert len(draw(nothing, random=5, boundary=2, nested=2, wrong_type=1).spans) == 0
    assert len(simulate_candidates(nothing, np.random.default_rng(0))) == 0


def test_simulated_candidates_are_partly_right():
    gold = [(3 * i, 3 * i + 2, i % 3) for i in range(300)]
    found = simulate_candidates(text(gold, n=900), np.random.default_rng(0))
    right = set(map(tuple, found.tolist())) & set(gold)
    assert len(right) / len(gold) == pytest.approx(0.45, abs=0.1)
    assert len(found) == pytest.approx(0.9 * 300 + 75, rel=0.15)
