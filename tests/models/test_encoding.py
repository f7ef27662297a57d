"""Word pieces of a document: nothing depends on how the text is read."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from spacy_bioner.models import encoding
from spacy_bioner.models.encoding import encode, encode_all, uncut

NLP = spacy.blank("en")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Every character of ASCII is a piece, and begins or goes on in a word."""
    characters = [chr(code) for code in range(33, 127)]
    pieces = ["[UNK]", "ab", *characters, *(f"##{c}" for c in characters)]
    vocab = {piece: i for i, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.enable_truncation(4)
    made.enable_padding(length=64)
    return uncut(made)


@given(
    st.text(alphabet="aB1 \n-é中", max_size=60), st.integers(1, 20), st.integers(6, 12)
)
def test_a_text_in_stretches_has_the_same_pieces(tokenizer, text, stretch, window):
    doc = NLP.make_doc(text)
    whole = encode(tokenizer, doc, window, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "STRETCH", stretch)
        parts = encode(tokenizer, doc, window, 2)
    np.testing.assert_array_equal(parts.ids, whole.ids)
    np.testing.assert_array_equal(parts.shapes, whole.shapes)
    assert len(parts.windows) == len(whole.windows)
    for a, b in zip(parts.windows, whole.windows, strict=True):
        assert (a.start, a.stop) == (b.start, b.stop)
        np.testing.assert_array_equal(a.tokens, b.tokens)
        np.testing.assert_array_equal(a.rows, b.rows)


def test_nothing_is_cut_off_or_padded(tokenizer):
    doc = NLP.make_doc("abcd " * 50)
    encoded = encode(tokenizer, doc, 20, 4)
    assert len(encoded.ids) == 50 * 3  # ab ##c ##d
    read = np.concatenate([window.tokens for window in encoded.windows])
    assert sorted(read) == list(range(len(doc)))


@given(st.lists(st.text(alphabet="aB1 \n-é中", max_size=20)), st.integers(1, 30))
def test_documents_read_together_have_the_pieces_they_have_alone(
    tokenizer, texts, together
):
    docs = [NLP.make_doc(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "TOGETHER", together)
        patch.setattr(encoding, "STRETCH", 7)
        found = list(encode_all(tokenizer, docs, 12, 2))
    assert len(found) == len(docs)
    for doc, pieces in zip(docs, found, strict=True):
        alone = encode(tokenizer, doc, 12, 2)
        np.testing.assert_array_equal(pieces.ids, alone.ids)
        np.testing.assert_array_equal(pieces.shapes, alone.shapes)
        assert [w.rows.tolist() for w in pieces.windows] == [
            w.rows.tolist() for w in alone.windows
        ]
