"""The mixed corpus: weights, chance, cuts, and one document at a time."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from toy import LABELS, SENTENCES, annotate

from spacy_bioner.errors import BionerError
from spacy_bioner.task import get_task
from spacy_bioner.training import reader
from spacy_bioner.training.reader import create_multi_task_corpus, sentence_runs

NLP = spacy.blank("en")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two corpora of 20 documents, the first in two files."""
    folder = tmp_path_factory.mktemp("corpora")
    for task, labels in LABELS.items():
        docs = [
            annotate(NLP, f"Number {i} : {SENTENCES[i % 6]}", labels) for i in range(20)
        ]
        for part, some in enumerate((docs[:9], docs[9:])):
            path = folder / task / f"{part}.spacy"
            path.parent.mkdir(exist_ok=True)
            DocBin(docs=some).to_disk(path)
    return {task: folder / task for task in LABELS}


def texts(corpus, task=None) -> list[str]:
    wanted = [eg for eg in corpus(NLP) if task in (None, get_task(eg.predicted))]
    return [example.text for example in wanted]


def test_every_document_once_and_marked(sources):
    examples = list(create_multi_task_corpus(sources)(NLP))
    assert Counter(get_task(e.predicted) for e in examples) == dict.fromkeys(LABELS, 20)
    for example in examples:
        assert get_task(example.reference) == get_task(example.predicted)
        assert not example.predicted.ents
    tasks = [get_task(example.predicted) for example in examples[:6]]
    assert tasks == ["diseases", "genes"] * 3  # interleaved


def test_weights_repeat_and_thin_out(sources):
    corpus = create_multi_task_corpus(sources, {"diseases": 2.0, "genes": 0.5})
    found = [texts(corpus, "diseases"), texts(corpus, "genes"), texts(corpus, "genes")]
    assert sorted(Counter(found[0]).values()) == [2] * 20
    assert 3 <= len(found[1]) <= 17 and len(set(found[1])) == len(found[1])
    assert found[1] != found[2]  # drawn anew


@pytest.mark.parametrize("seed", range(5))
def test_however_thin_an_epoch_has_every_label(tmp_path, seed):
    """What initialization does not see is no label of the component's."""
    docs = [annotate(NLP, f"Gene [g{i}|GENE]") for i in range(20)]
    docs.append(annotate(NLP, "A [rare|RARE] one"))
    docs[3].spans["sc"] = [Span(docs[3], 0, 1, "SPAN")]
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "a.spacy")
    sources = {"a": tmp_path / "a.spacy"}
    corpus = create_multi_task_corpus(sources, {"a": 0.1}, seed=seed)
    for _ in range(3):
        found = [reader.labels_of(example.reference) for example in corpus(NLP)]
        assert set().union(*found) == {"GENE", "RARE", "SPAN"}
        assert len(found) < 15


def test_weight_of_one_and_a_half_holds_every_document(sources):
    corpus = create_multi_task_corpus(sources, {"genes": 1.5, "diseases": 0.0})
    counts = Counter(texts(corpus))
    assert len(counts) == 20 and set(counts.values()) == {1, 2}


def test_the_seed_and_the_epoch_decide(sources):
    def epochs(seed):
        corpus = create_multi_task_corpus(sources, {"genes": 0.5}, seed=seed)
        return [texts(corpus) for _ in range(3)]

    assert epochs(1) == epochs(1) != epochs(2)
    one, two, three = epochs(1)
    assert one != two != three
    corpus = create_multi_task_corpus(sources, {"genes": 0.5}, seed=1)
    corpus.epoch = 2  # as a resumed training sets it
    assert texts(corpus) == three


def test_limit_counts_documents_of_each_corpus(sources):
    assert len(texts(create_multi_task_corpus(sources, limit=12))) == 24


def test_documents_come_one_at_a_time(sources, monkeypatch):
    made = []
    keep = reader.make_example
    monkeypatch.setattr(
        reader, "make_example", lambda *args: made.append(1) or keep(*args)
    )
    opened = []
    from_disk = DocBin.from_disk
    monkeypatch.setattr(
        DocBin, "from_disk", lambda s, p: opened.append(p) or from_disk(s, p)
    )
    stream = create_multi_task_corpus(sources, {"genes": 3.0})(NLP)
    assert not made and not opened
    assert len(list(islice(stream, 5))) == 5
    assert len(made) <= 6 and len(opened) == 2  # of 4 files


def test_a_text_may_be_longer_than_the_pipeline_takes(tmp_path):
    nlp = spacy.blank("en")
    DocBin(docs=[annotate(nlp, "No [p53|GENE] here")]).to_disk(tmp_path / "a.spacy")
    nlp.max_length = 3
    [example] = create_multi_task_corpus({"a": tmp_path / "a.spacy"})(nlp)
    assert example.predicted.text.strip() == "No p53 here"


