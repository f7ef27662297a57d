"""The arms of the instruction experiment: what each trains on, and its records."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import instruct  # noqa: E402
import tables  # noqa: E402
from instruct import ARMS, TYPES, Result, Run, Size, make_config  # noqa: E402

SIZE = Size(list(TYPES), 100, 2)


def corpora(config, split="train"):
    return set(config["corpora"][split]["sources"])


@pytest.mark.parametrize("arm", ARMS)
def test_what_is_held_out_is_not_trained_on(arm):
    paths = Path("work"), Path("names.jsonl")
    config = make_config(Run(arm, 3), SIZE, *paths, "encoder").interpolate()
    left = set(TYPES) - set(ARMS[arm].without)
    assert corpora(config) == corpora(config, "dev") == left
    assert config["training"]["seed"] == 3
    if arm == "gerbera":
        assert config["components"]["ner"]["general"] == []
        return
    train = config["corpora"]["train"]
    assert train["kb"] == ("names.jsonl" if ARMS[arm].dense else None)
    assert set(train["types"]) == left and train["weights"] == {}
    labels = config["initialize"]["components"]["instruct"]["labels"]
    assert ("SPECIES" in labels) == (not ARMS[arm].without)
    assert "DISEASE" in labels  # BC5CDR's, without NCBI-disease


def test_records_compare_an_arm_with_its_base():
    weak, strong = [[1, 1, 1]] * 4, [[2, 0, 0]] * 4
    results = [
        Result(Run(arm, seed), 50.0, 1.0, 2.0, {"bc2gm": counts})
        for arm, counts in (("gerbera", weak), ("mixed", strong))
        for seed in (0, 1)
    ]
    rows = list(instruct.make_records(results, "note"))
    found = {(r["system"], r["metric"], r["seed"]): r["value"] for r in rows}
    assert found["gerbera_ner", "test_f", 0] == 50.0
    assert found["instruct_ner", "mean_f", None] == 100.0
    assert found["instruct_ner", "deviation_f", None] == 0.0
    assert found["instruct_ner", "difference", None] == 50.0
    assert ("gerbera_ner", "difference", None) not in found


def test_the_table_sets_apart_what_was_not_trained_on():
    seen, unseen = {"bc2gm": [[2, 0, 0]]}, {"species800": [[1, 1, 1]]}
    results = [
        Result(Run("gerbera", 0), 50.0, 1.0, 8.0, seen),
        Result(Run("dense", 0), 50.0, 2.0, 9.0, seen),
        Result(Run("dense", 1), 50.0, None, 9.0, seen),  # was interrupted
        Result(Run("dense_unseen", 0), 50.0, 1.0, 2.0, unseen),
    ]
    rows = tables.instruct(list(instruct.make_records(results, "note"))).splitlines()
    assert rows[2:] == [
        "| BC2GM | 100.00 |  | 100.00 ± 0.00 |",
        "| Species-800, not trained on |  |  | 50.00 |",
        "| training, CPU minutes | 1.00 |  | 2.00 |",
        "| test, seconds | 8.00 |  | 9.00 |",
    ]
    assert tables.instruct([]) == tables.NOTHING


def test_results_come_back(tmp_path):
    results = [Result(Run("mixed", 0), 50.0, 1.0, 2.0, {"bc2gm": [[1, 2, 3]]})]
    path = tmp_path / "a" / "runs.json"
    instruct.save_results(path, SIZE, results)
    assert instruct.load_results(path, SIZE) == results
    assert instruct.load_results(tmp_path / "none.json", SIZE) == []
    with pytest.raises(SystemExit, match="--sentences 100"):
        instruct.load_results(path, replace(SIZE, sentences=200))
