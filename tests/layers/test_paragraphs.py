"""No entity reaches over an empty line, or into the next item of a list."""

from __future__ import annotations

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.layers.decoding import word_rows
from spacy_bioner.layers.nesting import candidate_mask
from spacy_bioner.layers.paragraphs import cut_at, find_breaks

NLP = spacy.blank("en")


def pieces(text: str) -> list[str]:
    """What becomes of a span of all words."""
    doc = NLP(text)
    rows = word_rows(doc)
    spans = cut_at(find_breaks(doc, rows), [(0, len(rows), "A", 0.5)])
    assert all(span[2:] == ("A", 0.5) for span in spans)
    return [doc[int(rows[a]) : int(rows[b - 1]) + 1].text for a, b, *_ in spans]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("renal failure\n\nasthma", ["renal failure", "asthma"]),
        ("renal failure\r\n \r\nasthma", ["renal failure", "asthma"]),
        ("renal failure\n- asthma\n\n* gout", ["renal failure", "asthma", "gout"]),
        ("renal\nfailure", ["renal\nfailure"]),  # a wrapped line
        ("renal  failure - chronic", ["renal  failure - chronic"]),
        ("renal failure\n-", ["renal failure"]),
    ],
)
def test_where_a_text_begins_anew(text, expected):
    assert pieces(text) == expected


@given(st.lists(st.sampled_from(["a", "b ", "\n", " ", "- ", "\r\n"])).map("".join))
def test_nothing_but_breaks_and_bullets_is_lost(text):
    if not text.strip():
        return
    found = pieces(text)
    assert not any("\n\n" in piece for piece in found)
    kept = "".join("".join(found).split()).replace("-", "")
    assert kept == "".join(text.split()).replace("-", "")


def test_no_nested_candidate_reaches_over_a_break():
    doc = NLP("IL-2 gene\n\nIL-4")
    mask = candidate_mask(doc, 9, in_sentences=False)
    (gap,) = [token.i for token in doc if token.is_space]
    for i in range(len(doc)):
        for width in range(9):
            if mask[i, width]:
                assert not i <= gap <= i + width
    assert mask[0, gap - 1] and mask[gap + 1, 0]
