"""`gerbera_ner`: what is written, and that it comes back."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import spacy
from spacy import displacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example
from toy import (
    cnn_pipeline,
    entities,
    toy_examples,
    train,
    transformer_pipeline,
)

from spacy_bioner.task import set_task

TEXTS = [
    "Patients with severe asthma lack IL2 .",
    "",
    "p53",
    " \n\t ",
    "β-Thalassämie 👩‍🔬 ①②③ naïve 中文 \u2028 x",
    "x" * 600,
    "Asthma and IL2 . " * 60,
]


def outputs(nlp, texts=TEXTS) -> list:
    """Everything that the component writes, in comparable form."""
    found = []
    for doc in nlp.pipe(texts):
        group = doc.spans["gerbera"]
        spans = [(s.start, s.end, s.label_) for s in group]
        scores = group.attrs["scores"].tolist()
        found.append((entities(doc), spans, scores, list(group.attrs["heads"])))
    return found


# Output


def logits(doc: Doc, spans, labels, height=4.0) -> np.ndarray:
    """Tag scores under which exactly `spans` are found."""
    found = np.zeros((len(doc), 2 * len(labels) + 1), dtype="float32")
    found[:, 0] = height
    for start, end, label in spans:
        k = 2 * labels.index(label) + 1
        found[start:end] = 0
        found[start, k] = height
        found[start + 1 : end, k + 1] = height
    return found


def component(heads, **settings):
    nlp = cnn_pipeline(**settings)
    ner = nlp.get_pipe("ner")
    ner.cfg["heads"].update(heads)
    return nlp, ner


HEADS = {"a": ["X", "Y"], "b": ["X"]}


def test_owner_is_the_first_head_unless_named():
    spans = {"a": [(0, 1, "X"), (4, 5, "Y")], "b": [(2, 3, "X")]}
    for owners, expected in [
        ({}, [(0, "X"), (4, "Y")]),
        ({"X": "b"}, [(2, "X")]),  # Y is left out
        ({"Y": "a", "X": "b"}, [(2, "X"), (4, "Y")]),
    ]:
        nlp, ner = component(HEADS, owners=owners)
        doc = nlp.make_doc("one two three four five six")
        scores = {head: logits(doc, spans[head], HEADS[head]) for head in HEADS}
        ner.set_annotations([doc], [scores])
        assert [(e.start, e.label_) for e in doc.ents] == expected
        assert len(doc.spans["gerbera"]) == 3


def test_owners_can_be_averaged():
    nlp, ner = component(HEADS, owners={"X": "a+b"})
    doc = nlp.make_doc("one two three four five six")
    scores = {
        "a": logits(doc, [(0, 1, "X"), (2, 3, "X"), (4, 5, "Y")], HEADS["a"], 8.0),
        "b": logits(doc, [(0, 1, "X")], HEADS["b"], 3.0),
    }
    ner.set_annotations([doc], [scores])
    # The surer head wins at the third word; Y has no owner.
    assert [(e.start, e.label_) for e in doc.ents] == [(0, "X"), (2, "X")]
    # What they found together has a score of its own.
    group = doc.spans["gerbera"]
    together = [i for i, head in enumerate(group.attrs["heads"]) if head == "a+b"]
    assert [group[i].start for i in together] == [0, 2]
    assert all(0.5 < group.attrs["scores"][i] < 1 for i in together)


@pytest.mark.parametrize("owners", [{}, {"X": "a+b"}])
def test_white_space_neither_cuts_nor_bounds_an_entity(owners):
    """An encoder has no piece for it, so whatever is said of it is about nothing."""
    nlp, ner = component({"a": ["X"], "b": ["X"]}, owners=owners)
    words = ["\n", "one", "\n", "two", "  ", "three", "\n"]
    doc, empty = Doc(nlp.vocab, words), Doc(nlp.vocab, ["\n", " "])
    plain = logits(Doc(nlp.vocab, ["one", "two", "three"]), [(0, 2, "X")], ["X"])
    for spoiled in ([], [(0, 1, "X"), (2, 3, "X"), (4, 7, "X")]):
        found = logits(doc, spoiled, ["X"])
        found[[1, 3, 5]] = plain
        scores = [{"a": x, "b": x} for x in (logits(empty, spoiled[:1], ["X"]), found)]
        ner.set_annotations([empty, doc], scores)
        assert [(e.start, e.end) for e in doc.ents] == [(1, 4)]
        assert {(s.start, s.end) for s in doc.spans["gerbera"]} == {(1, 4)}
        assert not empty.ents and not len(empty.spans["gerbera"])


def test_a_document_of_a_task_gets_all_labels_of_its_head_and_no_other():
    nlp, ner = component(HEADS, owners={"X": "b"})
    doc = nlp.make_doc("one two three four five six")
    set_task(doc, "a")
    spans = [(0, 1, "X"), (4, 5, "Y")]
    ner.set_annotations([doc], [{"a": logits(doc, spans, HEADS["a"])}])
    assert [(e.start, e.label_) for e in doc.ents] == [(0, "X"), (4, "Y")]


def test_entities_never_overlap_and_the_surer_wins():
    nlp, ner = component({"a": ["X"], "b": ["Y"]})
    doc = nlp.make_doc("one two three four five six")
    scores = {
        "a": logits(doc, [(0, 3, "X")], ["X"], 3.0),
        "b": logits(doc, [(2, 4, "Y")], ["Y"], 6.0),
    }
    ner.set_annotations([doc], [scores])
    assert [(e.start, e.end, e.label_) for e in doc.ents] == [(2, 4, "Y")]
    group = doc.spans["gerbera"]
    assert [(s.start, s.end, s.label_) for s in group] == [(0, 3, "X"), (2, 4, "Y")]
    assert group.attrs["heads"] == ["a", "b"]
    assert group.attrs["scores"][0] < group.attrs["scores"][1] <= 1.0


def test_group_is_sorted_and_survives_serialization():
    nlp, ner = component({"a": ["X"], "b": ["X"]}, spans_key="mine")
    doc = nlp.make_doc("one two three four five six")
    scores = {
        "a": logits(doc, [(1, 2, "X"), (4, 5, "X")], ["X"]),
        "b": logits(doc, [(0, 1, "X"), (1, 4, "X")], ["X"]),
    }
    ner.set_annotations([doc], [scores])
    stored = DocBin(docs=[doc]).to_bytes()
    copies = [
        doc,
        doc.copy(),
        Doc(nlp.vocab).from_bytes(doc.to_bytes()),
        next(DocBin().from_bytes(stored).get_docs(nlp.vocab)),
    ]
    for copy in copies:
        group = copy.spans["mine"]
        assert [(s.start, s.end) for s in group] == [(0, 1), (1, 4), (1, 2), (4, 5)]
        assert list(group.attrs["heads"]) == ["b", "b", "a", "a"]
        assert group.attrs["scores"].dtype == np.float32
        assert np.array_equal(group.attrs["scores"], doc.spans["mine"].attrs["scores"])


@pytest.mark.parametrize(
    "policy, expected",
    [
        ("replace", [(1, 2, "X"), (4, 5, "X")]),
        ("keep", [(0, 2, "OLD"), (4, 5, "X")]),
        ("prefer", [(1, 2, "X"), (3, 4, "OLD"), (4, 5, "X")]),
    ],
)
def test_entities_that_are_there_already(policy, expected):
    nlp, ner = component({"a": ["X"]}, ents_policy=policy)
    doc = nlp.make_doc("one two three four five six")
    old = [(0, 2)] if policy == "keep" else [(0, 2), (3, 4)]
    doc.set_ents([Span(doc, *span, label="OLD", kb_id="K") for span in old])
    scores = {"a": logits(doc, [(1, 2, "X"), (4, 5, "X")], ["X"])}
    ner.set_annotations([doc], [scores])
    assert [(e.start, e.end, e.label_) for e in doc.ents] == expected
    assert all(e.kb_id_ == "K" for e in doc.ents if e.label_ == "OLD")


def test_temperature_changes_scores_only():
    nlp, ner = component({"a": ["X"]})
    found = []
    for temperature in (1.0, 3.0):
        ner.cfg["temperatures"]["a"] = temperature
        doc = nlp.make_doc("one two three")
        ner.set_annotations([doc], [{"a": logits(doc, [(0, 2, "X")], ["X"])}])
        found.append((entities(doc), doc.spans["gerbera"].attrs["scores"][0]))
    assert found[0][0] == found[1][0] == [("one two", "X")]
    assert found[0][1] > found[1][1]


def test_the_same_words_are_the_same_entity_all_document_long():
    heads = {"a": ["X"], "b": ["X"]}
    for owners, consistent, places in [
        ({"X": "a"}, True, [0, 3]),
        ({"X": "a+b"}, True, [0, 3]),
        ({"X": "a"}, False, [0]),
    ]:
        nlp, ner = component(heads, owners=owners, consistent=consistent)
        doc = Doc(nlp.vocab, words=["ALS", "is", "fatal", "ALS"])
        found = logits(doc, [(0, 1, "X")], ["X"])
        found[3, 1] = 3.5  # nearly
        ner.set_annotations([doc], [{"a": found, "b": found.copy()}])
        assert [ent.start for ent in doc.ents] == places
        group = doc.spans["gerbera"]
        assert len(group) == len(places) * (2 + ("+" in owners["X"]))
        if consistent:
            assert len(set(group.attrs["scores"].tolist())) <= 2


@pytest.mark.parametrize("consistent", [False, True])
def test_a_document_of_a_hundred_thousand_tokens(consistent):
    nlp, ner = component(
        {"a": ["X", "Y"], "b": ["X"]},
        owners={"X": "a+b", "Y": "a"},
        consistent=consistent,
    )
    words = [f"w{i % 50_000 if consistent else 0}" for i in range(100_000)]
    doc = Doc(nlp.vocab, words=words)
    rng = np.random.default_rng(0)
    scores = {
        head: rng.normal(0, 3, (len(doc), 2 * len(labels) + 1)).astype("float32")
        for head, labels in ner.heads.items()
    }
    ner.set_annotations([doc], [scores])
    assert len(doc.spans["gerbera"]) > len(doc.ents) > 10_000


# Pipelines


def test_odd_texts_and_batches_give_the_same_alone_and_together(trained):
    together = outputs(trained)
    assert together[1][1] == [] and together[0][1]
    alone = [outputs(trained, [text])[0] for text in TEXTS]
    for one, two in zip(together, alone, strict=True):
        assert (one[0], one[1], one[3]) == (two[0], two[1], two[3])
        assert np.allclose(one[2], two[2], atol=1e-5)
    assert entities(trained(TEXTS[0])) == together[0][0]
    assert list(trained.pipe([])) == []
    assert trained.get_pipe("ner").predict([]) == []
    assert trained.get_pipe("ner").predict([trained.make_doc("")])


def test_prediction_before_initialization_finds_nothing():
    assert outputs(cnn_pipeline(), ["IL2 and asthma", ""]) == [([], [], [], [])] * 2


@pytest.mark.parametrize("is_trained", [False, True])
def test_round_trips(is_trained, trained, untrained, tmp_path):
    nlp = trained if is_trained else untrained
    expected = outputs(nlp)
    assert any(found[1] for found in expected)
    nlp.to_disk(tmp_path)
    assert outputs(spacy.load(tmp_path)) == expected
    assert outputs(cnn_pipeline().from_bytes(nlp.to_bytes())) == expected
    assert outputs(pickle.loads(pickle.dumps(nlp))) == expected
    assert outputs(nlp) == expected


def test_round_trip_with_a_transformer(tiny_encoder, tmp_path):
    nlp = transformer_pipeline(tiny_encoder)
    train(nlp, toy_examples(nlp), 3, 0.003)
    expected = outputs(nlp)
    nlp.to_disk(tmp_path)
    assert outputs(spacy.load(tmp_path)) == expected


def test_settings_survive(tmp_path):
    nlp = cnn_pipeline(
        owners={"GENE": "genes"},
        ents_policy="keep",
        spans_key="k",
        general=["diseases"],
    )
    nlp.initialize(lambda: toy_examples(nlp))
    nlp.get_pipe("ner").cfg["temperatures"] = {"genes": 1.5}
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("ner").cfg == nlp.get_pipe("ner").cfg


def test_several_processes(trained, tmp_path):
    """In a process of its own, so that a deadlock fails instead of hanging."""
    trained.to_disk(tmp_path)
    script = f"""
