"""Word shapes: what an uncased vocabulary forgets, and nothing breaks them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner import shapes
from spacy_bioner.shapes import N_SHAPES, piece_shapes

TEXT = st.text(st.sampled_from("aZ19-( \nβΩé́👩あ\ud800"), min_size=1, max_size=12)


def shape(text: str, start: int, end: int) -> tuple[int, int]:
    """Kind and context bits of one piece."""
    return divmod(int(piece_shapes(text, [start], [end])[0]), 16)


@pytest.mark.parametrize(
    "word, kind",
    [
        ("was", shapes.LOWERCASE),
        ("WAS", shapes.CAPITALS),
        ("Was", shapes.TITLE),
        ("A", shapes.SINGLE),
        ("mRNA", shapes.MIXED),
        ("17", shapes.NUMBER),
        ("p53", shapes.CODE),
        ("-", shapes.SYMBOL),
        ("β", shapes.NON_ASCII),
        ("TNFα", shapes.NON_ASCII),
        ("±", shapes.SYMBOL),
    ],
)
def test_kind_of_a_word(word, kind):
    assert shape(word, 0, len(word)) == (kind, shape(word, 0, len(word))[1])


def test_context_tells_il2_from_its_spaced_form():
    assert shape("IL-2", 2, 3)[1] == shapes.WORD_HAS_CAPITAL | shapes.WORD_HAS_DIGIT
    assert shape("IL - 2", 3, 4)[1] == shapes.SPACE_BEFORE | shapes.SPACE_AFTER


def test_a_capital_first_letter_is_no_capital_in_the_word():
    assert not shape("The", 0, 3)[1] & shapes.WORD_HAS_CAPITAL
    assert shape("mRNA", 0, 1)[1] & shapes.WORD_HAS_CAPITAL


@given(TEXT, st.data())
def test_any_piece_of_any_text_has_a_shape(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    number = int(piece_shapes(text, [start], [end])[0])
    assert 0 < number < N_SHAPES
    bits = number % 16
    before = start == 0 or text[start - 1].isspace()
    after = end == len(text) or text[end].isspace()
    assert bool(bits & shapes.SPACE_BEFORE) == before
    assert bool(bits & shapes.SPACE_AFTER) == after
    if not text[start].isspace():  # the word around the piece's first character
        word = text[:start].split(" ")[-1].split("\n")[-1] + text[start:].split()[0]
        digit = any(c.isascii() and c.isdigit() for c in word)
        assert bool(bits & shapes.WORD_HAS_DIGIT) == digit
        capital = any(c.isascii() and c.isupper() for c in word[1:])
        assert bool(bits & shapes.WORD_HAS_CAPITAL) == capital


@given(TEXT)
def test_pieces_do_not_depend_on_each_other(text):
    starts, ends = np.arange(len(text)), np.arange(len(text)) + 1
    together = piece_shapes(text, starts, ends)
    assert together.tolist() == [
        int(piece_shapes(text, [i], [i + 1])[0]) for i in range(len(text))
    ]


def test_special_tokens_and_empty_text_have_shape_zero():
    assert piece_shapes("ab", [0, 2, 1], [0, 2, 1]).tolist() == [0, 0, 0]
    assert piece_shapes("", [0], [0]).tolist() == [0]
    assert piece_shapes("ab", [], []).tolist() == []
