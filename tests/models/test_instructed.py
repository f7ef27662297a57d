"""The instructed tagger: who sees whom, whatever the family of the backbone, and what
is kept of it."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import spacy
import srsly
from hypothesis import given
from hypothesis import strategies as st
from thinc.api import Adam

from spacy_bioner.errors import BionerError
from spacy_bioner.models.backbone import (
    BackboneShim,
    Settings,
    attention_mask,
    check_attention,
    load_backbone,
)
from spacy_bioner.models.instructed import build_instructed_tagger, pack

pytest.importorskip("transformers", reason="needs the extra `train`")

SIZES = {"vocab_size": 200, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 64}
KEYS = {"num_key_value_heads": 1}
GPT2 = {"vocab_size": 200, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
GPT2 |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
DECODERS = {
    "llama": {**SIZES, **WIDE, **KEYS},
    "qwen2": {**SIZES, **WIDE, **KEYS},
    "mistral": {**SIZES, **WIDE, **KEYS, "sliding_window": 4},
    "gpt2": GPT2,
}
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
FAMILIES = {**DECODERS, "bert": {**SIZES, **WIDE, **STEADY}}
NLP = spacy.blank("en")
TEXTS = ["The p53 gene .", "IL2", "Patients with a mutation of BRCA1 ."]
LORA = {"r": 4, "target_modules": "all-linear"}


def config_of(family):
    return {"model_type": family, "initializer_range": 0.3, **FAMILIES[family]}


def make(tokenizer, family="llama", **settings):
    """A tagger on a tiny backbone with random weights, ready to run."""
    pieces = {"window": 64, "overlap": 4, "mixed_precision": False, "dropout": 0.0}
    source = {} if "name" in settings else {"config": config_of(family)}
    model = build_instructed_tagger(
        tokenizer=tokenizer, **{**pieces, **source, **settings}
    )
    model.initialize()
    return model


def ask(model, texts, instruction="gene"):
    """The scores of each text's words.  # (tokens, 3) each"""
    return model.predict([(NLP.make_doc(text), instruction) for text in texts])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_later_word_changes_an_earlier_words_scores(tiny_encoder, family):
    model = make(tiny_encoder, family)
    one, other = ask(model, ["The gene was a", "The gene was x"])
    assert one.shape == (4, 3)
    assert (np.abs(one[0] - other[0]) > 1e-4).any()


@pytest.mark.parametrize("family", DECODERS)
def test_a_causal_decoder_does_not_look_ahead(tiny_encoder, family):
    model = make(tiny_encoder, family, causal=True)
    one, other = ask(model, ["The gene was a", "The gene was x"])
    np.testing.assert_allclose(one[:3], other[:3], atol=1e-5)
    assert (np.abs(one[3] - other[3]) > 1e-4).any()
    looking = make(tiny_encoder, family)
    looking.shims[0].from_bytes(model.shims[0].to_bytes())  # the same weights
    (both,) = ask(looking, ["The gene was a"])
    assert (np.abs(both[0] - one[0]) > 1e-4).any()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing(tiny_encoder, family, causal):
    if causal and family == "bert":
        pytest.skip("an encoder has no causal mask")
    model = make(tiny_encoder, family, causal=causal)
    together = ask(model, TEXTS)  # one padded batch
    model.shims[0].reading.pad = 7  # another filling
    for text, other in zip(TEXTS, ask(model, TEXTS), strict=True):
        np.testing.assert_allclose(ask(model, [text])[0], other, atol=1e-4)
    for scores, other in zip(together, ask(model, TEXTS), strict=True):
        np.testing.assert_array_equal(scores, other)


def test_the_instruction_changes_the_scores(tiny_encoder):
    model = make(tiny_encoder)
    (gene,), (disease,) = (
        ask(model, TEXTS[:1], f"Any {name}?") for name in ("gene", "cold")
    )
    assert np.abs(gene - disease).max() > 1e-3


