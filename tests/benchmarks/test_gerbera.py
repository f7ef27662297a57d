"""The queue of GERBERA's experiment: its order, what it goes on with, its data."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin, Span
from toy import annotate, cnn_pipeline, toy_examples, train

from spacy_bioner.corpora.convert import GOLD_KEY, write

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import gerbera  # noqa: E402
from gerbera import Result, Run  # noqa: E402

RNA = [Run("jnlpba_rna", arm, seed) for seed in (0, 1) for arm in ("single", "gum")]


def fake(run: Run, correct: int = 3) -> Result:
    return Result(run, 80.0, 1000, [[correct, 1, 0], [1, 0, 1]])


def test_the_queue_goes_by_target_and_seed():
    queue = gerbera.plan(
        gerbera.TARGETS,
        [*gerbera.DEFAULT_ARMS, "stage1", "wnut17_typed"],
        [0, 1, 2],
        gerbera.PERCENTS,
    )
    assert len(queue) == len(set(queue)) == 3 * 3 * 3 + 2 * 2 * 3 + (2 + 1) * 3
    assert len({str(run) for run in queue}) == len(queue)
    assert [str(run) for run in queue[:4]] == [
        "jnlpba_rna-100-single-0",
        "jnlpba_rna-100-gum-0",
        "jnlpba_rna-100-wnut17-0",
        "jnlpba_rna-100-single-1",
    ]
    assert {run.target for run in queue[9:18]} == {"jnlpba_cell_line"}
    curve, probes = queue[27:39], queue[39:]
    assert {(run.target, run.percent) for run in probes} == set(gerbera.PROBED)
    assert all(run.is_probe for run in probes)
    assert not any(run.is_probe for run in queue[:39])
    assert {(run.target, run.arm) for run in curve} == {
        ("ncbi_disease", "single"),
        ("ncbi_disease", "gum"),
    }
    assert {run.percent for run in curve} == {10, 25}


def test_a_part_of_the_queue():
    assert gerbera.plan(["jnlpba_rna"], ["single", "gum"], [0, 1], [100]) == RNA
    assert gerbera.plan(["jnlpba_rna"], ["single"], [0], [10]) == []
    assert gerbera.plan(["ncbi_disease"], ["wnut17", "gum"], [2], [10]) == [
        Run("ncbi_disease", "gum", 2, 10)
    ]


def test_results_are_kept_and_read_again(tmp_path):
    assert gerbera.load_results(tmp_path) == []
    gerbera.save_results([fake(run) for run in RNA], tmp_path)
    assert sorted(gerbera.load_results(tmp_path), key=lambda r: r.run.seed) == [
        fake(run) for run in sorted(RNA, key=lambda run: (run.seed, run.arm))
    ]
    saved = json.loads((tmp_path / "gerbera_method.json").read_text("utf8"))
    assert any(row["metric"] == "difference" for row in saved)


def test_another_encoders_results_are_kept_apart(monkeypatch, capsys, tmp_path):
    other = ["gerbera.py", "--list", "--encoder", "other"]
    monkeypatch.setattr(sys, "argv", other)
    with pytest.raises(SystemExit):
        gerbera.parse_args()
    assert "--results" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*other, "--results", str(tmp_path)])
    assert gerbera.parse_args().results == tmp_path


def test_records_of_runs_arms_and_comparisons():
    results = [fake(run, 3 + (run.arm == "gum")) for run in RNA[:3]]
    rows = list(gerbera.make_records(results))
    values = {
        (row["system"], row["metric"], row["split"], row["seed"]): row["value"]
        for row in rows
    }
    assert len(values) == len(rows)
    single, gum = "single task", "+ GUM-Time"
    assert values[single, "own_f", "test", 1] == 80.0  # 4 of 5 and of 5
    assert values[gum, "own_f", "test", 0] == pytest.approx(100 * 10 / 12, abs=1e-3)
    assert values[single, "deviation_f", "test", None] == 0
    assert (gum, "deviation_f", "test", None) not in values  # of one seed
    assert values[gum, "difference", "test", None] == pytest.approx(10 / 3, abs=1e-3)
    assert (single, "difference", "test", None) not in values
    (note,) = {row["note"] for row in rows if row["metric"] == "difference"}
    assert note.startswith("1 seeds")  # the one that both arms have


@given(st.integers(1, 300), st.integers(0, 5))
def test_smaller_shares_are_part_of_larger_ones(count, seed):
    shares = [gerbera.choose(count, percent, seed) for percent in (10, 25, 100)]
    assert set(shares[0]) <= set(shares[1]) <= set(shares[2])
    assert shares[2] == list(range(count))
    assert [len(share) for share in shares] == [
        round(count / 10),
        round(count / 4),
        count,
    ]


def test_another_seed_draws_others():
    assert gerbera.choose(100, 10, 0) != gerbera.choose(100, 10, 1)


def two_sentences(nlp, identifier: str) -> Doc:
    doc = annotate(nlp, "[IL2|GENE] is up . No [p53|GENE] was found .")
    for token in doc:
        token.is_sent_start = token.i in (0, 4)
    inner = Span(doc, 5, 7, "GENE")  # overlaps p53: only the full gold has it
    doc.spans[GOLD_KEY] = [*doc.ents, inner]
    doc.user_data["id"] = identifier
    return doc


def test_the_corpora_of_a_run(tmp_path):
    nlp = spacy.blank("en")
    docs = [two_sentences(nlp, f"d{i}") for i in range(10)]
    for task in ("ncbi_disease", "gum"):
        for split in ("train", "dev", "test"):
            write(docs * 2, tmp_path / "data" / task / f"{split}.spacy")
    runs = [Run("ncbi_disease", "gum", 0, percent) for percent in (10, 100)]
    sizes = {}
    for run in runs:
        folder = tmp_path / str(run)
        gerbera.prepare(run, tmp_path / "data", folder)
        for file in folder.glob("*/*.spacy"):
            key = run.percent, file.parent.name, file.stem
            sizes[key] = len(DocBin().from_disk(file))
    assert sizes == {
        (10, "ncbi_disease", "train"): 4,
        (10, "ncbi_disease", "dev"): 40,
        (10, "ncbi_disease", "test"): 40,
        (10, "gum", "train"): 40,
        (10, "gum", "dev"): gerbera.GENERAL_DEV,
        (100, "ncbi_disease", "train"): 40,
        (100, "ncbi_disease", "dev"): 40,
        (100, "ncbi_disease", "test"): 40,
        (100, "gum", "train"): 40,
        (100, "gum", "dev"): gerbera.GENERAL_DEV,
    }
    test = tmp_path / str(runs[0]) / "ncbi_disease" / "test.spacy"
    first, second = list(DocBin().from_disk(test).get_docs(nlp.vocab))[:2]
    assert (first.text.strip(), second.text) == ("IL2 is up .", "No p53 was found .")
    assert [span.text for span in second.spans[GOLD_KEY]] == ["p53", "p53 was"]
    assert first.user_data["id"] == second.user_data["id"] == "d0"


def test_every_arm_trains_its_stages(tmp_path, monkeypatch):
    """Which trainings there are, on what, and where each starts from."""
    nlp = spacy.blank("en")
    for task in ("jnlpba_rna", "gum"):
        write(
            [two_sentences(nlp, f"d{i}") for i in range(8)],
            tmp_path / "corpus" / task / "train.spacy",
        )
    calls: list[dict[str, str]] = []  # options of each training

    def pretend(arguments: list, jobs: int) -> None:
        words = list(map(str, arguments))
        options = dict(zip(words[2::2], words[3::2], strict=True))
        Path(words[1]).mkdir(exist_ok=True)
        calls.append(options)

    monkeypatch.setattr(gerbera, "run_training", pretend)

    def train(arm: str) -> tuple[Path, int]:
        calls.clear()
        run = Run("jnlpba_rna", arm, 1)
        return gerbera.train(run, tmp_path, "encoder", -1, 1)

    words = sum(map(len, gerbera.read_training(tmp_path / "corpus", {"gum": 1})))
    best, read = train("stage1")
    assert best == tmp_path / "stage1" / "model-best"
    assert read == 8 * words and len(calls) == 1
    (tmp_path / "stage1" / "done").unlink()
    best, read = train("gum_quarter")
    assert best == tmp_path / "stage2" / "model-best"
    assert read == 8 * (words + words // 4) + 6 * words
    one, two = calls
    assert (one["--general"], one["--corpora.train.weights.gum"]) == ("gum", "0.25")
    assert one["--paths.encoder"] == "encoder"
    assert one["--components.ner.consistent"] == "false"
    assert two["--general"] == "" and "--corpora.train.weights.gum" not in two
    assert two["--paths.stage1"] == str(tmp_path / "stage1" / "model-best")
    train("gum")  # both stages are done
    assert not calls


def test_a_probe_reads_no_test_set():
    probe = Result(Run("jnlpba_rna", "stage1", 0), 80.0, 1000, [])
    rows = list(gerbera.make_records([probe]))
    assert {row["split"] for row in rows} == {"dev", "train"}
    assert probe.headline == "dev F1 80.00"


def test_steps_are_batches_of_padded_words():
    sentences = [range(50)] * 20  # ten a batch of 500
    assert gerbera.count_steps(sentences, 3) == 6


def test_counts_stand_by_document_and_miss_no_gold(tmp_path):
    nlp = cnn_pipeline()
    train(nlp, toy_examples(nlp), 60)
    documents = tmp_path / "documents.spacy"
    write([two_sentences(nlp, "a"), two_sentences(nlp, "b")], documents)
    lone = annotate(nlp, "No [p53|GENE] was found in mice .")
    test = tmp_path / "test.spacy"
    write([*gerbera.read_sentences(documents), lone], test)
    counts = gerbera.count(nlp, "genes", test)
    assert [correct + missed for correct, _, missed in counts] == [3, 3, 1]
    assert counts[0] == counts[1] and counts[2] == [1, 0, 0]
    assert all(missed for *_, missed in counts[:2])  # "p53 was"
    strangers = gerbera.count(nlp, "diseases", test)
    assert [correct for correct, *_ in strangers] == [0, 0, 0]
