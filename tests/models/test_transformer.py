"""The trainable encoder: the states and gradients of plain torch, nothing cut."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import spacy
from toy import toy_examples, train, transformer_pipeline

from spacy_bioner.errors import BionerError
from spacy_bioner.models.transformer import build_transformer
from spacy_bioner.pipeline.export import full_precision

TEXTS = [
    "Mutation of the BRCA1 gene in patients (n = 12).",
    "",
    " \n\t ",
    "x",
    "the acid β 👩‍🔬 中文 naïve",
]
LONG = ["of the gene " * 80, "x" * 600, "p53 " + "y" * 600 + " the end", "a\n\n\n" * 50]


@pytest.fixture(scope="module")
def nlp(tiny_encoder):
    nlp = transformer_pipeline(tiny_encoder)
    nlp.initialize(lambda: toy_examples(nlp))
    return nlp


@pytest.fixture(scope="module")
def plain(tiny_encoder):
    """The same encoder without any of us."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_encoder)
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer, AutoModel.from_pretrained(tiny_encoder).eval()


def states_of(nlp, texts) -> list[np.ndarray]:
    """What a listening component gets for each document."""
    docs = [nlp.make_doc(text) for text in texts]
    listener = nlp.get_pipe("ner").model.get_ref("tok2vec")
    return listener.predict(list(nlp.get_pipe("transformer").pipe(docs)))


def test_it_can_be_pickled(nlp):
    copied = pickle.loads(pickle.dumps(nlp))
    for one, two in zip(states_of(nlp, TEXTS), states_of(copied, TEXTS), strict=True):
        np.testing.assert_array_equal(one, two)


def test_threads_do_not_turn_dropout_on(tiny_encoder):
    config = transformer_pipeline(tiny_encoder).config.copy()
    settings = config["components"]["transformer"]["model"]["transformer_config"]
    settings["hidden_dropout_prob"] = 0.5
    nlp = spacy.blank("en").from_config(config)
    nlp.initialize(lambda: toy_examples(nlp))
    expected = states_of(nlp, TEXTS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: states_of(nlp, TEXTS), range(8)))
    for states in found:
        for one, two in zip(states, expected, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_batch_of_nothing_is_fine(nlp):
    assert [doc.text for doc in nlp.pipe(["", ""])] == ["", ""]
    assert nlp("").ents == ()


def test_half_precision_is_this_processors_not_that_of_the_training(nlp, monkeypatch):
    from spacy_bioner.models import quick, transformer

    asked = []

    def encoding(device, half, quick_ways):
        asked.append(half)
        return quick_training(device, False, quick_ways)

    quick_training = quick.encoding
    monkeypatch.setattr(quick, "encoding", encoding)
    monkeypatch.setitem(nlp.get_pipe("transformer").model.attrs, "bf16", True)
    for has_it in (True, False):  # made where it was fast, read where it is not
        monkeypatch.setattr(transformer, "has_fast_bf16", lambda has_it=has_it: has_it)
        nlp.from_bytes(nlp.to_bytes())
        nlp("a gene")
    assert asked == [True, False]
    with full_precision(nlp):
        monkeypatch.setattr(transformer, "has_fast_bf16", lambda: True)
        nlp("a gene")
    assert asked[-1] is False


def test_listeners_cannot_be_replaced_silently(nlp):
    # spacy-transformers' copy would read other windows, and no shapes.
    with pytest.raises(BionerError, match="B306"):
        nlp.replace_listeners("transformer", "ner", ["model.tok2vec"])


def plain_states(plain, doc):
    """The state of each token's first piece, or of [CLS] where it has none."""
    import torch

    tokenizer, encoder = plain
    encoded = tokenizer(doc.text, add_special_tokens=False, return_offsets_mapping=True)
    ids = [tokenizer.cls_token_id, *encoded["input_ids"], tokenizer.sep_token_id]
    offsets = [(0, 0), *encoded["offset_mapping"]]
    rows = []
    for token in doc:
        end = token.idx + len(token)
        touching = [i for i, (a, b) in enumerate(offsets) if a < end and b > token.idx]
        rows.append(touching[0] if touching else 0)
    return encoder(input_ids=torch.tensor([ids])).last_hidden_state[0][rows]


def test_states_are_those_of_plain_torch(nlp, plain):
    found = states_of(nlp, TEXTS)
    assert found[1].shape[0] == 0
    for i in (0, 2, 3, 4):
        expected = plain_states(plain, nlp.make_doc(TEXTS[i])).detach().numpy()
        np.testing.assert_allclose(found[i], expected, atol=1e-4)


def test_gradients_are_those_of_plain_torch(nlp, plain):
    model = nlp.get_pipe("transformer").model
    docs = [nlp.make_doc(text) for text in TEXTS]
    batch, backprop = model.begin_update(docs)
    model.transformer.zero_grad()
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(len(doc), 32)).astype("float32") for doc in docs]
    backprop(batch.unsplit_by_doc([[weight] for weight in weights if len(weight)]))
    encoder = plain[1]
    encoder.zero_grad()
    for doc, weight in zip(docs, weights, strict=True):
        if len(doc):
            states = plain_states(plain, doc)
            (states * states.new_tensor(weight)).sum().backward()
    ours = dict(model.transformer.named_parameters())
    theirs = {
        k: p.grad.numpy() for k, p in encoder.named_parameters() if "pool" not in k
    }
    tiny = 1e-5 * max(np.abs(grad).max() for grad in theirs.values())
    for name in theirs:
        if "token_type" not in name:  # theirs has two rows, ours one a shape
            grad = ours[name].grad.numpy()
            np.testing.assert_allclose(grad, theirs[name], 1e-3, tiny, err_msg=name)


