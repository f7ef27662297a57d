"""A queue of long runs: several at a time, each kept as soon as it is done."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

R, F = TypeVar("R"), TypeVar("F")


def work_off(
    queue: list[R],
    done: Collection[R],
    execute: Callable[[R], F],
    keep: Callable[[F], object],
    minutes: float = 0.0,
    jobs: int = 1,
) -> None:
    """Execute the runs that are not done yet.

    done (collection): Runs of the queue that are skipped.
    keep (callable): Called with each result, never with two at a time.
    minutes (float): After so many no further run begins; 0: no limit.
    jobs (int): Runs at a time.
    """
    start, lock, stop = time.monotonic(), Lock(), Event()

    def work(run: R) -> None:
        late = minutes and time.monotonic() - start >= 60 * minutes
        if late or stop.is_set():
            return
        print(f"{datetime.now():%H:%M} {run}", flush=True)
        try:
            result = execute(run)
            with lock:
                keep(result)
        except BaseException:
            stop.set()  # the others end what they are at
            raise

    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work, run) for run in queue if run not in done]
        try:
            for future in futures:
                future.result()
        finally:
            stop.set()


def train(arguments: list, jobs: int) -> float:
    """`spacy bioner train` with these arguments, on its share of the cores.

    jobs (int): How many trainings there are at a time.
    RETURNS (float): Minutes of processor time.
    """
    command = [sys.executable, "-m", "spacy", "bioner", "train", *map(str, arguments)]
    threads = max(1, (os.cpu_count() or 1) // jobs)
    environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return (used.ru_utime + used.ru_stime) / 60


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """Refuse to work beside another queue in the same folder."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"Another queue is at work in {work}.")
        yield
