"""The reader: who is asked for what, which absent types, and names beside sentences."""

from collections import Counter

import pytest
import spacy
from spacy.tokens import DocBin, Span
from toy import LABELS, SENTENCES, annotate

from spacy_bioner.errors import BionerError
from spacy_bioner.instruction import get_types
from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.entry import Entry
from spacy_bioner.task import get_task
from spacy_bioner.training.gold import gold_tags
from spacy_bioner.training.instructions import create_instruction_corpus, list_names

NLP = spacy.blank("en")
NAMES = [
    ("severe asthma", "DISEASE"),
    ("asthma, allergic", "DISEASE"),
    ("psoriasis", "DISEASE"),
    ("breast cancer", "DISEASE"),
    ("breast cancer 1", "GENE"),
    ("lung", "BODY_PART"),
    ("asthma gene", "GENE"),
    ("IL2", "GENE"),
]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A corpus of both types, and one of genes alone."""
    folder = tmp_path_factory.mktemp("corpora")
    kinds = {"both": ["DISEASE", "GENE"], "genes": LABELS["genes"]}
    for task, labels in kinds.items():
        docs = [annotate(NLP, sentence, labels) for sentence in SENTENCES]
        DocBin(docs=docs).to_disk(folder / f"{task}.spacy")
    return {task: folder / f"{task}.spacy" for task in kinds}


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    path = tmp_path_factory.mktemp("kb") / "names.jsonl"
    KnowledgeBase([Entry("", name, label) for name, label in NAMES]).to_disk(path)
    return path


def asked(examples):
    """(task, types, text) of each example."""
    return [
        (get_task(e.reference), tuple(get_types(e.predicted)), e.text) for e in examples
    ]


def test_each_text_is_asked_for_each_type_of_its_corpus(sources):
    examples = list(create_instruction_corpus(sources)(NLP))
    counts = Counter((task, types) for task, types, _ in asked(examples))
    both = {("both", ("DISEASE",)): 6, ("both", ("GENE",)): 6, ("genes", ("GENE",)): 6}
    assert counts == both
    assert not any(example.predicted.ents for example in examples)


def test_or_for_all_at_once(sources):
    rows = asked(create_instruction_corpus(sources, one_type=False)(NLP))
    counts = Counter((task, types) for task, types, _ in rows)
    assert counts == {("both", ("DISEASE", "GENE")): 6, ("genes", ("GENE",)): 6}


def test_absent_types_are_asked_as_often_as_set(sources):
    present = {
        (sentence, label)
        for sentence in (annotate(NLP, s).text for s in SENTENCES)
        for label in ("DISEASE", "GENE")
        if any(
            e.label_ == label
            for s in SENTENCES
            for e in annotate(NLP, s).ents
            if annotate(NLP, s).text == sentence
        )
    }
    source = {"both": sources["both"]}
    none = asked(create_instruction_corpus(source, negatives=0.0)(NLP))
    assert {(text, types[0]) for _, types, text in none} == present
    assert len(none) == len(present) < 12
    half = create_instruction_corpus(source, weights={"both": 20}, negatives=0.5)
    absent = 20 * (12 - len(present))
    drawn = len(list(half(NLP))) - 20 * len(present)
    assert 0.35 * absent < drawn < 0.65 * absent


def test_types_that_a_corpus_annotates_may_be_named(sources):
    corpus = create_instruction_corpus(sources, types={"genes": ["GENE", "DNA"]})
    found = {types for task, types, _ in asked(corpus(NLP)) if task == "genes"}
    assert found == {("GENE",), ("DNA",)}
    with pytest.raises(BionerError, match="B402.*types.*'bth'"):
        create_instruction_corpus(sources, types={"bth": ["GENE"]})
    corpus = create_instruction_corpus(sources, types={"both": []})
    assert {task for task, _, _ in asked(corpus(NLP))} == {"genes"}


@pytest.mark.parametrize("named", [0.0, 0.5, 1.0])
def test_the_corpus_is_named_as_often_as_set(sources, named):
    corpus = create_instruction_corpus(sources, weights={"both": 10}, named=named)
    tasks = [get_task(example.predicted) for example in corpus(NLP)]
    share = sum(task is not None for task in tasks) / len(tasks)
    assert share == named if named in (0, 1) else 0.35 < share < 0.65


def test_the_same_seed_gives_the_same_stream(sources, kb):
    settings = {"kb": kb, "negatives": 0.5, "dense": 0.5}
    one, same, other = (
        create_instruction_corpus(sources, **settings, seed=seed) for seed in (1, 1, 2)
    )
    first = asked(one(NLP))
    assert first == asked(same(NLP)) != asked(other(NLP))
    second = asked(one(NLP))  # the next epoch is drawn anew
    assert second == asked(same(NLP)) != first
    one.epoch = 0  # as a resumed training winds it
    assert asked(one(NLP)) == first


# Dense recognition


def dense(corpus):
    return [e for e in corpus(NLP) if get_task(e.reference) is None]


def test_names_of_the_type_are_entities_and_others_are_not(sources, kb):
    examples = dense(create_instruction_corpus({"both": sources["both"]}, kb=kb))
    assert examples
    types = dict(NAMES)
    for example in examples:
        (label,) = get_types(example.predicted)
        found = [ent.text for ent in example.reference.ents]
        assert all(types[name] == label for name in found)
        listed = [name for name, own in NAMES if own == label and name in example.text]
        assert set(found) >= {name for name in listed if name != "breast cancer"}
        assert {ent.label_ for ent in example.reference.ents} <= {label}
        assert (gold_tags(example, [label]) >= 0).all()  # all is known
    sentence = next(e for e in examples if "severe asthma" in e.text)
    assert get_types(sentence.predicted) == ["DISEASE"] or not sentence.reference.ents


def test_beside_as_many_sentences_as_set(sources, kb):
    source = {"both": sources["both"]}
    settings = {"sources": source, "weights": {"both": 10}, "kb": kb}
    counts = [
        len(dense(create_instruction_corpus(**settings, dense=share)))
        for share in (0.0, 0.5, 1.0)
    ]
    assert counts[0] == 0 and 0.35 * counts[2] < counts[1] < 0.65 * counts[2]


def test_it_learns_types_that_no_corpus_has_from_no_one(sources, kb):
    """Only types of the corpora are asked for, whatever else the names have."""
    asked_for = {
        types for _, types, _ in asked(create_instruction_corpus(sources, kb=kb)(NLP))
    }
    assert asked_for == {("DISEASE",), ("GENE",)}


def test_a_list_of_names():
    names = [("severe asthma", "DISEASE"), ("IL2", "GENE"), ("gout", "DISEASE")]
    doc = list_names(NLP, names, "DISEASE")
    assert doc.text == "severe asthma, IL2, gout"
    assert [ent.text for ent in doc.ents] == ["severe asthma", "gout"]
    assert doc.has_annotation("ENT_IOB")


def test_shares_out_of_range(sources):
    for name in ("negatives", "named", "dense"):
        with pytest.raises(BionerError, match="BA17"):
            create_instruction_corpus(sources, **{name: 1.5})


def test_without_a_knowledge_base_file(sources, tmp_path):
    with pytest.raises(BionerError, match="B905"):
        create_instruction_corpus(sources, kb=tmp_path / "nowhere.jsonl")


def test_types_that_lie_in_others_are_asked_for(tmp_path):
    doc = NLP("the IL2 gene")
    doc.ents = [Span(doc, 1, 3, "DNA")]
    doc.spans["gold"] = [*doc.ents, Span(doc, 1, 2, "PROTEIN")]
    DocBin(docs=[doc]).to_disk(tmp_path / "a.spacy")
    examples = create_instruction_corpus({"a": tmp_path / "a.spacy"})(NLP)
    assert sorted(get_types(eg.predicted) for eg in examples) == [["DNA"], ["PROTEIN"]]