import spacy, torch
torch.set_num_threads(1)
nlp = spacy.load({str(tmp_path)!r})
texts = ["Severe asthma and IL2", "", "BRCA1 in ovarian cancer"] * 4
def found(docs):
    return [[(s.text, s.label_, h) for s, h in zip(d.spans["gerbera"],
            d.spans["gerbera"].attrs["heads"])] for d in docs]
one = found(nlp.pipe(texts))
assert any(one) and found(nlp.pipe(texts, n_process=2, batch_size=2)) == one
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=100)


def test_task_routes_at_inference(trained):
    doc = trained.make_doc("Patients with severe asthma lack IL2 .")
    set_task(doc, "genes")
    assert entities(trained(doc)) == [("IL2", "GENE")]
    assert doc.spans["gerbera"].attrs["heads"] == ["genes"]


def test_plain_corpus_scores_each_document_on_what_its_corpus_annotates(
    trained, tmp_path
):
    """`spacy evaluate` reads with spaCy's own reader: only references are marked."""
    docs = [eg.reference for eg in toy_examples(trained)]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "dev.spacy")
    scores = trained.evaluate(Corpus(tmp_path / "dev.spacy")(trained))
    assert scores["ents_f"] == 1.0  # a gene in a disease corpus is no mistake
    assert sorted(scores["heads_per_task"]) == ["diseases", "genes"]


