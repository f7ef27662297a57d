"""The component: it finds what it is told to, of any type, and comes back from disk."""

import pickle

import numpy as np
import pytest
import spacy
from spacy.pipeline import EntityRuler
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy import SENTENCES, annotate

from spacy_bioner.confidence import score_of
from spacy_bioner.errors import BionerError
from spacy_bioner.instruction import get_types, set_types
from spacy_bioner.task import set_task

pytest.importorskip("transformers", reason="needs the extra `train`")

TYPES = ["DISEASE", "GENE"]
ASK = {"template": "{type} {corpus} ?", "plain_template": "{type} ?"}
BOTH = "BRCA1 is mutated in breast cancer and ovarian cancer ."
TEXTS = [
    BOTH,
    "Asthma and IL2 .",
    "",
    "p53",
    " \n\t ",
    "中文 👩‍🔬 x",
    "No gene . " * 30,
]


def pipeline(encoder, model=None, **settings):
    """A component on a tiny encoder."""
    nlp = spacy.blank("en")
    pieces = {"window": 32, "overlap": 4, "mixed_precision": False, "dropout": 0.0}
    calm = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    source = {"name": str(encoder), "loading": calm}
    config = {"model": {**source, **pieces, **(model or {})}, **ASK, **settings}
    nlp.add_pipe("instruct_ner", name="ner", config=config)
    return nlp


def toy_examples(nlp, types=TYPES) -> list[Example]:
    """Every sentence, asked for each type on its own."""
    examples = []
    for sentence in SENTENCES:
        for label in types:
            reference = annotate(nlp, sentence)
            examples.append(Example(nlp.make_doc(reference.text), reference))
            set_types(examples[-1].predicted, [label])
    return examples


def train(nlp, examples, steps, rate=0.005):
    """RETURNS (list[float]): The loss at each step."""
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = rate
    losses = []
    for _ in range(steps):
        losses.append(nlp.update(examples, sgd=optimizer, drop=0.0)["ner"])
    return losses


@pytest.fixture(scope="module")
def trained(tiny_encoder):
    nlp = pipeline(tiny_encoder, model={"word_shapes": True})
    losses = train(nlp, toy_examples(nlp), 50)
    assert losses[-1] < 0.1 * losses[0]
    return nlp


@pytest.fixture
def untrained(tiny_encoder):
    nlp = pipeline(tiny_encoder)
    nlp.initialize(lambda: toy_examples(nlp))
    return nlp


def spans(doc, key="instruct"):
    return [(span.text, span.label_) for span in doc.spans[key]]


def outputs(nlp, texts=TEXTS):
    """Everything that the component writes, in comparable form."""
    docs = list(nlp.pipe(texts))
    scores = [doc.spans["instruct"].attrs["scores"] for doc in docs]
    found = [(spans(d), [(e.text, e.label_) for e in d.ents]) for d in docs]
    return found, np.concatenate(scores)


def weights(nlp):
    state = nlp.get_pipe("ner").model.shims[0]._model.state_dict()
    return {name: value.clone() for name, value in state.items()}


# Finding


def test_it_learns_what_it_is_asked_for(trained):
    doc = trained("Patients with severe asthma lack IL2 .")
    both = [("severe asthma", "DISEASE"), ("IL2", "GENE")]
    assert spans(doc) == both
    assert [(ent.text, ent.label_) for ent in doc.ents] == both
    scores = doc.spans["instruct"].attrs["scores"]
    assert scores.dtype == np.float32 and ((scores > 0.5) & (scores <= 1)).all()
    figures = trained.evaluate(toy_examples(trained))
    assert figures["instruct_f"] == figures["instruct_micro_f"] == 1.0
    assert set(figures["instruct_per_type"]) == set(TYPES)


def test_types_of_the_component_and_of_a_document(trained):
    pipe, text = trained.get_pipe("ner"), "Mice without TNF or IL2 had asthma ."
    assert pipe.labels == ("DISEASE", "GENE")  # found in the data
    doc = trained.make_doc(text)
    set_types(doc, ["GENE"])
    assert {label for _, label in spans(trained(doc))} == {"GENE"}
    doc = trained.make_doc(text)
    set_types(doc, [])
    assert spans(trained(doc)) == []
    before = pipe.types
    try:
        pipe.types = ["DISEASE"]
        assert {label for _, label in spans(trained(text))} <= {"DISEASE"}
        assert pipe.add_label("GENE") == 1 and pipe.add_label("GENE") == 0
        assert pipe.labels == ("DISEASE", "GENE")
    finally:
        pipe.types = before


def test_a_type_that_training_never_saw(untrained):
    """Untrained it finds something everywhere."""
    doc = untrained.make_doc("The virus was found in the lung of a mouse .")
    set_types(doc, ["virus", "BODY PART", "細胞"])
    found = spans(untrained(doc))
    assert found and {label for _, label in found} <= {"virus", "BODY PART", "細胞"}


