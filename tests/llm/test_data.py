"""Documents as chats: the task's own prompts, answers that say all of the gold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin, Span
from spacy.util import load_config

from spacy_bioner.errors import BionerError
from spacy_bioner.llm.data import ask_for, make_rows, mix, read_docs, read_sources
from spacy_bioner.llm.symbolic import decode
from spacy_bioner.llm.task import make_symbolic_spans

from .tiny import LABELS, TAGGED, config, task, write_corpus

pytest.importorskip("spacy_llm", reason="needs spacy-llm")
CONFIGS = Path(__file__).parent.parent.parent / "configs"
ALL = {"drop_types": 0.0, "empty": 1.0, "seed": 0}


@pytest.fixture
def folder(tmp_path) -> Path:
    write_corpus(tmp_path)
    return tmp_path


def sources(folder, changes=None, **settings):
    made = config(folder, **settings)
    for section in made["data"]["sources"].values():
        section.update(changes or {})
    return read_sources(made, folder / "c.cfg")


def contents(row) -> tuple[str, str]:
    (user, assistant) = row["messages"]
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    return user["content"], assistant["content"]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_prompts_are_the_tasks_and_answers_the_gold(folder, lang):
    source = sources(folder)[lang]
    rows, counts = make_rows(source, **ALL)
    docs = list(read_docs(source.path, spacy.blank(lang)))
    prompts = [p for ps, _ in source.task.generate_prompts(docs) for p in ps]
    assert [contents(row)[0] for row in rows] == prompts
    for doc, row, (text, tagged) in zip(docs, rows, TAGGED[lang], strict=True):
        found, report = decode(contents(row)[1], doc.text, LABELS)
        assert doc.text == text and found == decode(tagged, text, LABELS)[0]
        assert not +report.repaired and not +report.dropped
    mentions = sum(len(doc.spans["gold"]) for doc in docs)
    assert (counts.documents, counts.rows) == (len(docs), len(docs))
    assert (counts.written, counts.lost) == (mentions, 0)


def test_chinese_prompts_are_chinese(folder):
    rows, _ = make_rows(sources(folder)["zh"], **ALL)
    assert all("请标出文本中下列类型的所有实体" in contents(row)[0] for row in rows)


def test_long_texts_are_asked_in_pieces_and_lost_mentions_counted(tmp_path):
    nlp = spacy.blank("en")
    doc = nlp("One had gout. Two had a very long lasting kind of renal failure")
    doc.ents = [Span(doc, 2, 3, "DISEASE"), Span(doc, 6, 14, "DISEASE")]
    DocBin(docs=[doc]).to_disk(tmp_path / "en.spacy")
    changes = {"spans_key": None, "path": str(tmp_path / "en.spacy"), "lang": "en"}
    rows, counts = make_rows(sources(tmp_path, changes, max_chars=40)["en"], **ALL)
    answers = [contents(row)[1] for row in rows]
    assert answers == ["DISEASE: One had [gout].", "NONE", "NONE"]
    assert (counts.written, counts.lost, counts.nothing) == (1, 1, 2)


def test_nested_mentions_are_lost_to_a_task_that_wants_none(folder):
    rows, counts = make_rows(sources(folder, nested=False)["zh"], **ALL)
    assert contents(rows[1])[1] == "DISEASE: [2型糖尿病肾病]"
    assert counts.lost == 1


def test_left_out_types_are_in_neither_prompt_nor_answer(folder):
    source = sources(folder, {"weight": 20.0})["en"]
    rows, _ = make_rows(source, drop_types=0.5, empty=1.0, seed=0)
    asked = Counter()
    for row in rows:
        prompt, answer = contents(row)
        types = tuple(t[2:] for t in prompt.split("\n") if t[2:] in LABELS)
        asked[types] += 1
        heads = {line.split(":")[0] for line in answer.split("\n")} - {"NONE"}
        assert heads <= set(types)
    kinds = {("DISEASE",), ("CHEMICAL",), ("DISEASE", "CHEMICAL")}
    assert set(asked) == kinds | {("CHEMICAL", "DISEASE")}
    assert min(asked.values()) > len(rows) / 12
    again, _ = make_rows(source, drop_types=0.5, empty=1.0, seed=0)
    other, _ = make_rows(source, drop_types=0.5, empty=1.0, seed=1)
    assert again == rows != other


def test_weights_and_texts_without_mentions(folder):
    twice, _ = make_rows(sources(folder, {"weight": 2.0})["en"], **ALL)
    assert len(twice) == 2 * len(TAGGED["en"])
    half, _ = make_rows(sources(folder, {"weight": 10.5})["en"], **ALL)
    assert 40 <= len(half) <= 44
    rows, counts = make_rows(sources(folder)["en"], **{**ALL, "empty": 0.0})
    assert counts.nothing == 0 and len(rows) == len(TAGGED["en"]) - 1


def test_what_nobody_annotated_says_nothing(folder):
    nlp = spacy.blank("en")
    path = folder / "en.spacy"
    docs = [*DocBin().from_disk(path).get_docs(nlp.vocab), nlp("No group here.")]
    gold = docs[0].spans["gold"]
    gold.append(Span(docs[0], 1, 1, gold[0].label_))  # of no words
    DocBin(docs=docs).to_disk(path)
    rows, counts = make_rows(sources(folder)["en"], **ALL)
    assert (counts.documents, counts.skipped) == (len(docs), 1)
    assert len(rows) == len(docs) - 1


def test_mixing_keeps_every_row_and_is_seeded(folder):
    made = [make_rows(source, **ALL)[0] for source in sources(folder).values()]
    mixed = mix(made, 3)
    names = [row["source"] for row in mixed]
    assert Counter(names) == {"en": 4, "zh": 2} and names != sorted(names)
    assert mixed == mix(made, 3)
    assert sorted(map(str, mixed)) == sorted(str(row) for rows in made for row in rows)


def test_examples_have_the_types_that_are_asked_for():
    example = {"text": "gout", "answer": "DISEASE: [gout]"}
    made = make_symbolic_spans(LABELS, examples=lambda: [example])
    assert ask_for(made, ["DISEASE"]).examples[0]["answer"] == "DISEASE: [gout]"
    assert ask_for(made, ["CHEMICAL"]).examples[0]["answer"] == "NONE"
    assert made.examples[0]["answer"] == "DISEASE: [gout]" and len(made.labels) == 2


def test_the_committed_config_has_sources():
    made = load_config(CONFIGS / "llm_data.cfg", interpolate=True)
    found = read_sources(made, CONFIGS)
    assert {source.lang for source in found.values()} == {"en", "zh"}


@pytest.mark.parametrize(
    ("made", "error"),
    [
        ({}, "B710"),
        ({"data": {"sources": {"a": {"path": "x"}}}}, "B710.*'a' lacks"),
        (
            {"data": {"sources": {"a": {"path": "x", "task": {}, "k": 1}}}},
            r"B710.*\['k'",
        ),
    ],
)
def test_configs_that_are_not_complete(made, error):
    with pytest.raises(BionerError, match=error):
        read_sources(made, Path("c.cfg"))


def test_corpora_that_cannot_be_asked_about(folder):
    with pytest.raises(BionerError, match="B712.*GENE.*CHEMICAL"):
        make_rows(sources(folder, {"task": task("en", labels=["GENE"])})["en"], **ALL)
    with pytest.raises(BionerError, match="B603"):
        make_rows(sources(folder, {"path": "nowhere.spacy"})["en"], **ALL)
    (folder / "en.spacy").write_text("no DocBin")
    with pytest.raises(BionerError, match="B901"):
        make_rows(sources(folder)["en"], **ALL)
