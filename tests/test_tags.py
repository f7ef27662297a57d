"""BIO codec: what is encoded comes back, and any tags decode."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import tag_names

from spacy_bioner import tags

LABELS = ["A", "B", "C"]


@st.composite
def annotations(draw):
    """A length and spans that do not overlap."""
    borders = sorted(draw(st.sets(st.integers(0, 20), max_size=12)))
    pairs = list(zip(borders[::2], borders[1::2], strict=False))
    spans = [(start, end, draw(st.sampled_from(LABELS))) for start, end in pairs]
    return draw(st.integers(20, 25)), spans


@given(annotations())
def test_tags_round_trip(annotation):
    length, spans = annotation
    encoded = tags.encode(spans, LABELS, length)
    assert encoded.shape == (length,)
    assert tags.decode(encoded, LABELS) == spans


@given(st.lists(st.integers(0, 6), max_size=12))
def test_tags_any_tags_decode_to_spans_that_cover_what_is_not_o(path):
    spans = tags.decode(np.array(path, dtype="int64"), LABELS)
    covered = [i for start, end, _ in spans for i in range(start, end)]
    assert covered == [i for i, tag in enumerate(path) if tag]
    for start, end, label in spans:
        kinds = {(path[i] - 1) // 2 for i in range(start, end)}
        assert kinds == {LABELS.index(label)}


def test_tags_adjacent_spans_of_one_label_stay_two():
    spans = [(0, 2, "A"), (2, 3, "A"), (3, 5, "B")]
    assert tags.encode(spans, LABELS, 6).tolist() == [1, 2, 1, 3, 4, 0]
    assert tags.decode(np.array([1, 2, 1, 3, 4, 0]), LABELS) == spans


def test_tags_other_labels_are_outside():
    assert tags.encode([(0, 2, "X"), (2, 3, "A")], ["A"], 3).tolist() == [0, 0, 1]


@pytest.mark.parametrize("labels", [[], ["A"], ["A", "B"]])
def test_tags_names_follow_numbers(labels):
    names = tag_names(labels)
    assert len(names) == tags.n_tags(labels)
    for label in labels:
        begin, inside = tags.encode([(0, 2, label)], labels, 2)
        assert (names[begin], names[inside]) == (f"B-{label}", f"I-{label}")


def test_tags_empty():
    assert tags.decode(np.zeros(0, dtype="int64"), LABELS) == []
    assert tags.encode([], LABELS, 0).shape == (0,)