def test_documents_of_one_batch_may_ask_for_different_things(trained):
    docs = [trained.make_doc(BOTH) for _ in range(4)]
    asked = [["GENE"], ["DISEASE", "GENE"], [], ["DISEASE"]]
    for doc, types in zip(docs, asked, strict=True):
        set_types(doc, types)
    for doc, types in zip(trained.pipe(docs, batch_size=3), asked, strict=True):
        assert {label for _, label in spans(doc)} == set(types)
        assert get_types(doc) == types


def test_batches_change_nothing(trained):
    together, scores = outputs(trained)
    alone = [outputs(trained, [text]) for text in TEXTS]
    assert together == [found for ((found,), _) in alone]
    np.testing.assert_allclose(scores, np.concatenate([s for _, s in alone]), atol=1e-4)


def test_the_corpus_is_named_where_it_is_known(untrained):
    texts = [untrained.make_doc("p53") for _ in range(2)]
    set_task(texts[1], "genes")
    one, two = untrained.get_pipe("ner").predict(texts)
    assert one.keys() == two.keys() == set(TYPES)
    assert np.abs(one["GENE"] - two["GENE"]).max() > 1e-4


def test_overlapping_types_stay_in_the_group(untrained):
    """Each type is read on its own; `doc.ents` has the likelier."""
    pipe, doc = untrained.get_pipe("ner"), untrained.make_doc("a b c")
    inside = np.log(np.array([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]))
    single = np.log(np.array([[0.05, 0.9, 0.05], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05]]))
    pipe.set_annotations([doc], [{"LONG": inside, "SHORT": single}])
    assert spans(doc) == [("a b", "LONG"), ("a", "SHORT")]
    np.testing.assert_allclose(
        doc.spans["instruct"].attrs["scores"], [0.8, 0.9], atol=1e-6
    )
    assert [(ent.text, ent.label_) for ent in doc.ents] == [("a", "SHORT")]


def test_white_space_neither_cuts_nor_bounds_an_entity(untrained):
    pipe, doc = untrained.get_pipe("ner"), Doc(untrained.vocab, ["a", "\n", "b", "\n"])
    tags = np.array([[0, 5, 0], [5, 0, 0], [0, 0, 5], [0, 5, 0]], dtype="float32")
    pipe.set_annotations([doc], [{"X": tags}])
    assert [(span.start, span.end) for span in doc.spans["instruct"]] == [(0, 3)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("replace", [("Asthma", "DISEASE"), ("psoriasis", "DISEASE")]),
        ("keep", [("Asthma and", "OTHER"), ("psoriasis", "DISEASE")]),
        ("prefer", [("Asthma", "DISEASE"), ("psoriasis", "DISEASE")]),
        ("none", [("Asthma and", "OTHER")]),
    ],
)
def test_entities_that_are_there(trained, policy, expected):
    nlp = pickle.loads(pickle.dumps(trained))
    ruler: EntityRuler = nlp.add_pipe("entity_ruler", first=True)
    ruler.add_patterns([{"label": "OTHER", "pattern": "Asthma and"}])
    pipe = nlp.get_pipe("ner")
    pipe.cfg["ents_policy"] = policy
    pipe.types = ["DISEASE"]
    doc = nlp("Asthma and psoriasis respond to steroids .")
    assert [(ent.text, ent.label_) for ent in doc.ents] == expected
    assert ("Asthma", "DISEASE") in spans(doc)
    assert (score_of(doc.ents[-1]) is None) == (policy == "none")


def test_nothing_to_read(untrained):
    docs = list(untrained.pipe(["", ""]))
    assert all(spans(doc) == [] and doc.ents == () for doc in docs)
    assert list(untrained.pipe([])) == []


# Learning


def test_absent_annotation_teaches_nothing(tiny_encoder):
    nlp = pipeline(tiny_encoder, types=TYPES)
    doc = nlp.make_doc("The p53 gene .")
    optimizer = nlp.initialize(lambda: toy_examples(nlp))
    nlp.update(toy_examples(nlp), sgd=optimizer)  # now there is momentum
    before = weights(nlp)
    losses = nlp.update([Example(doc, nlp.make_doc(doc.text))], sgd=optimizer)
    assert losses["ner"] == 0
    assert all((value == before[name]).all() for name, value in weights(nlp).items())


def test_what_is_partly_annotated_is_partly_learnt(untrained):
    reference = untrained.make_doc("The p53 gene is here .")
    reference.set_ents([Span(reference, 1, 2, "GENE")], default="missing")
    example = Example(untrained.make_doc(reference.text), reference)
    pipe = untrained.get_pipe("ner")
    scores = pipe.predict([example.x])
    loss, ((gradient),) = pipe.get_loss([example], scores)
    assert loss > 0
    assert np.abs(gradient["GENE"]).sum(axis=1).astype(bool).tolist() == [
        token.i == 1 for token in reference
    ]
    # of a type that is not there only that token is known
    assert np.abs(gradient["DISEASE"])[1].any()


