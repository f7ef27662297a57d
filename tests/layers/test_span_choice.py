"""What stands for candidates: the best variant of each, each span once."""

import numpy as np
import pytest
import spacy
from spacy.tokens import Span

from spacy_bioner.layers.span_choice import Judged, choose, rows_of, unique_variants
from spacy_bioner.layers.span_variants import variants

WORDS = np.ones(6, dtype=bool)


def judge(candidates, scores, window=1):
    """scores (dict): (start, end) to the logit; -9 for other spans."""
    rows = np.array(candidates, dtype="int64").reshape(-1, 3)
    places, valid = variants(rows, window, WORDS)
    spans, back = unique_variants(rows, places, valid)
    assert len(spans) == len(np.unique(spans, axis=0))
    logits = np.array([scores.get((i, j), -9.0) for i, j, _ in spans.tolist()])
    table = np.full(valid.shape, -np.inf, dtype="float32")
    table[valid] = logits[back]
    return Judged(["X", "Y"], rows, places, table)


def kept(judged, threshold=0.5, overlap="flat"):
    spans, scores, repaired = choose(
        judged, lambda x: 1 / (1 + np.exp(-x)), threshold, overlap
    )
    assert len(spans) == len(scores) == len(repaired)
    return [tuple(span) for span in spans.tolist()], repaired.tolist()


def test_a_repaired_span_that_is_a_candidate_too_stands_once():
    judged = judge([(1, 2, 0), (1, 3, 0)], {(1, 3): 2.0, (1, 2): 0.5})
    assert kept(judged) == ([(1, 3, 0)], [False])


def test_the_best_variant_is_chosen_and_must_be_likely():
    judged = judge([(1, 2, 1)], {(0, 2): 1.0, (1, 2): 0.0})
    assert kept(judged) == ([(0, 2, 1)], [True])
    assert kept(judged, threshold=0.9) == ([], [])


@pytest.mark.parametrize(("overlap", "found"), [("flat", 1), ("nested", 2), ("all", 3)])
def test_overlaps(overlap, found):
    scores = {(0, 4): 3.0, (1, 3): 2.0, (2, 6): 1.0}
    judged = judge([(*place, 0) for place in scores], scores, window=0)
    assert len(kept(judged, overlap=overlap)[0]) == found


def test_rows_are_numbered_and_unique():
    doc = spacy.blank("en").make_doc("one two three")
    numbers = {"X": 0}
    spans = [Span(doc, 1, 2, "Y"), Span(doc, 0, 1, "X"), Span(doc, 0, 1, "X")]
    rows = rows_of([*spans, Span(doc, 1, 1, "X")], numbers)
    assert rows.tolist() == [[0, 1, 0], [1, 2, 1]] and numbers == {"X": 0, "Y": 1}
    assert rows_of([], numbers).shape == (0, 3)


def test_no_candidates():
    assert kept(judge([], {})) == ([], [])
