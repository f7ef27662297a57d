"""Teachers: what they think is written down, and a pupil learns it."""

import numpy as np
import pytest
import spacy
from pipeline.test_nested_spancat import (
    MODEL,
    SENTENCES,
    TOK2VEC,
    cnn_pipeline,
    nested,
    same,
    spans,
    toy_examples,
    train,
    weights,
)
from spacy.cli._util import app
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import fix_random_seed
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.errors import BionerError
from spacy_bioner.training.teaching import teach


@pytest.fixture(scope="module")
def teacher():
    fix_random_seed(0)
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 60)
    return nlp


def texts(nlp):
    """The sentences without their annotation."""
    docs = [nested(nlp, sentence) for sentence in SENTENCES]
    return [Doc(nlp.vocab, [t.text for t in doc]) for doc in docs]


def chances(doc):
    group = doc.spans["teacher"]
    rows = zip(group, group.attrs["scores"], strict=True)
    return {(span.start, span.end, span.label_): score for span, score in rows}


def test_the_mean_of_what_teachers_think_is_written(teacher):
    fix_random_seed(1)
    other = cnn_pipeline()
    train(other, toy_examples(other), 20)
    one, two, both = (
        [
            chances(doc)
            for doc in teach(
                [(nlp, "spancat") for nlp in nlps], texts(teacher), "teacher", 0.0
            )
        ]
        for nlps in ([teacher], [other], [teacher, other])
    )
    assert sum(map(len, both)) > 100
    for a, b, mean in zip(one, two, both, strict=True):
        assert a.keys() == b.keys() == mean.keys()
        for place in mean:
            assert mean[place] == pytest.approx((a[place] + b[place]) / 2, abs=2e-4)


def test_what_is_unlikely_is_left_out_and_comes_back_from_disk(teacher, tmp_path):
    docs = list(teach([(teacher, "spancat")], texts(teacher), "teacher", 0.2))
    DocBin(docs=docs).to_disk(tmp_path / "taught.spacy")
    again = DocBin().from_disk(tmp_path / "taught.spacy").get_docs(teacher.vocab)
    for doc, copy in zip(docs, again, strict=True):
        assert chances(copy) == chances(doc)
        assert all(0.2 <= score <= 1 for score in chances(doc).values())
    assert ("IL2 promoter", "DNA") in spans(docs[0], "teacher")


def test_borders_inside_a_token_of_the_text_are_left_out(teacher):
    (doc,) = teach(
        [(teacher, "spancat")], [Doc(teacher.vocab, ["p53", "gene"], [0, 0])], "t"
    )
    assert {(s.start, s.end) for s in doc.spans["t"]} <= {(0, 1), (1, 2), (0, 2)}


def test_a_pupil_learns_from_texts_that_nobody_annotated(teacher):
    fix_random_seed(2)
    pupil = cnn_pipeline(teacher_weight=1.0)
    references = list(teach([(teacher, "spancat")], texts(teacher), "teacher"))
    examples = [Example(x, y) for x, y in zip(texts(pupil), references, strict=True)]
    with pytest.raises(BionerError, match="B805.*teacher_weight = 1.0.*'teacher'"):
        pupil.initialize(lambda: toy_examples(pupil))
    optimizer = pupil.initialize(lambda: toy_examples(pupil) + examples)
    optimizer.learn_rate = 0.01
    for _ in range(60):
        pupil.update(examples, sgd=optimizer)
    assert pupil.evaluate(toy_examples(pupil))["spans_sc_f"] > 0.9


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_target_is_between_gold_and_teacher(teacher, weight):
    nlp = cnn_pipeline(teacher_weight=weight)
    (reference,) = teach([(teacher, "spancat")], [nested(nlp, SENTENCES[0])], "teacher")
    example = Example(Doc(nlp.vocab, [t.text for t in reference]), reference)
    nlp.initialize(lambda: [*toy_examples(nlp), example])
    spancat = nlp.get_pipe("spancat")
    (mask,) = spancat.candidates([example.predicted])
    gold, known = spancat.gold_table(example, mask)
    target, also_known = spancat.target_table(example, mask)
    thought = np.zeros(gold.shape)
    for (start, end, label), score in chances(reference).items():
        thought[start, end - start - 1, spancat.labels.index(label)] = score
    assert (known == also_known).all()
    wanted = (weight * thought + (1 - weight) * gold) * known
    np.testing.assert_allclose(target, wanted, atol=1e-6)


