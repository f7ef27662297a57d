"""Gold tags on tokens that are not the annotators'."""

import spacy
from spacy.tokens import Doc, Span
from spacy.training import Example

from spacy_bioner.tags import UNKNOWN
from spacy_bioner.training.gold import gold_tags, only_known

VOCAB = spacy.blank("en").vocab


def tags_of(words, spaces, gold, predicted, labels=("A",), **settings):
    """Both token lists are of one text; `gold` are (start, end, label)."""
    reference = Doc(VOCAB, words, spaces)
    reference.set_ents([Span(reference, *span) for span in gold], **settings)
    return gold_tags(Example(Doc(VOCAB, *predicted), reference), labels).tolist()


def test_the_same_tokens():
    words = ["x", "y", "z"], [True, True, False]
    assert tags_of(*words, [(0, 2, "A"), (2, 3, "B")], words) == [1, 2, 0]
    labels = ("B", "A")
    assert tags_of(*words, [(0, 2, "A"), (2, 3, "B")], words, labels) == [3, 4, 1]


def test_finer_and_coarser_tokens():
    fine, coarse = (
        (["anti", "-", "TNF", "drug"], [False, False, True, False]),
        (["anti-TNF", "drug"], [True, False]),
    )
    assert tags_of(*coarse, [(0, 1, "A")], fine) == [1, 2, 2, 0]
    assert tags_of(*fine, [(0, 3, "A")], coarse) == [1, 0]
    assert tags_of(*fine, [(2, 3, "A")], coarse) == [UNKNOWN, 0]
    assert tags_of(*fine, [(2, 3, "B")], coarse) == [0, 0]  # of no label asked for


def test_what_is_not_annotated():
    words = ["x", "y"], [True, False]
    assert tags_of(*words, [], words, default="missing") == [UNKNOWN] * 2
    assert tags_of(*words, [(0, 1, "A")], words, default="missing") == [1, UNKNOWN]
    assert tags_of(*words, [], words) == [0, 0]


def test_a_group_holds_what_entities_cannot():
    """A mention inside a longer one of another type is none of `doc.ents`."""
    words = ["the", "IL2", "gene", "promoter"]
    reference = Doc(VOCAB, words)
    reference.set_ents([Span(reference, 1, 4, "DNA")])
    inner = [(1, 2, "PROTEIN"), (1, 3, "DNA")]
    spans = [*reference.ents, *(Span(reference, *span) for span in inner)]
    reference.spans["gold"] = spans
    example = Example(Doc(VOCAB, words), reference)
    assert gold_tags(example, ["PROTEIN"]).tolist() == [0, 0, 0, 0]
    assert gold_tags(example, ["PROTEIN"], "gold").tolist() == [0, 1, 0, 0]
    assert gold_tags(example, ["DNA"], "gold").tolist() == [0, 1, 2, 2]  # the longest
    assert gold_tags(example, ["DNA"], "none").tolist() == [0, 1, 2, 2]


def test_what_nobody_annotated_is_not_wrong():
    reference = Doc(VOCAB, ["a", "b", "c"])
    reference.set_ents([Span(reference, 0, 1, "A")], missing=[reference[2:3]])
    gold, wrong, unknown = (0, 1, "A"), (2, 3, "A"), (4, 5, "A")
    found = only_known({gold, wrong, unknown, (2, 5, "A")}, {gold}, reference)
    assert found == {gold, wrong}
