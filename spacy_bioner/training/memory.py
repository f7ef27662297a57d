"""Keep a long training on a CPU from growing.

Batches have ever new lengths. For each, oneDNN keeps the kernels it made (by default a
thousand), and what large arrays leave behind in glibc's heap fits no later one: a
training of two thousand steps grew to ten gigabytes.
"""

from __future__ import annotations

import ctypes
import os
import sys

KERNELS = "64"
LARGE = 1_000_000  # bytes; arrays as large as this go back to the system when freed
M_MMAP_THRESHOLD = -3  # of glibc's malloc.h


def bound_memory() -> None:
    """Call it before the first step. It changes nothing where the user has set oneDNN's
    variable, or where there is no glibc."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", KERNELS)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not in musl
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, LARGE)