def test_teachers_of_other_labels_are_refused(teacher):
    other = cnn_pipeline()
    other.initialize(lambda: toy_examples(other))
    other.get_pipe("spancat").cfg["labels"] = ["ELSE"]
    pair = [(teacher, "spancat"), (other, "spancat")]
    with pytest.raises(BionerError, match="B807.*ELSE"):
        list(teach(pair, texts(teacher), "teacher"))


def test_of_a_label_that_no_teacher_has_gold_teaches_alone(teacher):
    (reference,) = teach([(teacher, "spancat")], [nested(teacher, SENTENCES[0])], "t")
    group = reference.spans["t"]
    group.attrs["labels"] = ["DNA"]
    reference.spans["teacher"] = group
    pupil = cnn_pipeline(teacher_weight=0.5)
    example = Example(Doc(pupil.vocab, [t.text for t in reference]), reference)
    pupil.initialize(lambda: [*toy_examples(pupil), example])
    spancat = pupil.get_pipe("spancat")
    (mask,) = spancat.candidates([example.predicted])
    gold, _ = spancat.gold_table(example, mask)
    target, _ = spancat.target_table(example, mask)
    for k, label in enumerate(spancat.labels):
        assert (target[..., k] == gold[..., k]).all() == (label != "DNA")


def test_where_a_teacher_does_not_look_gold_teaches_alone():
    """A teacher of narrower spans says nothing of wider ones."""
    fix_random_seed(0)
    model = {**MODEL, "tok2vec": TOK2VEC, "max_width": 1}
    narrow, pupil = cnn_pipeline(model=model), cnn_pipeline(teacher_weight=0.5)
    narrow.initialize(lambda: toy_examples(narrow))
    (reference,) = teach(
        [(narrow, "spancat")], [nested(pupil, SENTENCES[0])], "teacher"
    )
    example = Example(Doc(pupil.vocab, [t.text for t in reference]), reference)
    pupil.initialize(lambda: [*toy_examples(pupil), example])
    spancat = pupil.get_pipe("spancat")
    (mask,) = spancat.candidates([example.predicted])
    gold, known = spancat.gold_table(example, mask)
    target, also_known = spancat.target_table(example, mask)
    assert gold[:, 1:].any() and (known == also_known).all()
    np.testing.assert_allclose(target[:, 1:], gold[:, 1:])
    assert not np.allclose(target[:, 0], gold[:, 0])
    del reference.spans["sc"]
    _, known = spancat.target_table(example, mask)
    assert known[:, 0].any() and not known[:, 1:].any()


def test_without_a_weight_a_teacher_teaches_nothing(teacher):
    nlp = cnn_pipeline()
    optimizer = nlp.initialize(lambda: toy_examples(nlp))
    references = list(teach([(teacher, "spancat")], texts(teacher), "teacher"))
    before = weights(nlp)
    nlp.update([Example(doc.copy(), doc) for doc in references], sgd=optimizer)
    assert same(before, weights(nlp))


@pytest.mark.parametrize("weight", [-0.1, 1.5])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(BionerError, match="B804"):
        cnn_pipeline(teacher_weight=weight)


def test_the_command(teacher, tmp_path):
    teacher.to_disk(tmp_path / "teacher")
    source, output = tmp_path / "in.spacy", tmp_path / "out.spacy"
    DocBin(docs=[nested(teacher, s) for s in SENTENCES]).to_disk(source)
    args = ["bioner", "teach", source, output, "--teacher", tmp_path / "teacher"]
    for more, keys in [([], {"sc", "teacher"}), (["--only"], {"teacher"})]:
        result = CliRunner().invoke(app, [*map(str, args), *more])
        assert result.exit_code == 0, result.output
        docs = list(DocBin().from_disk(output).get_docs(teacher.vocab))
        assert [doc.text for doc in docs] and all(set(d.spans) == keys for d in docs)
    result = CliRunner().invoke(
        app, [*map(str, args[:2]), "x.spacy", *map(str, args[3:])]
    )
    assert result.exit_code == 1 and "B603" in result.output
    spacy.blank("en").to_disk(tmp_path / "blank")
    result = CliRunner().invoke(app, [*map(str, args[:5]), str(tmp_path / "blank")])
    assert result.exit_code == 1 and "B803" in result.output
