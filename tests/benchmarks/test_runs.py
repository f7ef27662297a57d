"""The queue of long runs: what it goes on with, stops at, and does at a time."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from spacy.util import load_config

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import runs  # noqa: E402

QUEUE = ["a", "b", "c", "d"]


def test_a_second_start_goes_on():
    kept: list[str] = []

    def execute(run: str) -> str:
        if run == "c" and len(kept) == 2:
            raise KeyboardInterrupt
        return run

    with pytest.raises(KeyboardInterrupt):
        runs.work_off(QUEUE, [], execute, kept.append)
    assert kept == ["a", "b"]
    kept.append("-")
    runs.work_off(QUEUE, kept, execute, kept.append)
    assert kept == ["a", "b", "-", "c", "d"]
    runs.work_off(QUEUE, QUEUE, lambda run: pytest.fail(), kept.append)


def test_no_run_begins_after_the_time_is_up(monkeypatch):
    clock, kept = [0.0], []
    monkeypatch.setattr(runs.time, "monotonic", lambda: clock[0])

    def execute(run: str) -> str:
        clock[0] += 40 * 60
        return run

    runs.work_off(QUEUE, [], execute, kept.append, minutes=60)
    assert kept == ["a", "b"]


def test_two_jobs_work_at_a_time_and_lose_nothing():
    meet = threading.Barrier(2, timeout=20)  # breaks if one waits alone
    kept: list[str] = []

    def execute(run: str) -> str:
        meet.wait()
        return run

    runs.work_off(QUEUE, [], execute, kept.append, jobs=2)
    assert sorted(kept) == QUEUE


def test_a_training_that_fails_says_so(tmp_path):
    """And one that works tells its minutes."""
    config = load_config(ROOT / "configs" / "nested.cfg", interpolate=False)
    config.to_disk(tmp_path / "config.cfg")
    with pytest.raises(subprocess.CalledProcessError):
        runs.train([tmp_path / "config.cfg", tmp_path, "--paths.data", tmp_path], 1)
    assert 0 < runs.train(["--help"], 2) < 1


def test_one_queue_a_folder(tmp_path):
    stop = pytest.raises(SystemExit, match="Another queue")
    with runs.alone(tmp_path), stop, runs.alone(tmp_path):
        pass
    with runs.alone(tmp_path):
        pass
