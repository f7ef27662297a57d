"""Scores: exact, in full, and only for what a corpus annotates."""

import pytest
import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example
from toy import annotate, partly_annotated

from spacy_bioner.task import set_task
from spacy_bioner.training.scorer import make_heads_scorer, score_heads

NLP = spacy.blank("en")
HEADS = {"diseases": ["DISEASE"], "genes": ["GENE"], "everyday": ["THING"]}


def scored(gold: str, found: str, reference=None, predicted=None) -> Example:
    return Example(
        annotate(NLP, found, task=predicted), annotate(NLP, gold, task=reference)
    )


def test_other_corpora_s_labels_are_no_false_positives():
    gold, found = "[asthma|DISEASE] or IL2", "[asthma|DISEASE] or [IL2|GENE]"
    scores = score_heads([scored(gold, found, "diseases")], heads=HEADS)
    assert scores["ents_p"] == scores["ents_r"] == scores["heads_f"] == 1.0
    assert list(scores["ents_per_type"]) == ["DISEASE"]
    scores = score_heads([scored(gold, found)], heads=HEADS)  # no task: all count
    assert scores["ents_p"] == 0.5


def test_gold_whose_label_the_head_does_not_know_is_missed():
    gold = "[asthma|DISEASE] and [IL2|GENE]"
    scores = score_heads([scored(gold, gold, "diseases")], heads=HEADS)
    assert (scores["ents_p"], scores["ents_r"]) == (1.0, 0.5)


def test_reference_names_the_task_first():
    one = scored("[asthma|DISEASE]", "[asthma|DISEASE]", "diseases", "genes")
    two = scored("[asthma|DISEASE]", "[asthma|DISEASE]", None, "diseases")
    for example in (one, two):
        scores = score_heads([example], heads=HEADS)
        assert list(scores["heads_per_task"]) == ["diseases"]


def test_gold_that_no_prediction_can_align_with_still_counts():
    words = ["anti", "TNF", "acts"]
    reference = Doc(NLP.vocab, words=words, spaces=[False, True, False])
    reference.ents = [Span(reference, 1, 2, "GENE")]
    predicted = Doc(NLP.vocab, words=["antiTNF", "acts"])
    predicted.ents = [Span(predicted, 0, 1, "GENE")]
    set_task(predicted, "genes")
    scores = score_heads([Example(predicted, reference)], heads=HEADS)
    assert scores["ents_per_type"]["GENE"] == {"p": 0.0, "r": 0.0, "f": 0.0}
    predicted.ents = []
    scores = score_heads([Example(predicted, reference)], heads=HEADS)
    assert scores["ents_r"] == 0.0


def test_boundary_and_label_must_both_be_right():
    example = scored(
        "[lung cancer|DISEASE] and [IL2|GENE] and [p53|GENE]",
        "lung [cancer|DISEASE] and [IL2|DISEASE] and [p53|GENE]",
    )
    scores = score_heads([example], heads=HEADS)
    assert scores["ents_p"] == scores["ents_r"] == pytest.approx(1 / 3)


def test_mean_over_target_tasks_beside_the_total():
    examples = [
        scored("[asthma|DISEASE]", "[asthma|DISEASE]", "diseases"),
        scored("[IL2|GENE] or [p53|GENE]", "IL2 or p53", "genes"),
        scored("[day|THING]", "day", "everyday"),
    ]
    scores = score_heads(examples, heads=HEADS, general=["everyday"])
    assert scores["heads_f"] == 0.5
    assert scores["ents_r"] == 0.25
    assert sorted(scores["heads_per_task"]) == ["diseases", "everyday", "genes"]


def test_nothing_annotated_is_no_score():
    bare = Example(NLP.make_doc("p53"), NLP.make_doc("p53"))
    scores = score_heads([bare], heads=HEADS)
    assert set(scores.values()) == {None}
    both = score_heads([bare, scored("[p53|GENE]", "[p53|GENE]", "genes")], heads=HEADS)
    assert both["ents_f"] == 1.0


def test_annotated_without_entities_counts_false_positives():
    scores = score_heads([scored("p53", "[p53|GENE]", "genes")], heads=HEADS)
    assert scores["ents_p"] == 0.0


def test_registered_and_deaf_to_other_settings():
    scorer = spacy.registry.scorers.get("spacy-bioner.heads_scorer.v1")()
    assert scorer is make_heads_scorer() is score_heads
    assert scorer([], heads=HEADS, labels=("X",), spans_key="gerbera")["ents_f"] is None


def test_where_nobody_annotated_nothing_is_wrong():
    example, found = partly_annotated()
    example.predicted.ents = found
    assert score_heads([example])["ents_p"] == score_heads([example])["ents_r"] == 1.0
