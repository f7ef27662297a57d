"""What tagging costs, and where that falls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import tags
from .decoding import log_softmax


def tag_loss(
    logits: NDArray[np.float32], gold: NDArray[np.int64]
) -> tuple[float, NDArray[np.float32], int]:
    """Cross-entropy over the tokens whose tag is known, added up.

    logits (array): (tokens, tags)
    gold (array): Tags, UNKNOWN where the annotation does not tell.  # (tokens,)
    RETURNS (tuple): The loss, its gradient (tokens, tags), and how many are known.
    """
    known = np.nonzero(gold != tags.UNKNOWN)[0]
    log_probs = log_softmax(logits)
    d = np.zeros_like(log_probs)
    d[known] = np.exp(log_probs[known])
    d[known, gold[known]] -= 1.0
    return -float(log_probs[known, gold[known]].sum()), d, len(known)
