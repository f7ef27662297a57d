"""The comparison of nested entities: how long each trains, what is kept of it."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))

import nested  # noqa: E402
import results  # noqa: E402
import tables  # noqa: E402

PACES = {
    nested.OURS: {"training_seconds_per_step": 2.0},
    nested.STOCK: {"training_seconds_per_step": 3.0},
    nested.FLAT: {"training_seconds_per_step": 1.0},
}
ARGS = Namespace(encoder="e", steps=100, batch=1000, rate=0.1, width=10)


def run(system: str, seed: int, f: float) -> dict:
    figures = dict.fromkeys(nested.FIGURES, 50.0) | {"nested_f": f}
    return {"system": system, "seed": seed, "figures": figures}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(nested, "KEPT", tmp_path / "runs" / "nested.json")
    monkeypatch.setattr("results.RESULTS", tmp_path)
    kept = nested.load_kept(ARGS)
    kept["paces"] = PACES
    kept["runs"] = [
        run(nested.STOCK + nested.EQUAL, 0, 60.0),
        run(nested.OURS, 1, 72.0),
        run(nested.OURS, 0, 70.0),
    ]
    return kept


@pytest.mark.parametrize(
    ("system", "steps"),
    [
        (nested.OURS, 100),
        (nested.STOCK, 100),
        (nested.FLAT, 500),
        (nested.STOCK + nested.EQUAL, 66),
        (nested.FLAT + nested.EQUAL, 200),
    ],
)
def test_equal_time_is_no_longer_than_ours(system, steps):
    assert nested.steps_of(system, 100, PACES) == steps


def test_records_go_to_the_folder_in_force(kept, tmp_path):
    published = Path(results.__file__).parent / "results" / "nested.json"
    before = published.read_bytes()
    nested.save_kept(kept)
    assert (tmp_path / "nested.json").exists()
    assert published.read_bytes() == before  # a default once bound the real folder


def test_what_is_kept_comes_back(kept):
    nested.save_kept(kept)
    assert nested.load_kept(ARGS) == kept
    assert [row["seed"] for row in kept["runs"]] == [0, 1, 0]
    with pytest.raises(SystemExit, match="move it away"):
        nested.load_kept(Namespace(**{**vars(ARGS), "steps": 99}))


def test_records_have_each_seed_and_their_mean(kept):
    nested.save_kept(kept)
    records = list(nested.make_records(kept))
    f = {
        (r["metric"], r["seed"]): r["value"]
        for r in records
        if r["system"] == nested.OURS and r["metric"].endswith("nested_f")
    }
    assert f[("nested_f", 0)] == 70 and f[("nested_f", 1)] == 72
    assert f[("mean nested_f", None)] == 71
    assert f[("deviation nested_f", None)] == pytest.approx(1.414)
    table = tables.nested(records)
    assert "| nested_spancat | 2 | 71.00 ± 1.41 | 50.00 |" in table
    assert "| spancat, equal time | 1 | 60.00 | 50.00 |" in table


def test_each_run_has_a_folder_of_its_own():
    names = [str(nested.Run(s, n)) for s in nested.SYSTEMS for n in range(3)]
    assert len(set(names)) == len(names)
    assert not any(set(name) & set(" ,") for name in names)