def test_predicted_is_raw_text(tmp_path):
    """Gold tokens would never be seen at inference."""
    words = ["IL", "-", "2", "rises"]
    doc = Doc(NLP.vocab, words=words, spaces=[False, False, True, False])
    doc.ents = [Span(doc, 0, 3, "GENE")]
    DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
    (example,) = create_multi_task_corpus({"x": tmp_path / "x.spacy"})(NLP)
    assert [token.text for token in example.predicted] == ["IL-2", "rises"]
    assert example.get_aligned_ner() == ["U-GENE", "O"]


def test_long_documents_are_cut_at_sentences(tmp_path):
    doc = annotate(NLP, " ".join(SENTENCES[:5]))
    for token in doc:
        token.is_sent_start = token.i == 0 or doc[token.i - 1].text == "."
    DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
    corpus = create_multi_task_corpus({"x": tmp_path / "x.spacy"}, max_length=20)
    examples = list(corpus(NLP))
    assert [len(example.reference) for example in examples] == [17, 14, 8]
    assert all(example.text.strip().endswith(".") for example in examples)
    found = [ent.text for example in examples for ent in example.reference.ents]
    assert found == [ent.text for ent in doc.ents]
    whole = create_multi_task_corpus({"x": tmp_path / "x.spacy"})
    assert texts(whole) == [doc.text]


@given(st.data())
def test_runs_cover_everything_and_cut_no_entity(data):
    n = data.draw(st.integers(1, 40))
    doc = Doc(NLP.vocab, words=["w"] * n)
    if data.draw(st.booleans()):
        for token in doc:
            token.is_sent_start = token.i == 0 or data.draw(st.booleans())
    borders = sorted(data.draw(st.sets(st.integers(0, n), max_size=8)))
    doc.ents = [
        Span(doc, start, end, "X")
        for start, end in zip(borders[::2], borders[1::2], strict=False)
    ]
    longest = data.draw(st.integers(1, 15))
    runs = list(sentence_runs(doc, longest))
    assert [i for start, end in runs for i in range(start, end)] == list(range(n))
    inside = {i for ent in doc.ents for i in range(ent.start + 1, ent.end)}
    known = doc.has_annotation("SENT_START")
    for start, end in runs:
        assert start not in inside
        assert not known or doc[start].is_sent_start or start == 0
        if end - start > longest:  # only what cannot be cut
            middle = set(range(start + 1, end)) - inside
            assert not any(doc[i].is_sent_start or not known for i in middle)


@pytest.mark.parametrize("as_scores", [list, np.array])
def test_pieces_keep_span_groups(tmp_path, as_scores):
    """`Span.as_doc` forgets them, and a piece without its group teaches nothing."""
    words = ["IL-2", "gene", "fell", ".", "Mice", "ran", ".", "T", "cells", "rose", "."]
    doc = Doc(NLP.vocab, words, sent_starts=[i in (0, 4, 7) for i in range(11)])
    doc.spans["sc"] = [Span(doc, 0, 1, "PROTEIN"), Span(doc, 0, 2, "DNA")]
    doc.spans["sc"] += [Span(doc, 7, 9, "CELL"), Span(doc, 6, 9, "CELL")]
    scores = as_scores([0.5, 0.75, 1.0, 0.25])
    doc.spans["sc"].attrs.update(scores=scores, max_width=16, authors=["one", "two"])
    DocBin(docs=[doc]).to_disk(tmp_path / "nested.spacy")
    sources = {"nested": tmp_path / "nested.spacy"}
    examples = list(create_multi_task_corpus(sources, max_length=4)(NLP))
    found = [
        [(span.text, span.label_) for span in example.reference.spans["sc"]]
        for example in examples
    ]
    assert found == [
        [("IL-2", "PROTEIN"), ("IL-2 gene", "DNA")],
        [],
        [("T cells", "CELL")],
    ]
    attrs = [example.reference.spans["sc"].attrs for example in examples]
    assert [a["scores"] for a in attrs] == [[0.5, 0.75], [], [1.0]]
    assert {a["max_width"] for a in attrs} == {16}
    assert all(a["authors"] == ["one", "two"] for a in attrs)


def test_errors(sources, tmp_path):
    with pytest.raises(BionerError, match="B401.*'gone'.*nowhere"):
        create_multi_task_corpus({"gone": tmp_path / "nowhere"})
    with pytest.raises(BionerError, match="B402.*'other'"):
        create_multi_task_corpus(sources, {"other": 1.0})
