"""What the borders of a span could have been."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.layers.span_variants import variants


@given(
    word=st.lists(st.booleans(), min_size=1, max_size=9),
    window=st.integers(0, 3),
    data=st.data(),
)
def test_variants_are_the_spans_nearby_that_overlap(word, window, data):
    n = len(word)
    start = data.draw(st.integers(0, n - 1))
    end = data.draw(st.integers(start + 1, n))
    moved, valid = variants(np.array([[start, end, 7]]), window, np.array(word))
    found = [tuple(place) for place in moved[valid].tolist()]
    assert found[0] == (start, end) and len(set(found)) == len(found)
    expected = {
        (i, j)
        for i in range(max(start - window, 0), start + window + 1)
        for j in range(end - window, min(end + window, n) + 1)
        if i < j and i < end and j > start and word[i] and word[j - 1]
    }
    assert set(found) == expected | {(start, end)}


def test_no_spans_and_no_tokens():
    for n in (0, 4):
        moved, valid = variants(np.zeros((0, 3), int), 2, np.ones(n, bool))
        assert moved.shape == (0, 25, 2) and valid.shape == (0, 25)
