"""Keep a long training on a CPU from growing.

Batches have ever new lengths. For each, oneDNN keeps the kernels it made (by default a
thousand), and what large arrays leave behind in glibc's heap fits no later one: a
training of two thousand steps grew to ten gigabytes. To hand every array of a megabyte
back at once would bound it too, but costs a quarter of a small step in page faults; to
keep those below 32 megabytes does not bound it (5.3 GB after 700 steps, where 8 stay at
2.6).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

KERNELS = "64"
LARGE = 8_000_000  # bytes; arrays as large as this go back to the system when freed
SPARE = 256_000_000  # bytes of the heap's free end that stay
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def bound_memory() -> None:
    """Call it before the first step. It changes nothing where the user has set oneDNN's
    variable, or where there is no glibc."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS)
    mallopt = _glibc("mallopt")
    mallopt(M_MMAP_THRESHOLD, LARGE)
    mallopt(M_TRIM_THRESHOLD, SPARE)


def give_back() -> None:
    """Hand the heap's free pages back to the system; call it every so many steps."""
    _glibc("malloc_trim")(0)


def _glibc(name: str) -> Any:
    """A function of glibc's, or one that does nothing (musl has none, nor has
    another system)."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return getattr(library, name, lambda *_: None)
