"""What is settled on dev after training: honest probabilities, and who owns a label.

Temperatures: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from .. import tags
from ..layers.decoding import ScoredSpan, decode_spans, of_words, word_rows
from ..task import get_task, set_task
from .gold import gold_tags
from .upstream import run_before


def score_heads_of(nlp: Language, name: str, examples: Iterable[Example]):
    """Run every head of the component `name` on every example.

    YIELDS (tuple): An example whose predicted document has passed the components
        before `name`, and its tag scores by head.
    """
    ner: Any = nlp.get_pipe(name)
    for batch in minibatch(examples, 32):
        docs = [example.predicted for example in batch]
        for doc in docs:
            set_task(doc, None)
        docs = run_before(nlp, name, docs)
        scores = ner.predict(docs)
        for doc, by_head, example in zip(docs, scores, batch, strict=True):
            if doc.has_extension("trf_data"):
                doc._.trf_data = None  # as large as the batch; read already
            to_numpy = ner.model.ops.to_numpy
            yield example, {k: to_numpy(v) for k, v in by_head.items()}


def fit_temperatures(ner, scored: list[tuple[Example, dict]]) -> dict[str, float]:
    """For each head the temperature under which its dev spans' scores are likeliest;
    none where it found no span."""
    found: dict[str, float] = {}
    for head, labels in ner.heads.items():
        rows = [
            (of_words(by_head[head], words), gold_tags(example, labels)[words])
            for example, by_head in scored
            if get_task(example.reference) == head
            and head in by_head
            and len(words := word_rows(example.predicted))
        ]
        if rows:
            logits, gold = zip(*rows, strict=True)
            temperature = fit_temperature(logits, gold, labels)
            if temperature is not None:
                found[head] = temperature
    return found


def fit_temperature(
    logits: Sequence[NDArray[np.float32]],
    gold: Sequence[NDArray[np.int64]],
    labels: Sequence[str],
) -> float | None:
    """The temperature of least negative log likelihood, to two digits.

    What is fitted is what a user reads: the score of a span, as the probability that
    the span is correct. Tags are of no use here: nearly all are a certain O.

    logits (sequence): (tokens, tags) of each document.
    gold (sequence): (tokens,) of each document, unknown tags below 0; spans that touch
        such tokens do not count.
    RETURNS (float): None where no span was found.
    """
    correct = np.array(
        [
            span[:3] in wanted
            for spans, tags_, wanted in _with_gold(logits, gold, labels)
            for span in _known(spans, tags_)
        ]
    )
    if not len(correct):
        return None

    def loss(temperature: float) -> float:
        found = decode_spans(logits, labels, temperature)
        kept = map(_known, found, gold)
        p = np.array([score for spans in kept for *_, score in spans])
        p = np.clip(np.where(correct, p, 1.0 - p), 1e-6, 1.0)
        return -float(np.log(p).mean())

    coarse = min(np.geomspace(0.25, 8.0, 21), key=loss)
    return round(float(min(coarse * np.geomspace(0.85, 1.18, 15), key=loss)), 2)


def _with_gold(logits, gold, labels):
    """For each document the spans found, the gold tags and the gold spans."""
    for spans, path in zip(decode_spans(logits, labels, 1.0), gold, strict=True):
        yield spans, path, set(tags.decode(np.maximum(path, 0), labels))


def _known(spans: list[ScoredSpan], gold: NDArray[np.int64]) -> list[ScoredSpan]:
    return [s for s in spans if (gold[s[0] : s[1]] != tags.UNKNOWN).all()]


def choose_owners(ner, scored: list[tuple[Example, dict]]) -> dict[str, str]:
    """For each label that `doc.ents` has: one head that knows it, or the average of
    all that do, whichever is best in mean F over the corpora that annotate it. A label
    that the examples' corpora do not annotate keeps its owner, as does one of which no
    choice is better."""
    owners = {label: "+".join(heads) for label, heads in ner.owners.items()}
    tasks = {get_task(example.reference) for example, _ in scored}
    annotated = {x for head, own in ner.heads.items() if head in tasks for x in own}
    for label in [label for label in owners if label in annotated]:
        heads = [
            head
            for head, labels in ner.heads.items()
            if label in labels and head not in ner.cfg["general"]
        ]
        options = [*heads, "+".join(heads)] if len(heads) > 1 else heads
        options = [owners[label], *options]  # of equals the first is taken
        owners[label] = max(options, key=lambda o: _mean_f(ner, scored, label, o))
    return owners


def _mean_f(ner, scored, label: str, owner: str) -> float:
    before, ner.cfg["owners"] = ner.cfg["owners"], {label: owner}
    per_task: dict[str, PRFScore] = {}
    for example, by_head in scored:
        task = get_task(example.reference) or ""
        if label not in ner.heads.get(task, ()):
            continue
        doc = Doc.copy(example.predicted)
        ner.set_annotations([doc], [by_head])
        per_task.setdefault(task, PRFScore()).score_set(
            {(e.start_char, e.end_char) for e in doc.ents},
            {
                (e.start_char, e.end_char)
                for e in example.reference.ents
                if e.label_ == label
            },
        )
    ner.cfg["owners"] = before
    return float(np.mean([score.fscore for score in per_task.values()]))
