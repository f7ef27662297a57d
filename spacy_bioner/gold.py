"""Gold entities as tags on tokens that need not be the annotators'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.training import Example

from . import tags


def gold_tags(example: Example, labels: Sequence[str]) -> NDArray[np.int64]:
    """The reference's entities of these labels as tags on the predicted tokens.

    An entity whose border falls inside a predicted token leaves the tokens it
    touches unknown, as do tokens without annotation.

    RETURNS (array): Tags of `spacy_bioner.tags`, or UNKNOWN.  # (tokens,)
    """
    predicted, reference = example.predicted, example.reference
    missing = reference.to_array("ENT_IOB") == 0
    if missing.all():
        return np.full(len(predicted), tags.UNKNOWN)
    spans: list[tuple[int, int, str]] = []
    unclear: list[tuple[int, int]] = []
    to_predicted, to_reference = example.alignment.y2x, example.alignment.x2y
    for ent in reference.ents:
        touched = to_predicted[ent.start : ent.end]
        if ent.label_ not in labels or not len(touched):
            continue
        start, end = int(touched.min()), int(touched.max()) + 1
        back = to_reference[start:end]
        if back.min() == ent.start and back.max() == ent.end - 1:
            spans.append((start, end, ent.label_))
        else:
            unclear.append((start, end))
    gold = tags.encode(spans, labels, len(predicted))
    for start, end in unclear:
        gold[start:end] = tags.UNKNOWN
    for i in np.nonzero(missing)[0]:
        gold[to_predicted[int(i)]] = tags.UNKNOWN
    return gold