def test_scores_are_those_of_the_plain_backbone(tiny_encoder):
    """Framed as BERT knows it, and each word read at its first piece."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model = make(tiny_encoder, name=tiny_encoder, window=32)
    text = "the gene of patients"  # words of one piece
    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    framed = f"[CLS] gene [SEP] {text} [SEP]"
    ids = tokenizer.encode(framed, add_special_tokens=False, truncation=False)
    plain = AutoModel.from_pretrained(tiny_encoder).eval()
    states = plain(input_ids=torch.tensor([ids])).last_hidden_state[0, -5:-1]
    expected = model.shims[0]._model["head"](states).detach().numpy()
    (found,) = ask(model, [text])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_backbone_deaf_to_its_mask_is_refused(tiny_encoder):
    """GPT-2's plain attention keeps a causal mask of its own."""
    with pytest.raises(BionerError, match="BA12"):
        make(tiny_encoder, "gpt2", loading={"attn_implementation": "eager"})
    bloom = {"model_type": "bloom", "vocab_size": 200, "hidden_size": 16, "n_head": 2}
    unfit = build_instructed_tagger(config=bloom, tokenizer=tiny_encoder)
    with pytest.raises(BionerError, match="BA12.*bloom"):  # cannot read such a mask
        unfit.initialize()
    loading = {"attn_implementation": "eager"}
    for family in ("llama", "qwen2", "mistral"):
        assert make(tiny_encoder, family, loading=loading).shims[0].reading
    assert make(tiny_encoder, "gpt2", causal=True, loading=loading).shims[0].reading


def test_the_check_leaves_the_mode_as_it_was():
    backbone = load_backbone(Settings(config=config_of("llama"), tokenizer="-"))
    backbone.train()
    check_attention(backbone, causal=False)
    assert backbone.training


def test_masks_by_hand():
    import torch

    backbone = load_backbone(Settings(config=config_of("llama"), tokenizer="-"))
    real = torch.tensor([[True, True, False]])
    full = attention_mask(real, backbone, causal=False)[0, 0]
    assert (full == 0).tolist() == [[True, True, False]] * 3
    causal = attention_mask(real, backbone, causal=True)[0, 0]
    assert (causal == 0).tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, False],
    ]


# Windows


@given(
    words=st.lists(st.sampled_from(["gene", "p53", "\n", "of", "中"]), max_size=60),
    window=st.integers(20, 60),
    overlap=st.integers(0, 3),
)
def test_every_word_is_read_once_after_the_instruction(reading, words, window, overlap):
    doc = NLP.make_doc(" ".join(words))
    parts = list(pack(reading, (doc, "Any gene?"), 100, window, overlap))
    places = [p for part in parts for p in part.words.tolist()]
    assert sorted(places) == list(range(100, 100 + len(doc)))
    asked = reading.tokenizer.encode("Any gene?", add_special_tokens=False).ids
    head = [*reading.before, *asked, *reading.between]
    for part in parts:
        assert len(part) <= window
        assert part.ids[: len(head)].tolist() == head
        assert part.ids[-1] == reading.after[-1]
        assert not part.shapes[: len(head)].any() and not part.shapes[-1]
        assert ((part.rows >= len(head) - 1) & (part.rows < len(part) - 1)).all()
        for row, place in zip(part.rows, part.words, strict=True):
            word = doc[int(place) - 100].text
            if row >= len(head) and word != "中":
                piece = reading.tokenizer.id_to_token(int(part.ids[row]))
                assert word.startswith(piece)


@pytest.fixture(scope="module")
def reading(tiny_encoder):
    shim = BackboneShim(Settings(config=config_of("bert"), tokenizer=str(tiny_encoder)))
    shim.load()
    return shim.reading


def test_a_window_reads_its_words_as_a_text_of_its_own(tiny_encoder):
    """With neither overlap nor anything else of its neighbours."""
    model = make(tiny_encoder, window=40, overlap=0)
    text = "of the gene the of " * 12
    (whole,) = ask(model, [text])
    doc = NLP.make_doc(text)
    parts = list(pack(model.shims[0].reading, (doc, "gene"), 0, 40, 0))
    assert len(parts) > 1
    for part in parts:
        alone = doc[int(part.words[0]) : int(part.words[-1]) + 1].text
        (scores,) = ask(model, [alone])
        np.testing.assert_allclose(whole[part.words], scores, atol=1e-4)


