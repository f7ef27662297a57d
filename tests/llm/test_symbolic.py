"""Tagged text: exact for any text and spans, and honest about spoiled answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.errors import BionerError
from spacy_bioner.llm.alignment import squeeze
from spacy_bioner.llm.symbolic import (
    _symbols,
    decode,
    encode,
    escape,
    flatten,
)

LABELS = ["DISEASE", "GENE", "疾病", "NONE", "A", "A: B", "- x:"]
# Texts with what the notation is made of, type names included, and any others.
PIECES = [
    "[",
    "]",
    "\\",
    "\n",
    "\r",
    " ",
    "n",
    "ras",
    "GENE: ",
    "NONE",
    "肺癌",
    "```",
    ".",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join))


@st.composite
def tagged(draw):
    """A text and some spans of it, nested and crossing ones too."""
    text = draw(TEXTS)
    if not text:
        return text, []
    place = st.integers(0, len(text))
    spans = st.tuples(place, place, st.sampled_from(LABELS))
    chosen = draw(st.lists(spans, max_size=8))
    return text, [(min(s), max(s), x) for *s, x in chosen if s[0] != s[1]]


def in_order(spans):
    return sorted(set(spans), key=lambda span: (span[0], -span[1], span[2]))


@given(tagged())
def test_what_is_written_is_read_back(case):
    text, spans = case
    found, report = decode(encode(text, spans, LABELS), text, LABELS)
    assert found == in_order(spans)
    assert report.answered
    assert not any(report.repaired.values()) and not any(report.dropped.values())


@given(tagged())
def test_flat_tagging_reads_back_what_does_not_overlap(case):
    text, spans = case
    flat = [
        (start, end, label)
        for label in LABELS
        for start, end in flatten(s[:2] for s in spans if s[2] == label)
    ]
    answer = encode(text, spans, LABELS, nested=False)
    assert decode(answer, text, LABELS, nested=False)[0] == in_order(flat)
    nested = encode(text, spans, LABELS)  # a model that nests all the same
    found, report = decode(nested, text, LABELS, nested=False)
    assert found == in_order(flat)
    assert report.dropped["nested"] == len(set(spans)) - len(found)


@st.composite
def spoiled(draw):
    """A tagged text and what is left of it after some accidents."""
    text, spans = draw(tagged())
    answer = encode(text, spans, LABELS)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(answer)))
        end = draw(st.integers(start, min(start + 9, len(answer))))
        new = draw(st.one_of(st.text(max_size=5), st.sampled_from(PIECES)))
        answer = answer[:start] + new + answer[end:]
    lines = answer.split("\n")
    return text, "\n".join(draw(st.permutations(lines)))


@given(spoiled(), st.booleans())
def test_spoiled_answers_never_raise_nor_leave_the_text(case, nested):
    text, answer = case
    found, _ = decode(answer, text, LABELS, nested)
    said = squeeze("".join(symbol.char for symbol in _symbols(answer)))
    for start, end, label in found:
        assert 0 <= start < end <= len(text)
        assert label in LABELS
        assert squeeze(text[start:end]) in said  # no mention that was not made
    assert found == in_order(found)


@given(st.text(), st.text())
def test_any_answer_to_any_text(answer, text):
    decode(f"DISEASE: {answer}", text, LABELS)
    for start, end, _ in decode(answer, text, LABELS)[0]:
        assert text[start:end]


@given(TEXTS)
def test_the_escaped_text_is_one_line(text):
    assert "\n" not in escape(text) and "\r" not in escape(text)
    assert decode(f"GENE: {escape(text)}", text, LABELS)[0] == []


def mentions(answer, text, nested=True, labels=("DISEASE", "CHEMICAL")):
    """What is found, as it stands in the text, and the counts that are not zero."""
    found, report = decode(answer, text, labels, nested)
    counts = {**report.repaired, **report.dropped}
    return (
        [(label, text[start:end]) for start, end, label in found],
        {name: count for name, count in counts.items() if count},
    )


TEXT = "Raised [Ca2+]i and renal failure after aspirin or aspirin ."
SPOILED = {
    "clean": (
        r"DISEASE: Raised \[Ca2+\]i and [[renal] failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure"), ("DISEASE", "renal")],
        {},
    ),
    "brackets not escaped": (
        "CHEMICAL: Raised [[Ca2+]i] and renal failure after [aspirin] or aspirin .",
        [("CHEMICAL", "[Ca2+]i"), ("CHEMICAL", "aspirin")],
        {"literal_brackets": 2},
    ),
    "only the text's own brackets": (
        "CHEMICAL: Raised [Ca2+]i and renal failure after aspirin or aspirin .",
        [],
        {"literal_brackets": 2},
    ),
    "escaped, and a word changed": (
        r"CHEMICAL: Raised [\[Ca2+\]i] with renal failure after aspirin or aspirin.",
        [("CHEMICAL", "[Ca2+]i")],
        {"wording": 1},
    ),
    "spaces lost and added": (
        r"DISEASE: Raised \[ Ca2+ \] i and[ renal  failure ]after aspirin or aspirin.",
        [("DISEASE", "renal failure")],
        {"spacing": 1},
    ),
    "a word of the mention changed": (
        r"DISEASE: Raised \[Ca2+\]i and [kidney failure] after aspirin or aspirin .",
        [],
        {"wording": 1, "not_in_text": 1},
    ),
    "a word lost elsewhere": (
        r"DISEASE: \[Ca2+\]i and [renal failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {"wording": 1},
    ),
    "invented": (
        r"DISEASE: Raised \[Ca2+\]i and [ulcers], [renal failure] after aspirin .",
        [("DISEASE", "renal failure")],
        {"wording": 1, "not_in_text": 1},
    ),
    "cut": (
        r"DISEASE: Raised \[Ca2+\]i and [renal failure] after [asp",
        [("DISEASE", "renal failure")],
        {"wording": 1, "unbalanced": 1},
    ),
    "cut between words": (
        r"DISEASE: Raised \[Ca2+\]i and [renal failure] after",
        [("DISEASE", "renal failure")],
        {"wording": 1, "cut": 1},
    ),
    "the mention alone, in one place": (
        "DISEASE: [renal failure]",
        [("DISEASE", "renal failure")],
        {"wording": 1, "cut": 1},
    ),
    "the mention alone, in two places": (
        "CHEMICAL: [aspirin]",
        [],
        {"wording": 1, "cut": 1, "ambiguous": 1},
    ),
    "part of a word": (
        "DISEASE: [fail]",
        [],
        {"wording": 1, "not_in_text": 1},
    ),
    "doubled and unbalanced": (
        r"DISEASE: Raised \[Ca2+\]i and [[renal failure]] after] aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {"doubled": 1, "unbalanced": 1},
    ),
    "markdown": (
        "Here you are:\n```text\n- **Disease**: Raised \\[Ca2+\\]i and [renal failure] "
        "after aspirin or aspirin .\n```\nI hope this helps!",
        [("DISEASE", "renal failure")],
        {"type_name": 1, "other_lines": 2},
    ),
    "unknown type": (
        r"ORGAN: Raised \[Ca2+\]i and [renal] failure after aspirin or aspirin ."
        "\nDISEASE: none",
        [],
        {"unknown_type": 1},
    ),
    "a type without colon": (
        r"DISEASE: Raised \[Ca2+\]i and [renal failure] after aspirin or aspirin ."
        "\nCHEMICALS\n"
        r"Raised \[Ca2+\]i and renal failure after [aspirin] or aspirin .",
        [("DISEASE", "renal failure")],
        {"other_lines": 2},
    ),
    "a line of its own for the type": (
        "DISEASE:\n"
        r"Raised \[Ca2+\]i and [renal failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {},
    ),
    "a line of its own in marks": (
        "**DISEASE:**\n"
        r"Raised \[Ca2+\]i and [renal failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {"type_name": 1},
    ),
    "a line of its own, and a word changed": (
        "DISEASE:\n"
        r"Raised \[Ca2+\]i with [renal failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {"wording": 1},
    ),
    "lines of their own, one of a type not asked for": (
        "DISEASE:\nORGAN: [renal] failure\nCHEMICAL:\nNone\nGENE\n[Ca2+]",
        [],
        {"unknown_type": 1, "other_lines": 2},
    ),
    "marks escaped, the text's own brackets not": (
        r"CHEMICAL: Raised [Ca2+]i and renal failure after \[aspirin\] or aspirin .",
        [("CHEMICAL", "aspirin")],
        {"literal_brackets": 2},
    ),
    "thoughts": (
        "<think>\nDISEASE: [aspirin]?\n</think>\n\n"
        r"DISEASE: Raised \[Ca2+\]i and [renal failure] after aspirin or aspirin .",
        [("DISEASE", "renal failure")],
        {},
    ),
    "thoughts without end": ("<think>\nDISEASE: [renal failure]", [], {}),
    "refusal": ("I am sorry, I cannot help with that.", [], {"other_lines": 1}),
    "nothing": ("", [], {}),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_answers(case):
    answer, expected, counts = SPOILED[case]
    found, counted = mentions(answer, TEXT)
    assert found == expected
    assert counted == {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("answer", "answered"),
    [("NONE", True), ("none.", True), ("DISEASE: ", True), ("DISEASE: None", True)]
    + [("", False), ("I cannot.", False), ("<think>NONE", False), ("GENE: x", False)],
)
def test_whether_there_is_an_answer(answer, answered):
    found, report = decode(answer, TEXT, ["DISEASE"])
    assert not found and report.answered == answered


def test_chinese():
    text = "患者有糖尿病及高血压，糖尿病史10年。"
    clean = "疾病: 患者有[糖尿病]及[高血压]，糖尿病史10年。"
    assert mentions(clean, text, labels=["疾病"]) == (
        [("疾病", "糖尿病"), ("疾病", "高血压")],
        {},
    )
    other = "**疾病**：患者有【糖尿病】和【高血压】,糖尿病史10年"
    assert mentions(other, text, labels=["疾病"]) == (
        [("疾病", "糖尿病"), ("疾病", "高血压")],
        {"brackets": 2, "wording": 1, "type_name": 1},
    )
    assert (
        mentions("疾病：[糖尿病]", text, labels=["疾病"])[0] == []
    )  # which of the two?


def test_what_the_text_itself_says_ends_no_answer():
    text = "PMH:\nasthma\nSurgery:\nNone.\nFH:\ndiabetes"
    answer = "DISEASE: PMH:\n[asthma]\nSurgery:\nNone.\nFH:\n[diabetes]"
    assert mentions(answer, text) == (
        [("DISEASE", "asthma"), ("DISEASE", "diabetes")],
        {},
    )


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        ("a lung tumor", r"DISEASE: a \[lung tumor\]", ["lung tumor"]),
        ("a lung tumor", r"DISEASE: a \[lung\] [tumor]", ["lung", "tumor"]),
        (
            "raised [Ca2+]i and aspirin",
            r"DISEASE: Raised \[\[Ca2+\]i\] and \[aspirin\]",
            ["[Ca2+]i", "aspirin"],
        ),
        ("患者［男性］有糖尿病", "DISEASE: 患者[男性]有[糖尿病]", ["糖尿病"]),
        ("【主诉】头痛3天,糖尿病", "DISEASE: [主诉]头痛3天,[糖尿病]", ["糖尿病"]),
        ("【主诉】头痛3天，糖尿病", "DISEASE: 【主诉】头痛3天,【糖尿病】", ["糖尿病"]),
        (
            "raised Ca²⁺ in HbA₁c",
            "DISEASE: raised [Ca2+] in [HbA1c]",
            ["Ca²⁺", "HbA₁c"],
        ),
    ],
)
def test_marks_and_signs_written_another_way(text, answer, found):
    assert [surface for _, surface in mentions(answer, text)[0]] == found


def test_order_tells_places_apart():
    text = "At rest mild pain . Later mild pain ."
    answer = "DISEASE: At rest mild pain . Then mild [pain] ."
    assert decode(answer, text, ["DISEASE"])[0] == [(31, 35, "DISEASE")]


def test_line_breaks_that_the_model_did_not_escape():
    text = "HISTORY: asthma\nNOW: renal failure\nDRUGS: aspirin"
    answer = (
        "DISEASE: HISTORY: [asthma]\nNOW: [renal failure]\nDRUGS: aspirin\nGENE: [x]"
    )
    found, counted = mentions(answer, text)
    assert found == [("DISEASE", "asthma"), ("DISEASE", "renal failure")]
    assert counted == {"unknown_type": 1}


def test_line_breaks_that_the_model_escaped():
    text = "HISTORY: asthma\nNOW: renal failure"
    answer = "DISEASE:\n" r"HISTORY: [asthma]\nNOW: [renal failure]"
    found, counted = mentions(answer, text)
    assert found == [("DISEASE", "asthma"), ("DISEASE", "renal failure")]
    assert counted == {}


@pytest.mark.parametrize(
    ("labels", "line", "label"),
    [
        (["A", "A: B"], "A: B: the [lung]", "A: B"),
        (["UMLS:T047"], "UMLS:T047：the [lung]", "UMLS:T047"),
        (["Gene", "GENE"], "GENE: the [lung]", "GENE"),
        (["GENE", "GENE"], "gene: the [lung]", "GENE"),
    ],
)
def test_labels_that_look_alike(labels, line, label):
    """Also where the copy is not exact."""
    assert decode(line, "a lung", labels)[0] == [(2, 6, label)]


def test_a_mention_that_begins_within_a_word():
    text = "An antitumor drug"
    for answer in ("DISEASE: An anti[tumor] drug", "DISEASE: an anti[tumor] DRUG"):
        assert decode(answer, text, ["DISEASE"])[0] == [(7, 12, "DISEASE")]


def test_a_long_runaway_answer_ends():
    text = "pain and " * 200
    assert decode("DISEASE: " + "the [pain] " * 3000, text, ["DISEASE"])[1].answered


@pytest.mark.parametrize("marks", ["_", "* ", "- 1. ", "`", ":" + "_", "**_ "])
def test_a_long_line_of_marks_ends(marks):
    """Such as a form's empty field: a regular expression took minutes for 400."""
    answer = marks * 3000 + "\nDISEASE: [gout]"
    found, report = decode(answer, "gout", ["DISEASE"])
    assert found == [(0, 4, "DISEASE")] and report.dropped["other_lines"] == 1


def test_what_cannot_be_written():
    with pytest.raises(BionerError, match="B701"):
        encode("a", [(0, 1, "two\nlines")])
    for span in ((0, 2), (0, 0), (-1, 1)):
        with pytest.raises(BionerError, match="B702"):
            encode("a", [(*span, "A")])
