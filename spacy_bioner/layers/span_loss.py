"""Cross-entropy of spans, of which one in hundreds is an entity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray) -> NDArray:
    """Probabilities; does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def span_loss(
    logits: NDArray[np.float32],
    gold: NDArray,
    known: NDArray[np.bool_],
    negative_weight: float = 1.0,
    focus: float = 0.0,
) -> tuple[float, NDArray[np.float32]]:
    """Focal binary cross-entropy (Lin et al., ICCV 2017), summed.

    logits, gold, known (arrays): Of one shape. Gold is true or false, or how likely it
        is; what is not known counts nothing.
    negative_weight (float): How much a span that is no entity counts. Other values
        than 1 shift the probabilities.
    focus (float): The exponent of (1 - p), where p is the probability given to the
        truth: above 0, what is certain counts less. 0 is plain cross-entropy.
    RETURNS (tuple): The sum, and its gradient, exactly zero where nothing is known.
    """
    yes = np.asarray(gold, dtype=logits.dtype) * known
    no = logits.dtype.type(negative_weight) * (known - yes)
    (loss_yes, d_yes), (loss_no, d_no) = (_focal(x, focus) for x in (logits, -logits))
    loss = float((yes * loss_yes).sum() + (no * loss_no).sum())
    return loss, yes * d_yes - no * d_no


def _focal(margin: NDArray, focus: float) -> tuple[NDArray, NDArray]:
    """The loss of each truth that has the log-odds `margin`, and its derivative."""
    log_p = -np.logaddexp(margin.dtype.type(0), -margin)
    p = sigmoid(margin)
    missed = (1 - p) ** margin.dtype.type(focus)
    return -missed * log_p, missed * (focus * p * log_p + p - 1)
