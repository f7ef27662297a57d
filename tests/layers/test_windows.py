"""Windows: every token is read once, with context, and nothing is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.layers.windows import cut_windows, first_pieces


@st.composite
def documents(draw):
    """Pieces of each token: none (a space), one, or many (a long word)."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 1, 1, 2, 5, 40]), max_size=60))
    starts = np.cumsum([0, *sizes])[:-1] if sizes else np.zeros(0, dtype="int64")
    first = np.where(np.array(sizes, dtype="int64") > 0, starts, -1)
    return sum(sizes), first.astype("int64")


@given(documents(), st.integers(4, 30), st.data())
def test_every_token_is_read_once_where_its_first_piece_is(document, length, data):
    n_pieces, first = document
    overlap = data.draw(st.integers(0, length - 1))
    windows = cut_windows(n_pieces, first, length, overlap)
    read = [token for window in windows for token in window.tokens.tolist()]
    assert read == list(range(len(first)))
    covered: set[int] = set()
    for window in windows:
        assert 0 <= window.start <= window.stop <= n_pieces
        assert window.stop - window.start <= length
        covered.update(range(window.start, window.stop))
        for token, row in zip(window.tokens, window.rows, strict=True):
            assert row == (-1 if first[token] < 0 else first[token] - window.start)
            assert row < window.stop - window.start
    assert covered == (set(range(n_pieces)) if len(first) else set())
    for one, two in zip(windows, windows[1:], strict=False):
        assert one.stop - two.start >= overlap


@given(documents())
def test_a_token_has_context_on_both_sides(document):
    n_pieces, first = document
    windows = cut_windows(n_pieces, first, 20, 8)
    for window in windows:
        for row in window.rows[window.rows >= 0]:
            assert row >= 4 or window.start == 0
            assert window.stop - window.start - row >= 4 or window.stop == n_pieces


def test_one_window_where_it_fits():
    (window,) = cut_windows(5, np.array([0, 2, 4]), 5, 2)
    assert (window.start, window.stop, window.rows.tolist()) == (0, 5, [0, 2, 4])
    (window,) = cut_windows(0, np.array([-1, -1]), 5, 2)
    assert (window.start, window.stop, window.rows.tolist()) == (0, 0, [-1, -1])


def test_first_piece_by_characters():
    # "ab cd  e": pieces a, b, cd, e; tokens ab, cd, the space, e
    pieces = np.array([[0, 1], [1, 2], [3, 5], [7, 8]])
    tokens = np.array([[0, 2], [3, 5], [6, 7], [7, 8]])
    first = first_pieces(tokens[:, 0], tokens[:, 1], pieces[:, 0], pieces[:, 1])
    assert first.tolist() == [0, 2, -1, 3]
    # "abc" is one piece, of two tokens
    first = first_pieces([0, 1], [1, 3], np.array([0]), np.array([3]))
    assert first.tolist() == [0, 0]
    empty = np.zeros(0, dtype="int64")
    assert first_pieces([0], [1], empty, empty).tolist() == [-1]
