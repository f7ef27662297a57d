"""GERBERA's method in the README's table and in the plot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import gerbera  # noqa: E402
import tables  # noqa: E402
from gerbera import Result, Run  # noqa: E402
from published import METHOD  # noqa: E402


def results(target: str, percent: int = 100) -> list[Result]:
    counts = {"single": [[8, 1, 3], [4, 1, 0]], "gum": [[9, 1, 2], [4, 0, 0]]}
    return [
        Result(Run(target, arm, seed, percent), 80.0, 1, counts[arm])
        for arm in ("gum", "single")
        for seed in (0, 1, 2)
    ]


def test_arms_stand_beside_the_papers_figures():
    records = list(gerbera.make_records(results("jnlpba_rna")))
    first, _, row = tables.method(records).splitlines()
    assert first.startswith("| target | single task | + GUM-Time | paper, single")
    cells = row.strip("| ").split(" | ")
    assert cells[0] == "JNLPBA RNA" and cells[1] == "82.76 ± 0.00"
    assert cells[2].startswith("89.66 ± 0.00; +6.90 [")
    assert cells[3:] == ["78.70", "82.10"]


def test_what_is_not_there_yet_stays_empty():
    assert tables.method([]) == tables.NOTHING
    single = [r for r in results("ncbi_disease", 10) if r.run.arm == "single"][:1]
    *_, row = tables.method(list(gerbera.make_records(single))).splitlines()
    assert row == "| NCBI-disease, 10% of train | 82.76 (1 of 3 seeds) |  |  |"


def test_where_seeds_are_missing_it_says_so():
    """Else a mean of one seed would seem to differ from that of others."""
    two = [r for r in results("jnlpba_rna") if (r.run.arm, r.run.seed) != ("gum", 2)]
    *_, row = tables.method(list(gerbera.make_records(two))).splitlines()
    cells = row.strip("| ").split(" | ")
    assert "seeds" not in cells[1] and cells[2].count("(2 of 3 seeds)") == 2


def test_probes_stand_on_dev_beside_the_other_arms():
    probed = Result(Run("jnlpba_rna", "gum_quarter", 0), 81.5, 1, [])
    found = [*results("jnlpba_rna"), *results("ncbi_disease"), probed]
    records = list(gerbera.make_records(found))
    header, _, *rows = tables.probes(records).splitlines()
    assert header == "| F1 on dev | JNLPBA RNA |"
    assert rows == [
        "| single task | 80.00 ± 0.00 |",
        "| + GUM-Time | 80.00 ± 0.00 |",
        "| + a quarter of GUM-Time | 81.50 (1 of 3 seeds) |",
    ]
    assert "quarter" not in tables.method(records)  # no test set was read
    assert tables.probes(records[:1]) == tables.NOTHING


def test_the_tables_have_a_row_for_each_target():
    runs = gerbera.plan(
        [*gerbera.TARGETS, *gerbera.MORE_TARGETS], ["single"], [0], gerbera.PERCENTS
    )
    assert {run.corpus for run in runs} == set(METHOD)


def test_the_curve_is_read_from_the_records():
    pytest.importorskip("matplotlib")
    import plot_curve

    found = [*results("ncbi_disease"), *results("ncbi_disease", 10)]
    curve = plot_curve.read_curve(
        list(gerbera.make_records([*found, *results("jnlpba_rna")]))
    )
    assert set(curve) == {"single task", "+ GUM-Time"}
    assert curve["single task"] == {100: [82.759] * 3, 10: [82.759] * 3}
