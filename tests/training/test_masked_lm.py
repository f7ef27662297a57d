"""Continued masked-language training: what is hidden, and that it teaches."""

from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.errors import BionerError
from spacy_bioner.shapes import N_SHAPES
from spacy_bioner.training import masked_lm
from spacy_bioner.training.masked_lm import (
    Window,
    cut_windows,
    make_batches,
    mask_words,
)

TEXTS = [
    "Mutation of the BRCA1 gene in patients with renal cancer.",
    "The acid was given to patients of the renal ward (n = 12).",
    "The gene of the cancer",
    "x",
    "",
    "the mutation " * 30,
    "G" * 150,
]
MASK = 4


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_encoder, use_fast=True)


def test_windows_cover_every_piece_once(tokenizer):
    windows = list(cut_windows(tokenizer, TEXTS, 16))
    for window in windows:
        assert window.ids.shape == window.shapes.shape == window.words.shape
        assert 2 < len(window.ids) <= 16
        special = [tokenizer.cls_token_id, tokenizer.sep_token_id]
        assert window.ids[[0, -1]].tolist() == special
        assert window.words[[0, -1]].tolist() == [-1, -1]
        assert window.shapes[[0, -1]].tolist() == [0, 0]
        assert (window.words[1:-1] >= 0).all() and (window.shapes[1:-1] > 0).all()
    found = np.concatenate([window.ids[1:-1] for window in windows]).tolist()
    for text in TEXTS:
        pieces = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(pieces) >= 4:  # less says nothing
            assert found[: len(pieces)] == pieces
            del found[: len(pieces)]
    assert not found


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 9))
def test_whole_words_are_asked_and_nothing_else_changes(words, seed):
    words = np.array([-1, *sorted(words), -1])
    window = Window(np.arange(len(words)) + 10, np.zeros_like(words), words)
    ids, labels = mask_words(window, 0.3, MASK, 200, np.random.default_rng(seed))
    asked = labels != -100
    hidden = set(words[asked].tolist())
    n_words = len(set(words[words >= 0].tolist()))
    assert len(hidden) == max(1, round(0.3 * n_words)) and -1 not in hidden
    assert np.array_equal(asked, np.isin(words, list(hidden)))
    assert np.array_equal(labels[asked], window.ids[asked])
    assert np.array_equal(ids[~asked], window.ids[~asked])


def test_eight_of_ten_hidden_pieces_are_masks():
    words = np.arange(5000)
    window = Window(words + 300, words * 0, words)
    ids, labels = mask_words(window, 1.0, MASK, 300, np.random.default_rng(0))
    shares = (ids == MASK).mean(), (ids == window.ids).mean()
    assert shares == pytest.approx((0.8, 0.1), abs=0.02)


@given(st.lists(st.integers(3, 60), max_size=40), st.integers(60, 300))
def test_batches_hold_every_window_once_within_the_budget(lengths, budget):
    windows = [Window(np.zeros(n), np.zeros(n), np.zeros(n)) for n in lengths]
    batches = make_batches(windows, budget, np.random.default_rng(0))
    found = [id(window) for batch in batches for window in batch]
    assert sorted(found) == sorted(id(window) for window in windows)
    for batch in batches:
        assert len(batch) * max(len(window.ids) for window in batch) <= budget


def test_some_steps_lower_the_loss_and_the_encoder_can_be_read(
    tiny_encoder, tmp_path, monkeypatch
):
    from transformers import AutoModel, AutoTokenizer

    clock = count()  # a second a look, so that the run has 60 steps on any machine
    monkeypatch.setattr(masked_lm, "time", SimpleNamespace(time=lambda: next(clock)))
    losses, lines = [], []
    loss_of = masked_lm._masked_loss

    def recorded(*args):
        loss = loss_of(*args)
        losses.append(loss.item())
        return loss

    monkeypatch.setattr(masked_lm, "_masked_loss", recorded)
    masked_lm.pretrain(
        TEXTS,
        str(tiny_encoder),
        tmp_path / "out",
        minutes=1.0,
        learn_rate=3e-3,
        window=24,
        batch_pieces=400,
        log=lines.append,
    )
    assert 55 <= len(losses) <= 61
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert "word pieces" in lines[0] and "perplexity" in lines[1]
    encoder = AutoModel.from_pretrained(tmp_path / "out")
    types = encoder.embeddings.token_type_embeddings.weight.detach().numpy()
    assert types.shape[0] == encoder.config.type_vocab_size == N_SHAPES
    assert len(np.unique(types, axis=0)) > 1  # the shapes have learnt something
    vocabularies = [
        AutoTokenizer.from_pretrained(folder).get_vocab()
        for folder in (tiny_encoder, tmp_path / "out")
    ]
    assert vocabularies[0] == vocabularies[1]


def test_texts_that_are_too_short(tiny_encoder, tmp_path):
    with pytest.raises(BionerError, match="B406.*2 texts"):
        masked_lm.pretrain(["a", ""], str(tiny_encoder), tmp_path / "out", window=16)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"window": 2}, "BA17.*window is 2"),
        ({"window": 4096}, "BA18.*4096"),
        ({"minutes": 0}, "BA17.*minutes is 0"),
        ({"encoder": "no/folder/of/mine"}, "BA07.*no/folder"),
    ],
)
def test_settings_out_of_range(tiny_encoder, tmp_path, settings, error, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    given = {"encoder": str(tiny_encoder), **settings}
    with pytest.raises(BionerError, match=error):
        masked_lm.pretrain(["One text of words."], output=tmp_path / "out", **given)


def test_other_encoders_than_berts_are_refused(tiny_encoder, tmp_path):
    from transformers import AutoTokenizer, RobertaConfig, RobertaForMaskedLM

    folder = tmp_path / "roberta"
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}
    config = RobertaConfig(len(tokenizer), num_hidden_layers=1, **sizes)
    RobertaForMaskedLM(config).save_pretrained(folder)
    with pytest.raises(BionerError, match="BA19.*roberta"):
        masked_lm.pretrain(["One text of words."], str(folder), tmp_path / "out")
