"""Cross-entropy of spans, of which one in hundreds is an entity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray) -> NDArray:
    """Probabilities; does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def span_loss(
    logits: NDArray[np.float32],
    gold: NDArray[np.bool_],
    known: NDArray[np.bool_],
    negative_weight: float = 1.0,
    focus: float = 0.0,
) -> tuple[float, NDArray[np.float32]]:
    """Focal binary cross-entropy (Lin et al., ICCV 2017), summed.

    logits, gold, known (arrays): Of one shape. What is not known counts nothing.
    negative_weight (float): How much a span that is no entity counts. Other values
        than 1 shift the probabilities.
    focus (float): The exponent of (1 - p), where p is the probability given to the
        truth: above 0, what is certain counts less. 0 is plain cross-entropy.
    RETURNS (tuple): The sum, and its gradient, exactly zero where nothing is known.
    """
    sign = np.where(gold, np.float32(1), np.float32(-1))
    margin = sign * logits
    weight = np.where(gold, np.float32(1), np.float32(negative_weight)) * known
    log_p = -np.logaddexp(np.float32(0), -margin)
    p = sigmoid(margin)
    missed = (1 - p) ** np.float32(focus)
    loss = -float((weight * missed * log_p).sum())
    return loss, weight * sign * missed * (focus * p * log_p + p - 1)