def test_analysis_and_pictures(trained):
    assert not trained.analyze_pipes()["problems"]["ner"]
    doc = trained("Patients with severe asthma lack IL2 .")
    assert "severe asthma" in displacy.render(doc, style="ent", jupyter=False)
    options = {"spans_key": "gerbera"}
    picture = displacy.render(doc, style="span", options=options, jupyter=False)
    assert "DISEASE" in picture


def test_works_beside_another_component_from_a_source(trained):
    host = spacy.blank("en")
    host.add_pipe("sentencizer")
    host.add_pipe("ner", name="bio", source=trained)
    doc = host("Patients with severe asthma lack IL2 .")
    assert entities(doc) == [("severe asthma", "DISEASE"), ("IL2", "GENE")]


# Training with examples that say nothing of tasks


def test_examples_of_no_task_are_warned_of_where_no_head_takes_them():
    nlp = cnn_pipeline()
    nlp.initialize(lambda: toy_examples(nlp))
    text = nlp.make_doc("Severe asthma .")
    plain = [Example.from_dict(text, {"entities": [(7, 13, "DISEASE")]})]
    losses: dict[str, float] = {}
    for expected in (1, 0):  # once
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nlp.update(plain, losses=losses)
        assert sum("B308" in str(one.message) for one in caught) == expected
    assert losses["ner"] == 0.0
    nlp.get_pipe("ner").cfg["default_head"] = "diseases"
    nlp.update(plain, losses=losses)
    assert losses["ner"] > 0.0


def test_empty_documents_may_come_first():
    nlp = cnn_pipeline()
    nothing = [Example(nlp.make_doc(""), nlp.make_doc("")) for _ in range(12)]
    nlp.initialize(lambda: [*nothing, *toy_examples(nlp)])
    assert set(nlp.get_pipe("ner").heads) == {"diseases", "genes"}
