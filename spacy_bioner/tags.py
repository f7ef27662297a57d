"""The BIO scheme: label lists to tag lists, spans to tags and back.

Tag 0 is O; label number k (from 0) owns tag 2k+1 (B) and 2k+2 (I).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

OUTSIDE = 0
UNKNOWN = -1  # a token whose tag the annotation does not tell


def n_tags(labels: Sequence[str]) -> int:
    """How many tags a head with these labels scores."""
    return 2 * len(labels) + 1


def encode(
    spans: Iterable[tuple[int, int, str]], labels: Sequence[str], length: int
) -> NDArray[np.int64]:
    """Spans as tags. Spans of other labels are left out: their tokens are O here.

    spans (iterable): (start, end, label) in tokens, end exclusive, no overlaps.
    RETURNS (array): One tag a token.  # (length,)
    """
    number = {label: i for i, label in enumerate(labels)}
    tags = np.zeros(length, dtype="int64")
    for start, end, label in spans:
        if label in number:
            tags[start:end] = 2 * number[label] + 2
            tags[start] = 2 * number[label] + 1
    return tags


def decode(
    tags: NDArray[np.int64], labels: Sequence[str]
) -> list[tuple[int, int, str]]:
    """Valid tags as spans (start, end, label), in order.

    An I that continues nothing begins a span of its own, so any tags decode.
    """
    tags = np.asarray(tags)
    if not tags.size or not tags.any():
        return []
    kind = (tags - 1) // 2  # (tokens,) label number, -1 for O
    previous = np.concatenate([[-1], kind[:-1]])
    begins = (tags > 0) & ((tags % 2 == 1) | (kind != previous))
    starts = np.nonzero(begins)[0]
    stops = np.nonzero(np.append(begins | (tags == 0), True))[0]
    ends = stops[np.searchsorted(stops, starts, side="right")]
    return [
        (int(start), int(end), labels[kind[start]])
        for start, end in zip(starts, ends, strict=True)
    ]