def test_chunks_change_nothing(tiny_encoder):
    model = make(tiny_encoder)
    before = ask(model, TEXTS)
    model.attrs["chunk"] = 60
    for one, other in zip(before, ask(model, TEXTS), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_words_without_pieces_and_nothing_at_all(tiny_encoder):
    model = make(tiny_encoder)
    empty, spaces, filled = ask(model, ["", " \n\t ", "gene"])
    assert empty.shape == (0, 3) and spaces.shape == (1, 3) and filled.shape == (1, 3)
    assert np.isfinite(spaces).all()
    assert model.predict([]) == []
    assert [len(x) for x in ask(model, ["", ""])] == [0, 0]


def test_an_instruction_that_fills_the_window_is_refused(tiny_encoder):
    with pytest.raises(BionerError, match="BA14"):
        ask(make(tiny_encoder), TEXTS, "gene " * 60)


# Training


def step(model, texts, gradient):
    """One backward pass. RETURNS: What the model gave."""
    docs = [(NLP.make_doc(text), "gene") for text in texts]
    Y, backprop = model.begin_update(docs)
    backprop([np.full_like(y, gradient) for y in Y])
    return Y


def gradients(model):
    named = model.shims[0]._model.named_parameters()
    return {k: p.grad.clone() for k, p in named if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_add_up_over_a_batch(tiny_encoder, family):
    model = make(tiny_encoder, family)
    step(model, TEXTS, 0.1)
    together = gradients(model)
    other = make(tiny_encoder, family)
    other.shims[0].from_bytes(model.shims[0].to_bytes())
    for text in TEXTS:
        step(other, [text], 0.1)
    alone = gradients(other)
    assert together.keys() == alone.keys()
    for name, value in together.items():
        np.testing.assert_allclose(value, alone[name], atol=2e-3, rtol=1e-2)


def test_checkpointing_changes_no_gradient(tiny_encoder):
    model = make(tiny_encoder)
    other = make(tiny_encoder, gradient_checkpointing=True)
    other.shims[0].from_bytes(model.shims[0].to_bytes())
    for each in (model, other):
        step(each, TEXTS, 0.1)
    assert other.shims[0].backbone.is_gradient_checkpointing
    for one, two in zip(
        gradients(model).values(), gradients(other).values(), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_dropout_is_training_only(tiny_encoder):
    model = make(tiny_encoder, dropout=0.5)
    one, two = ask(model, TEXTS[:1]), ask(model, TEXTS[:1])
    np.testing.assert_array_equal(one[0], two[0])
    three, four = step(model, TEXTS[:1], 0.0), step(model, TEXTS[:1], 0.0)
    assert (three[0] != four[0]).any()


def test_half_precision_is_close(tiny_encoder):
    model = make(tiny_encoder)
    half = make(tiny_encoder, mixed_precision=True)
    half.shims[0].from_bytes(model.shims[0].to_bytes())
    for one, two in zip(ask(model, TEXTS), ask(half, TEXTS), strict=True):
        np.testing.assert_allclose(one, two, atol=0.3)


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_trains_adapters_and_head_alone(tiny_encoder, family):
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    model = make(tiny_encoder, family, lora=LORA)
    shim = model.shims[0]
    before = {k: v.clone() for k, v in shim._model.state_dict().items()}
    for _ in range(2):  # the second matrix of an adapter begins at zero
        step(model, TEXTS, 0.1)
        model.finish_update(Adam(0.01))
    moved = {k for k, v in shim._model.state_dict().items() if (v != before[k]).any()}
    assert {k for k in moved if k.startswith("head")}
    assert all(k.startswith("head") or "lora_" in k for k in moved)
    assert {k for k in moved if "lora_A" in k} and {k for k in moved if "lora_B" in k}


def test_adapters_on_half_precision_weights_are_single(tiny_encoder):
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    import torch

    half = {"torch_dtype": "bfloat16"}
    model = make(tiny_encoder, lora=LORA, loading=half, gradient_checkpointing=True)
    trained = {p.dtype for p in model.shims[0]._model.parameters() if p.requires_grad}
    frozen = {
        p.dtype for p in model.shims[0]._model.parameters() if not p.requires_grad
    }
    assert trained == {torch.float32} and frozen == {torch.bfloat16}
    before = ask(model, TEXTS)[0]
    step(model, TEXTS, 0.1)
    model.finish_update(Adam(0.01))
    assert (ask(model, TEXTS)[0] != before).any()


@pytest.mark.parametrize("hidden", [0, 64])
def test_the_head_begins_as_wide_as_those_of_gerbera_ner(tiny_encoder, hidden):
    """torch's own start is narrower: in few steps the head learns less."""
    head = make(tiny_encoder, hidden=hidden).shims[0]._model["head"]
    for layer in head[::2]:
        outputs, inputs = layer.weight.shape
        limit = (6 / (inputs + outputs)) ** 0.5
        assert 0.8 * limit < float(layer.weight.detach().abs().max()) <= limit
        assert not layer.bias.detach().any()


def test_word_shapes_reach_a_bert(tiny_encoder):
    model = make(tiny_encoder, name=tiny_encoder, word_shapes=True, window=32)
    shapes = model.shims[0].backbone.embeddings.token_type_embeddings.weight
    shapes.data.normal_()
    lower, upper = ask(model, ["the gene was", "the GENE was"], "of")
    assert np.abs(lower - upper).max() > 1e-3
    with pytest.raises(BionerError, match="BA11"):
        make(tiny_encoder, word_shapes=True)


# Saving


def sizes(model):
    return len(model.shims[0].to_bytes())


@pytest.mark.parametrize("family", FAMILIES)
def test_bytes_and_pickles_give_the_same_scores(tiny_encoder, family):
    model = make(tiny_encoder, family, hidden=8)
    before = ask(model, TEXTS)
    blank = build_instructed_tagger(
        tokenizer="-",
        config=config_of(family),
        hidden=8,
        window=64,
        overlap=4,
        mixed_precision=False,
    )
    for other in (
        blank.from_bytes(model.to_bytes()),
        pickle.loads(pickle.dumps(model)),
    ):
        for one, two in zip(before, ask(other, TEXTS), strict=True):
            np.testing.assert_array_equal(one, two)


def test_only_what_was_trained_is_saved_when_asked(tiny_encoder):
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    settings = {"name": tiny_encoder, "lora": LORA, "window": 32}
    model = make(tiny_encoder, **settings, save="trained")
    step(model, TEXTS, 0.1)
    model.finish_update(Adam(0.01))
    before = ask(model, TEXTS)
    other = build_instructed_tagger(
        **settings, save="trained", overlap=4, mixed_precision=False
    ).from_bytes(model.to_bytes())
    for one, two in zip(before, ask(other, TEXTS), strict=True):
        np.testing.assert_array_equal(one, two)
    assert sizes(model) < 0.7 * sizes(make(tiny_encoder, **settings))
    # a pickle holds all: the folder may be gone where it is read
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(ask(copy, TEXTS)[0], before[0])


def test_what_is_saved_where_the_backbone_is():
    hub = Settings("somebody/some-model")
    assert hub.saves_all(from_hub=True)  # all of it was trained
    assert Settings(config={"model_type": "gpt2"}, tokenizer="-").saves_all(False)
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    assert not replace(hub, lora=LORA).saves_all(from_hub=True)
    assert replace(hub, lora=LORA, save="all").saves_all(from_hub=True)
    assert replace(hub, lora=LORA).saves_all(from_hub=False)
    assert not replace(hub, lora=LORA, save="trained").saves_all(from_hub=False)


def test_a_file_that_does_not_say_where_the_backbone_is(tiny_encoder):
    """As they were written before."""
    model = make(tiny_encoder)
    saved = srsly.msgpack_loads(model.shims[0].to_bytes())
    del saved["from_hub"]
    again = make(tiny_encoder).shims[0].from_bytes(srsly.msgpack_dumps(saved))
    assert not again.from_hub


def test_weights_of_other_settings_are_refused(tiny_encoder):
    small, large = make(tiny_encoder), make(tiny_encoder, hidden=8)
    with pytest.raises(BionerError, match="BA13"):
        large.shims[0].from_bytes(small.shims[0].to_bytes())


@pytest.mark.parametrize(
    ("code", "settings"),
    [
        ("BA03", {}),
        ("BA03", {"name": "a", "config": {"model_type": "gpt2"}}),
        ("BA04", {"config": {"model_type": "gpt2"}}),
        ("BA05", {"name": "a", "save": "some"}),
        ("BA06", {"config": {"a": 1}, "tokenizer": "a", "save": "trained"}),
    ],
)
def test_settings_that_cannot_work(code, settings):
    with pytest.raises(BionerError, match=code):
        build_instructed_tagger(**settings)


def test_backbones_that_cannot_work(tiny_encoder, tmp_path):
    with pytest.raises(BionerError, match="BA07"):
        build_instructed_tagger(tmp_path / "nowhere").initialize()
    with pytest.raises(BionerError, match="BA10"):
        make(tiny_encoder, "bert", causal=True)
    t5 = {"model_type": "t5", "vocab_size": 200, "d_model": 16, "num_layers": 1}
    with pytest.raises(BionerError, match="BA09"):
        build_instructed_tagger(config=t5, tokenizer=tiny_encoder).initialize()
    with pytest.raises(BionerError, match="BA18"):
        make(tiny_encoder, name=tiny_encoder, window=64)
    with pytest.raises(BionerError, match="BA15"):
        ask(build_instructed_tagger(tiny_encoder), TEXTS)
