"""Several heads' spans, and whose they are."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from spacy.tokens import Doc

from spacy_bioner.layers.agreement import Words
from spacy_bioner.layers.head_spans import HeadDecoder

VOCAB = spacy.blank("en").vocab
HEADS = {"genes": ["GENE"], "both": ["GENE", "DRUG"], "drugs": ["DRUG"]}
OWNERS = {"GENE": ["genes", "both"], "DRUG": ["drugs"]}


def decoder(consistent: bool = False, owners=OWNERS) -> HeadDecoder:
    return HeadDecoder(HEADS, owners, dict.fromkeys(HEADS, 1.5), consistent)


@st.composite
def documents(draw):
    """Words and white space, tag scores of each head, and a task or none."""
    words = draw(st.lists(st.sampled_from(["a", "b", "c", " "]), max_size=6))
    task = draw(st.sampled_from([None, "genes", "both"]))
    scores = st.floats(-4, 4, width=32)
    logits = {
        head: draw(
            arrays("float32", (len(words), 1 + 2 * len(HEADS[head])), elements=scores)
        )
        for head in (HEADS if task is None else [task])
    }
    return Words(Doc(VOCAB, words=words)), logits, task


def run(decoder, documents):
    words, logits, tasks = zip(*documents, strict=True)
    return decoder.decode(logits, words, tasks)


@given(st.lists(documents(), min_size=1, max_size=4), st.booleans())
def test_documents_do_not_see_each_other(batch, consistent):
    together = run(decoder(consistent), batch)
    for i, document in enumerate(batch):
        alone = run(decoder(consistent), [document])
        for one, many in zip(alone, together, strict=True):
            assert flat(one[0]) == [
                (*place, pytest.approx(score, abs=1e-5))
                for *place, score in flat(many[i])
            ]


def flat(found) -> list[tuple]:
    """Spans by head, or spans, as one list."""
    by_head = found if isinstance(found, dict) else {"": found}
    return [(head, *span) for head, spans in by_head.items() for span in spans]


def tagged(label: str, head: str, height: float = 5.0):
    """One word that a head is sure is an entity, another that it is sure is none."""
    logits = np.zeros((2, 1 + 2 * len(HEADS[head])), "float32")
    logits[0, 1 + 2 * HEADS[head].index(label)] = height
    logits[1, 0] = height
    return logits


def test_owners_decide():
    words = Words(Doc(VOCAB, words=["a", "b"]))
    nothing = {
        head: np.zeros((2, 1 + 2 * len(HEADS[head])), "float32") for head in HEADS
    }
    for logits in nothing.values():
        logits[:, 0] = 5.0
    drug = nothing | {"both": tagged("DRUG", "both")}
    gene = {
        "genes": tagged("GENE", "genes"),
        "both": tagged("GENE", "both"),
        "drugs": nothing["drugs"],
    }
    by_head, owned = run(decoder(), [(words, drug, None), (words, gene, None)])
    assert [s[:3] for s in by_head[0]["both"]] == [(0, 1, "DRUG")]
    assert owned[0] == []  # not the owner
    assert [s[:3] for s in by_head[1]["genes+both"]] == [(0, 1, "GENE")]
    assert owned[1] == by_head[1]["genes+both"]
    # A document of a task: its head alone, all its labels.
    (found,), (own,) = run(decoder(), [(words, {"both": drug["both"]}, "both")])
    assert list(found) == ["both"] and own == found["both"] != []
