"""A reference's spans on the tokens of the predicted document, which need not be the
annotators'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc, Span
from spacy.training import Example

from .. import tags
from ..corpora.convert import GOLD_KEY
from ..spans import best_first

Rows = NDArray[np.int64]  # (spans, 3): start, end (exclusive) and label's number
Place = tuple[int, int, str]  # first character, end (exclusive), label


def aligned(
    example: Example, spans: Iterable[Span], numbers: dict[str, int]
) -> tuple[Rows, NDArray[np.bool_]]:
    """Put spans of the reference on the predicted tokens.

    numbers (dict): Label to number; spans with other labels are left out.
    RETURNS (tuple): The predicted tokens that each span touches, (spans, 3), and
        whether they are exactly the span's, (spans,).
    """
    to_predicted, to_reference = example.alignment.y2x, example.alignment.x2y
    rows, exact = [], []
    for span in spans:
        touched = to_predicted[span.start : span.end]
        if span.label_ not in numbers or not len(touched):
            continue
        start, end = int(touched.min()), int(touched.max()) + 1
        back = to_reference[start:end]
        rows.append((start, end, numbers[span.label_]))
        exact.append(back.min() == span.start and back.max() == span.end - 1)
    return np.array(rows, "int64").reshape(-1, 3), np.array(exact, dtype=bool)


def find_gold(
    example: Example, key: str | None, numbers: dict[str, int], grow: bool = False
) -> tuple[Rows, NDArray[np.bool_]] | None:
    """The gold spans of an example: of a span group or, where the reference lacks it,
    of `doc.ents`.

    key (str): The span group; None: `doc.ents`.
    numbers (dict): Label to number.
    grow (bool): Give numbers to labels that have none.
    RETURNS (tuple): The spans (gold, 3), and which predicted tokens are known
        (tokens,): not those without annotation, nor those that a gold span touches
        whose border falls inside one. None if nothing is annotated.
    """
    reference = example.reference
    if key in reference.spans:
        spans, missing = list(reference.spans[key]), np.zeros(len(reference), bool)
    else:
        spans, missing = list(reference.ents), reference.to_array("ENT_IOB") == 0
        if missing.all():
            return None
    for span in spans if grow else ():
        numbers.setdefault(span.label_, len(numbers))
    rows, exact = aligned(example, spans, numbers)
    known = np.ones(len(example.predicted), dtype=bool)
    for start, end, _ in rows[~exact].tolist():
        known[start:end] = False
    for i in np.flatnonzero(missing).tolist():
        known[example.alignment.y2x[i]] = False
    return rows[exact], known


def gold_of(doc: Doc) -> Iterable[Span]:
    """All mentions that `convert` kept, also those inside longer ones."""
    return doc.spans.get(GOLD_KEY, doc.ents)


def only_known(found: set[Place], gold: set[Place], reference: Doc) -> set[Place]:
    """What was found, without what nobody can say is wrong: no gold span, and on tokens
    without annotation."""
    unknown = [(t.idx, t.idx + len(t)) for t in reference if t.ent_iob == 0]
    return {
        span
        for span in found
        if span in gold or not any(a < span[1] and span[0] < b for a, b in unknown)
    }


def gold_tags(
    example: Example, labels: Sequence[str], key: str | None = None
) -> NDArray[np.int64]:
    """The reference's entities of these labels as tags on the predicted tokens.

    key (str): A span group that stands before `doc.ents`; of its spans of these labels
        that overlap the longest counts.
    An entity whose border falls inside a predicted token leaves the tokens it
    touches unknown, as do tokens without annotation.

    RETURNS (array): Tags of `spacy_bioner.tags`, or UNKNOWN.  # (tokens,)
    """
    size = len(example.predicted)
    found = find_gold(example, key, {label: i for i, label in enumerate(labels)})
    if found is None:
        return np.full(size, tags.UNKNOWN)
    rows, known = found
    if key in example.reference.spans:
        sizes = (rows[:, 1] - rows[:, 0]).tolist()
        rows = rows[best_first(rows[:, :2].tolist(), sizes)]
    spans = [(start, end, labels[number]) for start, end, number in rows.tolist()]
    gold = tags.encode(spans, labels, size)
    gold[~known] = tags.UNKNOWN
    return gold