@pytest.mark.parametrize("text", LONG)
def test_every_token_of_a_long_text_is_read(nlp, text):
    doc = nlp.make_doc(text)
    (states,) = states_of(nlp, [text])
    assert states.shape == (len(doc), 32)
    assert np.isfinite(states).all() and np.abs(states).sum(axis=1).all()
    if len(doc) > 100 and not text.isspace():  # context differs from place to place
        assert len(np.unique(states.round(4), axis=0)) > 20


def test_company_changes_nothing(nlp):
    texts = [text for text in TEXTS + LONG if text]
    together = states_of(nlp, texts)
    for text, states in zip(texts, together, strict=True):
        np.testing.assert_allclose(states_of(nlp, [text])[0], states, atol=1e-5)


def test_case_is_told_by_shapes_only_once_they_are_trained(tiny_encoder):
    nlp = transformer_pipeline(tiny_encoder)
    examples = toy_examples(nlp)
    nlp.initialize(lambda: examples)
    lower, upper = states_of(nlp, ["the gene was", "the gene WAS"])
    np.testing.assert_allclose(lower, upper, atol=1e-6)
    train(nlp, examples, 3)
    lower, upper = states_of(nlp, ["the gene was", "the gene WAS"])
    assert np.abs(lower - upper).max() > 1e-3


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"vocab_size": 50, "max_position_embeddings": 16}, "BA18.*16"),
        ({"model_type": "distilbert", "vocab_size": 50, "dim": 24}, "BA11"),
        # Two places before the first: 32 are left of 33 where one is of padding.
        (
            {"model_type": "roberta", "vocab_size": 50, "max_position_embeddings": 32}
            | {"pad_token_id": 0},
            "BA18.*31",
        ),
        ({"vocab_size": 50, "sep_token": None}, "BA21.*sep_token"),
    ],
)
def test_an_encoder_that_does_not_fit(tiny_encoder, tmp_path, settings, error):
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    settings = dict(settings)
    kind, tokenizer = settings.pop("model_type", "bert"), {}
    if "sep_token" in settings:
        tokenizer["sep_token"] = settings.pop("sep_token")
    size = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
    sized = {} if kind == "distilbert" else size
    config = AutoConfig.for_model(kind, **sized, **settings)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_encoder, **tokenizer).save_pretrained(tmp_path)
    nlp = transformer_pipeline(tmp_path)
    with pytest.raises(BionerError, match=error):
        nlp.initialize(lambda: toy_examples(nlp))


@pytest.mark.parametrize("overlap", [-1, 30, 32])
def test_windows_have_to_go_on(tiny_encoder, overlap):
    with pytest.raises(BionerError, match=f"BA17.*overlap is {overlap}"):
        build_transformer(str(tiny_encoder), window=32, overlap=overlap)


def test_settings_given_at_loading_win_over_the_saved_ones(tiny_encoder, tmp_path):
    nlp = transformer_pipeline(tiny_encoder)
    nlp.initialize(lambda: toy_examples(nlp))
    nlp.to_disk(tmp_path)
    place = "components.transformer.model"
    given = {f"{place}.window": 16, f"{place}.overlap": 2, f"{place}.chunk_pieces": 64}
    again = spacy.load(tmp_path, config=given)
    attrs = again.get_pipe("transformer").model.attrs
    assert (attrs["window"], attrs["overlap"], attrs["chunk"]) == (16, 2, 64)
    again.to_disk(tmp_path)
    attrs = spacy.load(tmp_path).get_pipe("transformer").model.attrs
    assert (attrs["window"], attrs["chunk"]) == (16, 64)


def test_a_saved_pipeline_needs_no_encoder_folder(tiny_encoder, tmp_path):
    folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    nlp = transformer_pipeline(folder)
    nlp.initialize(lambda: toy_examples(nlp))
    nlp.to_disk(tmp_path / "pipeline")
    shutil.rmtree(folder)
    again = spacy.load(tmp_path / "pipeline")
    for ours, theirs in zip(
        states_of(again, TEXTS), states_of(nlp, TEXTS), strict=True
    ):
        assert np.array_equal(ours, theirs)
