"""The scorer of `instruct_ner`: only what was asked for counts, all of it."""

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy import partly_annotated

from spacy_bioner.instruction import set_types
from spacy_bioner.task import set_task
from spacy_bioner.training.instruct_scorer import score_instructed

VOCAB = spacy.blank("en").vocab
WORDS = ["a", "b", "c", "d"]


def example(gold, found, types=None, task=None, full=None):
    """Spans are (start, end, label); `full` are all gold mentions."""
    reference, predicted = Doc(VOCAB, WORDS), Doc(VOCAB, WORDS)
    reference.set_ents([Span(reference, *span) for span in gold])
    if full is not None:
        reference.spans["gold"] = [Span(reference, *span) for span in full]
    predicted.spans["instruct"] = [Span(predicted, *span) for span in found]
    set_task(reference, task)
    set_types(predicted, types)
    return Example(predicted, reference)


def score(*examples, types=("A", "B")):
    return score_instructed(examples, spans_key="instruct", types=types)


def test_exact_span_and_type():
    found = [(0, 1, "A"), (1, 3, "B"), (3, 4, "A")]
    scores = score(example([(0, 1, "A"), (1, 2, "B"), (3, 4, "B")], found))
    assert scores["instruct_micro_p"] == scores["instruct_micro_r"] == 1 / 3
    assert scores["instruct_per_type"]["A"]["r"] == 1.0
    assert scores["instruct_per_type"]["B"]["f"] == 0.0


def test_what_was_not_asked_does_not_count():
    gold = [(0, 1, "A"), (1, 2, "B")]
    scores = score(example(gold, [(0, 1, "A")], types=["A"]))
    assert scores["instruct_f"] == 1.0 and set(scores["instruct_per_type"]) == {"A"}
    assert score(example(gold, [(0, 1, "A")]))["instruct_micro_r"] == 0.5


def test_gold_is_counted_in_full():
    full = [(0, 1, "A"), (0, 2, "A")]
    scores = score(example([(0, 1, "A")], [(0, 1, "A")], full=full))
    assert scores["instruct_micro_r"] == 0.5


def test_every_task_counts_alike():
    good = [example([(0, 1, "A")], [(0, 1, "A")], task="x") for _ in range(3)]
    bad = example([(0, 1, "A")], [(2, 3, "A")], task="y")
    scores = score(*good, bad)
    assert scores["instruct_f"] == 0.5
    assert scores["instruct_micro_f"] == pytest.approx(0.75)
    assert scores["instruct_per_task"]["x"]["f"] == 1.0


def test_nothing_annotated():
    plain = Example(Doc(VOCAB, WORDS), Doc(VOCAB, WORDS))
    assert score(plain)["instruct_f"] is None


def test_where_nobody_annotated_nothing_is_wrong():
    example, found = partly_annotated()
    example.predicted.spans["x"] = found
    scores = score_instructed([example], spans_key="x", types=["A"])
    assert scores["instruct_micro_p"] == scores["instruct_micro_r"] == 1.0
