"""SourceDocument -> Doc: nothing lost silently, text untouched."""

from __future__ import annotations

from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin

from spacy_bioner.corpora.convert import (
    GOLD_KEY,
    SPANS_KEY,
    Report,
    attrs_of,
    drop_duplicates,
    map_labels,
    sentences_with_mention,
    to_doc,
    write,
)
from spacy_bioner.corpora.detokenize import join_tokens
from spacy_bioner.corpora.document import Mention, SourceDocument
from spacy_bioner.corpora.select import sliced, with_ids, without_ids
from spacy_bioner.errors import BionerError
from spacy_bioner.task import get_task

NLP = spacy.blank("en")


def convert(text, *mentions, **options):
    report = Report()
    source = SourceDocument("d", text, [Mention(*m) for m in mentions])
    doc = to_doc(source, NLP.make_doc, report, **options)
    return doc, report


def test_a_token_is_split_at_a_gold_boundary():
    doc, report = convert("An antitumor effect", (7, 12, "TISSUE", "T1"), task="a")
    assert [t.text for t in doc] == ["An", "anti", "tumor", "effect"]
    assert doc.text == "An antitumor effect"
    [ent] = doc.ents
    assert (ent.text, ent.label_, ent.kb_id_) == ("tumor", "TISSUE", "T1")
    assert report.labels["TISSUE"] == {"mentions": 1, "mid-token": 1, "kept": 1}
    assert get_task(doc) == "a"


def test_flat_keeps_the_longest_and_all_of_gold():
    doc, report = convert("a b c d", (0, 3, "X"), (2, 7, "Y"), (2, 7, "Z"))
    assert [(e.text, e.label_) for e in doc.ents] == [("b c d", "Y")]
    assert len(doc.spans[GOLD_KEY]) == 3
    assert report.to_json()["total"]["overlapping"] == 2
    assert doc.user_data["mentions"]["kept"] == 1


def test_nested_keeps_everything_once():
    doc, report = convert(
        "a b c", (0, 5, "X"), (2, 3, "X"), (2, 3, "X"), (2, 3, "Y"), nested=True
    )
    assert len(doc.spans[SPANS_KEY]) == 3
    assert not doc.ents
    assert report.to_json()["total"]["duplicate"] == 1


def test_of_equal_mentions_an_identifier_is_kept():
    doc, _ = convert("flu here", (0, 3, "D"), (0, 3, "D", "MESH:1"), (0, 3, "D", "x"))
    assert [ent.kb_id_ for ent in doc.ents] == ["MESH:1"]


def test_white_space_is_trimmed_and_counted():
    doc, report = convert("a rat  b", (1, 6, "X"), (5, 7, "X"), (0, 0, "X"))
    assert [e.text for e in doc.ents] == ["rat"]
    counts = report.labels["X"]
    assert (counts["trimmed"], counts["empty"], counts["mentions"]) == (1, 2, 3)


def test_no_mentions_are_outside_not_missing():
    doc, _ = convert("No entity here.")
    assert {t.ent_iob_ for t in doc} == {"O"}
    empty, _ = convert("")
    assert len(empty) == 0


@given(
    st.text(max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8),
    st.booleans(),
)
def test_every_mention_is_accounted_for(text, places, nested):
    mentions = [(a, b, "X") for a, b in places if a <= b <= len(text)]
    doc, report = convert(text, *mentions, nested=nested)
    assert doc.text == text
    total = report.to_json()["total"]
    get = total.get
    assert get("mentions", 0) == len(mentions)
    lost = sum(get(key, 0) for key in ("empty", "duplicate", "overlapping"))
    assert get("kept", 0) + lost == len(mentions)
    wanted = {text[a:b].strip() for a, b, _ in mentions} - {""}
    assert {s.text for s in doc.spans[SPANS_KEY if nested else GOLD_KEY]} == wanted


@given(st.lists(st.text("abc.,()\"'", min_size=1, max_size=4), max_size=12))
def test_join_tokens_changes_no_token(tokens):
    text, offsets = join_tokens(tokens)
    assert [text[a:b] for a, b in offsets] == tokens
    assert text.replace(" ", "") == "".join(tokens)


def test_sentences_by_rule_and_as_given():
    text = 'Seen in E. coli (Fig. 2). Mice died! "Why?" they asked.\nTitle\np53 rose.'
    doc, _ = convert(text)
    assert [s.text.strip() for s in doc.sents] == [
        "Seen in E. coli (Fig. 2).",
        "Mice died!",
        '"Why?" they asked.',
        "Title",
        "p53 rose.",
    ]
    source = SourceDocument("d", "a. B c.", [], sentence_starts=[0, 5])
    doc = to_doc(source, NLP.make_doc, Report())
    assert [s.text for s in doc.sents] == ["a. B", "c."]


def test_labels_are_mapped_by_the_first_pattern():
    source = SourceDocument("d", "ab", [Mention(0, 1, "P_x"), Mention(0, 1, "Q")])
    source.lost = [("P_y", "discontinuous"), ("R", "discontinuous")]
    [mapped] = map_labels([source], {"P_*": "P"}, only_mapped=True)
    assert [m.label for m in mapped.mentions] == ["P"]
    assert mapped.lost == [("P", "discontinuous")]


