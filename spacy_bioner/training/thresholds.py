"""What `nested_spancat` settles on dev: honest probabilities, and where to cut.

Both are fitted on the spans as they are scored, before crossing ones are resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch

from ..layers.span_loss import sigmoid
from .upstream import run_before

UNLIKELY = -3.0  # a logit below which no threshold will be: less than 5%
GRID = np.linspace(-2.0, 2.0, 41)  # logits to cut at; beyond, chance would choose


@dataclass
class ScoredSpans:
    """All spans of a corpus that could be found.

    logits, label, correct: (spans,); a label by its number.
    gold (array): How many gold spans each label has, those out of reach too.
    """

    logits: NDArray[np.float32]
    label: NDArray[np.int64]
    correct: NDArray[np.bool_]
    gold: NDArray[np.int64]


def tune(
    nlp: Language, name: str, examples: Iterable[Example], beta: float = 1.0
) -> None:
    """Fit the temperature and each label's threshold of the component `name`.

    examples (iterable): Of the development data; those not annotated do not count.
    beta (float): How many times as much as precision recall matters.
    """
    spancat: Any = nlp.get_pipe(name)
    spans = score_spans_of(nlp, name, examples)
    cuts = choose_cuts(spans, beta)
    temperature = fit_temperature(spans.logits, spans.correct, cuts[spans.label])
    least = sigmoid(cuts / temperature)
    spancat.cfg["temperature"] = temperature
    spancat.cfg["thresholds"] = {
        label: round(float(p), 4)
        for label, p in zip(spancat.labels, least, strict=True)
    }


def score_spans_of(
    nlp: Language, name: str, examples: Iterable[Example]
) -> ScoredSpans:
    """Run the component `name`, and those before it, on every example."""
    spancat: Any = nlp.get_pipe(name)
    gold = np.zeros(len(spancat.labels), dtype="int64")
    parts = [np.zeros((3, 0))]
    for example, table in _tables(nlp, name, examples):
        (mask,) = spancat.candidates([example.predicted])
        truth, known = spancat.gold_table(example, mask)
        place = np.nonzero(known & (table > UNLIKELY))
        parts.append(np.stack([table[place], place[2], truth[place]]))
        for span in example.reference.spans[spancat.key]:
            if span.label_ in spancat.labels:
                gold[spancat.labels.index(span.label_)] += 1
    logits, label, correct = np.concatenate(parts, axis=1)
    return ScoredSpans(
        logits.astype("float32"), label.astype("int64"), correct.astype(bool), gold
    )


def _tables(
    nlp: Language, name: str, examples: Iterable[Example]
) -> Iterator[tuple[Example, NDArray[np.float32]]]:
    """Every annotated example and its logits."""
    spancat: Any = nlp.get_pipe(name)
    annotated = filter(spancat.learns_from, examples)
    for batch in minibatch(annotated, 32):
        docs = run_before(nlp, name, [example.predicted for example in batch])
        for doc, example, table in zip(docs, batch, spancat.predict(docs), strict=True):
            if doc.has_extension("trf_data"):
                doc._.trf_data = None  # as large as the batch; read already
            yield example, spancat.model.ops.to_numpy(table)


def choose_cuts(spans: ScoredSpans, beta: float = 1.0) -> NDArray[np.float64]:
    """The logit of each label above which a span is kept, so that F-beta (van
    Rijsbergen, 1979) over all labels together is best: label by label, until nothing
    changes."""
    labels = len(spans.gold)
    kept = np.zeros((labels, len(GRID)))  # how many spans at each cut,
    right = np.zeros((labels, len(GRID)))  # and how many of them correct
    for k in range(labels):
        above = spans.logits[spans.label == k, None] >= GRID
        kept[k] = above.sum(axis=0)
        right[k] = above[spans.correct[spans.label == k]].sum(axis=0)
    chosen = np.full(labels, len(GRID) // 2)
    for _ in range(10):
        before = chosen.copy()
        for k in range(labels):
            other = np.arange(labels) != k
            found = kept[k] + kept[other, chosen[other]].sum()
            hits = right[k] + right[other, chosen[other]].sum()
            f = hits / np.maximum(found + beta**2 * spans.gold.sum(), 1)  # but a factor
            best = np.flatnonzero(f == f.max())
            chosen[k] = best[np.abs(GRID[best]).argmin()]  # of equals nearest to 0
        if (chosen == before).all():
            break
    return GRID[chosen]


def fit_temperature(
    logits: NDArray[np.float32], correct: NDArray[np.bool_], cuts: NDArray[np.float64]
) -> float:
    """The temperature under which the spans found have the likeliest scores, to two
    digits (Guo et al., ICML 2017).

    logits, correct, cuts (arrays): (spans,); those below their cut are not found.
    RETURNS (float): 1.0 where no span was found.
    """
    found = logits >= cuts
    if not found.any():
        return 1.0
    margin = np.where(correct, logits, -logits)[found].astype("float64")

    def loss(temperature: float) -> float:
        return float(np.logaddexp(0.0, -margin / temperature).mean())

    coarse = min(np.geomspace(0.25, 8.0, 21), key=loss)
    return round(float(min(coarse * np.geomspace(0.85, 1.18, 15), key=loss)), 2)
