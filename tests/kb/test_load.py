"""Several sources -> one knowledge base -> disk."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_bioner.errors import BionerError
from spacy_bioner.kb import Entry, KnowledgeBase
from spacy_bioner.kb.entry import SCOPES
from spacy_bioner.kb.load import load


def test_sources_are_merged_and_counted(sources):
    paths = [sources["toy.obo"], sources["toy.owl"], sources["toy.tsv"]]
    kb, counts = load(paths)
    assert [dict(count) for count in counts.values()] == [
        {"kept": 2, "obsolete": 1, "unnamed": 1},
        {"kept": 2, "obsolete": 1, "unnamed": 1},
        {"kept": 3},
    ]
    [fever] = kb.find("TOY:1")
    assert fever.name == "stone fever"
    assert fever.synonyms['stone "hot" fever'] == "exact"
    assert fever.synonyms["fever"] == "broad"
    assert fever.xrefs.count("OMIM:100001") == 1
    assert kb.labels == ["", "CELL", "METAL", "TOY", "http"]


def test_find_prefers_the_entry_itself(sources):
    kb, _ = load([sources["toy.obo"], sources["ctd.tsv"]])
    assert [entry.name for entry in kb.find("D000001")] == ["Stone Fever"]
    assert [entry.name for entry in kb.find("MIM:100001")] == ["stone fever"]
    assert kb.find("TOY:9") == kb.find("TOY:1")  # a former identifier
    assert kb.find("TOY:0") == []


def test_names_without_identifier_are_one_entry_whatever_their_case(tmp_path):
    (tmp_path / "a.tsv").write_text(
        "name\ttype\nIron\tMETAL\niron\tMETAL\niron\tTOOL\n"
    )
    kb, _ = load([tmp_path / "a.tsv"])
    assert [(e.name, e.label) for e in kb.entries] == [
        ("Iron", "METAL"),
        ("iron", "TOOL"),
    ]


def test_labels(sources):
    labels = {"T*": "DISEASE", "CELL": "CELL_TYPE"}
    kb, _ = load([sources["toy.obo"], sources["toy.tsv"]], labels)
    assert kb.labels == ["", "CELL_TYPE", "DISEASE", "METAL"]
    kb, counts = load([sources["toy.tsv"]], {"TOY": "METAL"}, only_mapped=True)
    # METAL is no pattern, but the label that one leads to.
    assert [entry.label for entry in kb.entries] == ["METAL", "METAL"]
    assert counts[str(sources["toy.tsv"])]["unmapped"] == 1


words = st.text(min_size=1)
entries = st.builds(
    Entry,
    id=st.text(),
    name=words,
    label=st.text(),
    synonyms=st.dictionaries(words, st.sampled_from(SCOPES)),
    xrefs=st.lists(words),
)


@given(st.lists(entries, max_size=4), st.sampled_from(["kb.jsonl", "kb.jsonl.gz"]))
def test_disk(tmp_path_factory, entries, name):
    path = tmp_path_factory.mktemp("kb") / name
    KnowledgeBase(entries).to_disk(path)
    written = path.read_bytes()
    kb = KnowledgeBase.from_disk(path)
    assert kb.entries == entries
    kb.to_disk(path)
    assert path.read_bytes() == written


def test_a_knowledge_base_is_a_source(sources, tmp_path):
    kb, _ = load([sources["toy.owl"]])
    kb.to_disk(tmp_path / "kb.jsonl")
    again, _ = load([tmp_path / "kb.jsonl"])
    assert again == kb


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b"\xff", "B905"),
        ("a.jsonl.gz", b"plain", "B905"),
        ("a.jsonl.gz", gzip.compress(b"x" * 99)[:12] + b"\xff" * 9, "B905"),
        ("a.jsonl", b'{"id": "A:1", "name": "a"}\n{"x": 1}\n', "a.jsonl:2:"),
        ("a.jsonl", b"[]\n", "a.jsonl:1:"),
        ("a.jsonl", b"{broken\n", "a.jsonl:1:"),
        ("a.jsonl", b'{"id": 1, "name": "a"}', "a.jsonl:1:"),
        ("a.jsonl", b'{"id": "A:1", "name": "a", "synonyms": ["b"]}', "a.jsonl:1:"),
        ("a.jsonl", b'{"id": "", "name": "a", "synonyms": {"b": "EXACT"}}', "l:1:"),
        ("a.jsonl", b'{"id": "A:1", "name": "cut sh', "a.jsonl:1:"),
        ("a.xlsx", b"", "B904"),
    ],
)
def test_files_that_are_none(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BionerError, match=message):
        load([tmp_path / name])


def test_a_missing_file(tmp_path):
    for name in ("a.jsonl", "a.obo", "a.tsv", "a.owl", "a.spacy"):
        with pytest.raises(BionerError, match=name):
            load([tmp_path / name])
