"""What the filter learns by: is a span right, and does it outrank its own variants?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Loss = tuple[float, NDArray[np.float32]]


def contrastive_loss(
    logits: NDArray[np.float32], anchor: NDArray[np.int64], gold: int
) -> Loss:
    """Cross-entropy of each gold span among itself and its perturbations, summed.

    The softmax over a positive and its negatives of InfoNCE (van den Oord et al.,
    2018), with a span's own perturbations as the negatives.

    logits, anchor (arrays): (spans,). `anchor` is the number of the gold span that a
        span belongs to, its own for gold spans, -1 for none.
    gold (int): How many gold spans there are; they come first.
    RETURNS (tuple): The sum, and its gradient. Zero where nothing is perturbed.
    """
    rows = np.flatnonzero(anchor >= 0)
    group, x = anchor[rows], logits[rows].astype("float64")
    top = np.full(gold, -np.inf)
    np.maximum.at(top, group, x)
    exp = np.exp(x - top[group])
    total = np.bincount(group, exp, minlength=gold)
    loss = float((np.log(total) + top - logits[:gold]).sum())
    gradient = np.zeros(len(logits), dtype="float32")
    gradient[rows] = exp / total[group]
    gradient[:gold] -= 1.0
    return loss, gradient
