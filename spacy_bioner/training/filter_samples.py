"""What a batch teaches `candidate_filter`, and the loss of what it answers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from ..layers.match_loss import contrastive_loss
from ..layers.span_choice import rows_of
from ..layers.span_loss import span_loss
from ..words import is_word
from .gold import aligned, find_gold
from .negatives import Sample, SpanNegatives, Text


def read_text(
    example: Example, labels: Iterable[str], gold_key: str, candidates_key: str
) -> Text | None:
    """What an example's reference says about its predicted tokens.

    labels (iterable): Those that are trained on; spans of others do not count.
    RETURNS (Text): None if it is not annotated, or has no tokens.
    """
    numbers = {label: i for i, label in enumerate(labels)}
    trained = len(numbers)
    gold = find_gold(example, gold_key, numbers)
    if gold is None or not len(example.predicted):
        return None
    predicted, reference = example.predicted, example.reference
    if candidates_key in predicted.spans:
        rows = rows_of(predicted.spans[candidates_key], numbers)
    elif candidates_key in reference.spans:
        rows, _ = aligned(example, reference.spans[candidates_key], numbers)
    else:
        rows = np.zeros((0, 3), dtype="int64")
    word = is_word(predicted)
    return Text(*gold, word, trained, rows[rows[:, 2] < trained])


def draw_samples(
    texts: Iterable[Text | None],
    negatives: SpanNegatives,
    label_dropout: float,
    any_type: int,
) -> list[Sample]:
    """The spans that each document teaches this time; none for one without annotation.

    The draws follow numpy's state: they differ from step to step, and a training with
    the same seed, or one that goes on, makes the same.

    label_dropout (float): How often a document teaches what any entity looks like.
    any_type (int): The label of its spans then.
    """
    rng = np.random.default_rng(np.random.randint(2**31))
    samples = []
    for text in texts:
        if text is None:
            nothing = np.zeros((0, 3), "int64"), np.zeros(0, "int64"), 0
            samples.append(Sample(*nothing))
        elif rng.random() < label_dropout:
            sample = negatives(_untyped(text), rng)
            sample.spans[:, 2] = any_type
            samples.append(sample)
        else:
            samples.append(negatives(text, rng))
    return samples


def _untyped(text: Text) -> Text:
    """The same document with one label for all."""
    gold, found = text.gold.copy(), text.candidates.copy()
    gold[:, 2] = found[:, 2] = 0
    return Text(gold, text.known, text.word, 1, found)


def filter_loss(
    samples: list[Sample], logits: list[NDArray[np.float32]], contrastive_weight: float
) -> tuple[float, list[NDArray[np.float32]]]:
    """Mean cross-entropy of all spans, and that of the gold spans among their own
    perturbations.

    RETURNS (tuple): The loss, and its gradient for each document.
    """
    spans = max(sum(len(sample.spans) for sample in samples), 1)
    gold = max(sum(sample.gold for sample in samples), 1)
    loss, gradients = 0.0, []
    for sample, x in zip(samples, logits, strict=True):
        truth = np.arange(len(x)) < sample.gold
        part, gradient = span_loss(x, truth, np.ones_like(truth))
        loss, gradient = loss + part / spans, gradient / spans
        if contrastive_weight:
            part, ranking = contrastive_loss(x, sample.anchor, sample.gold)
            loss += contrastive_weight * part / gold
            gradient = gradient + ranking * np.float32(contrastive_weight / gold)
        gradients.append(gradient.astype("float32"))
    return loss, gradients
