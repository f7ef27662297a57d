"""The filter's benchmarks: names are found, runs that are done are found again, and the
table shows what filter and repair add."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import spacy

from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.entry import Entry

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import filter_sources  # noqa: E402
import filter_train  # noqa: E402
import tables  # noqa: E402


@pytest.fixture
def kb(tmp_path):
    names = [("Breast Cancer", "DISEASE"), ("cancer", "DISEASE"), ("AT", "DISEASE")]
    entries = [Entry("", name, label) for name, label in [*names, ("p53", "GENE")]]
    KnowledgeBase(entries).to_disk(tmp_path / "kb.jsonl")
    return tmp_path / "kb.jsonl"


@pytest.mark.parametrize(
    ("nested", "found"),
    [(True, ["breast cancer", "cancer", "AT"]), (False, ["breast cancer", "AT"])],
)
def test_names_are_found_in_any_case_and_short_ones_as_written(kb, nested, found):
    nlp = spacy.blank("en")
    find = filter_sources.Dictionary(nlp, kb, {"DISEASE"}, nested)
    spans = find(nlp("Of breast cancer at p53, and of AT."))
    assert [span.text for span in spans] == found


def test_candidates_stand_on_finer_tokens_too():
    nlp = spacy.blank("en")
    reference = spacy.tokens.Doc(
        nlp.vocab, ["anti", "tumor", "drugs"], [False, True, 0]
    )
    predicted = nlp("antitumor drugs")
    span = spacy.tokens.Span(predicted, 0, 1, "X")
    filter_sources.put(reference, "model", [span])
    (put,) = reference.spans["model"]
    assert (put.start, put.end, put.label_) == (0, 2, "X")


def test_only_runs_that_are_done_are_found_and_not_made_again(tmp_path, monkeypatch):
    made = []

    def run(command, check):
        output = Path(command[6])
        made.append(output.name)
        output.mkdir(parents=True)

    monkeypatch.setattr(filter_train.subprocess, "run", run)
    for name in ("full-1", "full-0", "full-0", "tagger-0"):
        filter_train.train(["a.cfg"], tmp_path / name, [])
    (tmp_path / "full-2").mkdir()
    assert made == ["full-1", "full-0", "tagger-0"]
    runs = filter_train.find_runs(tmp_path)
    last = filter_train.LAST
    assert runs["full"] == [tmp_path / "full-0" / last, tmp_path / "full-1" / last]
    assert runs["tagger"] == [tmp_path / "tagger-0" / last]
    assert runs["no_boundary"] == []


def test_the_table_has_a_row_for_each_source():
    def records(system, values):
        metrics = zip(("exact_p", "exact_r", "exact_f"), values, strict=True)
        return [filter_sources.record(system, "toy", m, float(v)) for m, v in metrics]

    found = [
        *records("model, own threshold", (80, 80, 80)),
        *records("model: raw", (40, 90, 55)),
        *records("model: filtered", (80, 70, 75)),
        *records("model: repaired", (82, 83, 82)),
    ]
    for part, value in ("difference", 27.0), ("low", 20.0), ("high", 30.0):
        system = "model: repaired - raw"
        found.append(filter_sources.record(system, "toy", f"exact_f_{part}", value))
    _, _, own, row = tables.filter_sources(found).splitlines()
    assert own.startswith("| toy | model, own threshold | 80.00 / 80.00 / 80.00 |")
    assert row.endswith("| 82.00 / 83.00 / 82.00 | +27.00 (+20.00 to +30.00) |")
    assert tables.filter_sources([]) == tables.NOTHING