def test_a_label_stands_for_itself_whatever_it_holds():
    source = SourceDocument("1", "Rats ran", [Mention(0, 4, "Org[human]")])
    [document] = map_labels([source], {"Org[human]": "H"}, only_mapped=True)
    assert [mention.label for mention in document.mentions] == ["H"]


def test_selection(tmp_path):
    documents = [SourceDocument(i, "t") for i in "abcb"]
    report = Report()
    unique = list(drop_duplicates(documents, report))
    assert ([d.id for d in unique], report.duplicate_documents) == (["a", "b", "c"], 1)
    ids = tmp_path / "ids.txt"
    ids.write_text("# two\na\nz\n")
    missing: set[str] = set()
    assert [d.id for d in with_ids(unique, ids, missing)] == ["a"]
    assert missing == {"z"}
    unused: set[Path] = set()
    assert [d.id for d in without_ids(unique, ids, unused)] == ["b", "c"]
    assert not unused
    assert [d.id for d in sliced(unique, "1:")] == ["b", "c"]
    for bounds in ("1", "x:", "-1:2"):
        with pytest.raises(BionerError, match="--slice"):
            sliced(unique, bounds)
    ids.write_text("y\nz\n")
    with pytest.raises(BionerError, match="None of the 2 ids"):
        list(with_ids(unique, ids, missing))
    assert [d.id for d in without_ids(unique, ids, unused)] == ["a", "b", "c"]
    assert unused == {ids}


def test_what_only_a_recurring_document_has_is_counted():
    """As of files that hold one type each."""
    one = SourceDocument("1", "a b", [Mention(0, 1, "X")])
    two = SourceDocument("1", "a b", [Mention(0, 1, "X"), Mention(2, 3, "Y")])
    report = Report()
    assert list(drop_duplicates([one, two], report)) == [one]
    assert report.labels == {"Y": {"mentions": 1, "recurred": 1}}


@pytest.mark.parametrize("nested", [False, True])
def test_selected_sentences_keep_gold_and_say_what_they_lose(nested):
    text = "None here. Acute renal failure. Up to E. coli"
    source = SourceDocument("7", text, sentence_starts=[0, 11, 32, 41])
    source.mentions = [
        Mention(11, 30, "D", "MESH:1"),
        Mention(17, 30, "D"),
        Mention(38, 45, "S"),  # across a border
    ]
    report = Report()
    doc = to_doc(source, NLP.make_doc, report, nested=nested, task="t")
    [one] = sentences_with_mention([doc], report)
    assert one.text.strip() == "Acute renal failure." and get_task(one) == "t"
    [(key, group)] = one.spans.items()
    assert key == (SPANS_KEY if nested else GOLD_KEY)
    assert [(s.text, s.kb_id_) for s in group] == [
        ("Acute renal failure", "MESH:1"),
        ("renal failure", ""),
    ]
    assert one.user_data["id"] == "7-2" and one.user_data["exact_text"]
    assert report.labels["S"]["cross-sentence"] == 1 and not report.labels["S"]["kept"]


def test_a_mention_that_was_beaten_across_a_border_stands_in_its_sentence():
    source = SourceDocument("1", "Severe asthma. Next.", sentence_starts=[0, 15])
    source.mentions = [Mention(7, 13, "D"), Mention(7, 19, "D")]
    report = Report()
    doc = to_doc(source, NLP.make_doc, report)
    [one] = sentences_with_mention([doc], report)
    assert [ent.text for ent in one.ents] == ["asthma"]
    assert report.labels["D"]["kept"] == 1 and report.labels["D"]["overlapping"] == 0


def test_what_documents_have_besides_mentions_is_written_if_asked_for(tmp_path):
    doc = Doc(
        NLP.vocab, ["Rats", "ran"], tags=["N", "V"], heads=[1, 1], deps=["s", "r"]
    )
    for attrs in (None, attrs_of([doc])):
        write([doc], tmp_path / "a.spacy", *([attrs] if attrs else []))
        [back] = DocBin().from_disk(tmp_path / "a.spacy").get_docs(NLP.vocab)
        kept = [(t.tag_, t.dep_, t.head.i) for t in back]
        assert (kept == [("N", "s", 1), ("V", "r", 1)]) == bool(attrs)
    plain, _ = convert("Rats. Mice ran.")
    write([plain], tmp_path / "b.spacy", attrs_of([plain]))
    [back] = DocBin().from_disk(tmp_path / "b.spacy").get_docs(NLP.vocab)
    assert len(list(back.sents)) == 2


def test_the_file_keeps_what_the_doc_has(tmp_path):
    doc, _ = convert("Rats. Mice ran.", (0, 4, "SPECIES", "10116"), task="t")
    output = tmp_path / "new" / "a.spacy"
    write([doc], output)
    [back] = DocBin().from_disk(output).get_docs(NLP.vocab)
    assert (get_task(back), back.user_data["id"]) == ("t", "d")
    assert back.ents[0].kb_id_ == "10116"
    assert [s.text for s in back.sents] == ["Rats.", "Mice ran."]
    assert [p.name for p in output.parent.iterdir()] == ["a.spacy"]
    with pytest.raises(BionerError, match="No document left"):
        write([], output)