def test_entities_inside_a_token_are_left_open(untrained):
    reference = Doc(untrained.vocab, ["anti-", "TNF", "drug"], [False, True, False])
    reference.set_ents([Span(reference, 1, 2, "GENE")])
    predicted = Doc(untrained.vocab, ["anti-TNF", "drug"])
    pipe, example = untrained.get_pipe("ner"), Example(predicted, reference)
    _, ((gradient),) = pipe.get_loss([example], pipe.predict([predicted]))
    assert not gradient["GENE"][0].any() and gradient["GENE"][1].any()
    assert gradient["DISEASE"][0].any()  # certainly none


def test_the_gradient_is_that_of_the_loss(untrained):
    examples = toy_examples(untrained)[:2]
    pipe = untrained.get_pipe("ner")
    scores = pipe.predict([example.x for example in examples])
    loss, gradients = pipe.get_loss(examples, scores)
    ((label, logits),) = scores[0].items()
    moved = logits.copy()
    moved[1, 2] += 1e-2
    higher, _ = pipe.get_loss(examples, [{label: moved}, scores[1]])
    assert (higher - loss) / 1e-2 == pytest.approx(gradients[0][label][1, 2], abs=1e-3)


def test_types_from_settings_labels_and_data(tiny_encoder):
    nlp = pipeline(tiny_encoder, types=["virus"])
    nlp.initialize(lambda: toy_examples(nlp))
    assert nlp.get_pipe("ner").types == ["virus"]
    nlp.get_pipe("ner").initialize(lambda: toy_examples(nlp), labels=["A", "B"])
    assert nlp.get_pipe("ner").label_data == ["A", "B"]
    empty = pipeline(tiny_encoder)
    nothing = [Example(nlp.make_doc("a"), nlp.make_doc("a"))]
    with pytest.raises(BionerError, match="BA16"):
        empty.initialize(lambda: nothing)


@pytest.mark.parametrize(
    ("code", "settings"),
    [("BA01", {"plain_template": "Find it."}), ("B303", {"ents_policy": "some"})],
)
def test_settings_that_cannot_work(tiny_encoder, code, settings):
    with pytest.raises(BionerError, match=code):
        pipeline(tiny_encoder, **settings)


# Keeping


def test_round_trips(trained, tmp_path):
    before, scores = outputs(trained)
    trained.to_disk(tmp_path / "model")
    copies = [
        spacy.load(tmp_path / "model"),
        spacy.blank("en").from_config(trained.config).from_bytes(trained.to_bytes()),
        pickle.loads(pickle.dumps(trained)),
    ]
    for copy in copies:
        found, other = outputs(copy)
        assert found == before
        np.testing.assert_array_equal(other, scores)
        assert copy.get_pipe("ner").types == TYPES


def test_the_folder_of_the_backbone_may_be_gone(tiny_encoder, tmp_path):
    import shutil

    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    nlp = pipeline(tmp_path / "encoder")
    nlp.initialize(lambda: toy_examples(nlp))
    before = outputs(nlp)
    nlp.to_disk(tmp_path / "model")
    shutil.rmtree(tmp_path / "encoder")
    after = outputs(spacy.load(tmp_path / "model"))
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])


def test_adapters_do_not_lose_a_backbone_that_is_gone(tiny_encoder, tmp_path):
    """Saved again where the folder is not, its name is still none of the hub."""
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    import shutil

    shutil.copytree(tiny_encoder, tmp_path / "encoder")
    lora = {"lora": {"r": 2, "target_modules": ["query", "value"]}}
    nlp = pipeline(tmp_path / "encoder", model=lora)
    nlp.initialize(lambda: toy_examples(nlp))
    before = outputs(nlp)
    nlp.to_disk(tmp_path / "one")
    shutil.rmtree(tmp_path / "encoder")
    spacy.load(tmp_path / "one").to_disk(tmp_path / "two")
    after = outputs(spacy.load(tmp_path / "two"))
    np.testing.assert_array_equal(before[1], after[1])


def test_adapters_alone(tiny_encoder, tmp_path):
    pytest.importorskip("peft", reason="needs the extra `instruct`")
    lora = {"lora": {"r": 2, "target_modules": ["query", "value"]}, "save": "trained"}
    nlp = pipeline(tiny_encoder, model=lora)
    losses = train(nlp, toy_examples(nlp), 20, rate=0.02)
    assert losses[-1] < losses[0]
    nlp.to_disk(tmp_path / "model")
    before, after = outputs(nlp), outputs(spacy.load(tmp_path / "model"))
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])


def test_it_trains_on_after_loading(trained, tmp_path):
    trained.to_disk(tmp_path / "model")
    nlp = spacy.load(tmp_path / "model")
    examples = toy_examples(nlp)
    optimizer = nlp.resume_training()
    first = nlp.update(examples, sgd=optimizer)["ner"]
    assert first < 0.1 and nlp.update(examples, sgd=optimizer)["ner"] < 0.2


def test_analysis_finds_no_problem(untrained):
    assert not any(untrained.analyze_pipes()["problems"].values())
