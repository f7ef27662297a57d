"""What `candidate_filter` settles on dev: honest probabilities, and where to cut.

Both are fitted on the spans that stand for candidates after repair: the best of many
variants is right less often than a single span of the same score.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.training import Example
from spacy.util import minibatch

from ..task import set_task
from .gold import Rows, find_gold
from .upstream import run_before

STEPS = 50  # of Newton's method; it converges in less than ten
LEAST = 0.01  # a span less likely than that is kept by no threshold
PRIOR = 1e-3  # pulls towards a scale of 1 and an offset of 0: keeps them finite


@dataclass(frozen=True)
class Chosen:
    """The spans that stand for the candidates of a corpus, each once a document.

    logits (array): (spans,).
    correct (array): Whether each is a gold span.
    touching (array): Whether each is the best that shares a token and the label with
        some gold span.
    gold (int): How many gold spans there are, those without a candidate too.
    """

    logits: NDArray[np.float32]
    correct: NDArray[np.bool_]
    touching: NDArray[np.bool_]
    gold: int


def tune_filter(nlp: Language, name: str, examples: Iterable[Example]) -> Chosen:
    """Fit the scale and the offset of probabilities (Platt, 1999) of the component
    `name`, then the threshold of best F, of exact and relaxed F the mean.

    examples (iterable): Of the development data, with candidates on their predicted
        documents; those not annotated do not count.
    RETURNS (Chosen): What it was fitted to. Nothing is changed if that is empty.
    """
    pipe: Any = nlp.get_pipe(name)
    chosen = choose_spans(nlp, name, examples)
    if len(chosen.logits):
        scale, offset = fit_scale(chosen.logits, chosen.correct)
        pipe.cfg["temperature"] = round(1 / scale, 4)
        pipe.cfg["offset"] = round(offset, 4)
        scores = pipe.probabilities(chosen.logits)
        worth = (chosen.correct + chosen.touching.astype("float64")) / 2
        pipe.cfg["threshold"] = fit_threshold(scores, worth, chosen.gold)
    return chosen


def choose_spans(nlp: Language, name: str, examples: Iterable[Example]) -> Chosen:
    """Run the component `name`, and those before it, on every annotated example."""
    pipe: Any = nlp.get_pipe(name)
    scored, truth, total = [np.zeros(0, "float32")], [np.zeros((2, 0), bool)], 0
    for batch in minibatch(examples, 32):
        for example in batch:  # else a tagger would find nothing in foreign text
            set_task(example.predicted, None)
        docs = run_before(nlp, name, [example.predicted for example in batch])
        for judged, doc, example in zip(pipe.predict(docs), docs, batch, strict=True):
            if doc.has_extension("trf_data"):
                doc._.trf_data = None  # as large as the batch; read already
            numbers = {label: i for i, label in enumerate(judged.labels)}
            gold = find_gold(example, pipe.cfg["gold_key"], numbers, grow=True)
            if gold is None:
                continue
            spans, scores, _ = judged.best()
            # Of what is not annotated nobody knows whether it is right.
            known = np.array([gold[1][i:j].all() for i, j, _ in spans], dtype=bool)
            spans, scores = spans[known], scores[known]
            once, first = np.unique(spans, axis=0, return_index=True)
            wanted = np.unique(gold[0], axis=0)
            scored.append(scores[first])
            truth.append(np.stack(compare(once, scores[first], wanted)))
            total += len(wanted)
    correct, touching = np.concatenate(truth, axis=1)
    return Chosen(np.concatenate(scored), correct, touching, total)


def compare(
    found: Rows, scores: NDArray[np.float32], gold: Rows
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which of the spans found are gold ones, and which are the best of those that
    touch some gold span of their label.

    found, gold (arrays): (spans, 3), start, end (exclusive) and label.
    scores (array): Of the spans found.
    """
    ours, theirs = found[:, None], gold[None]  # (found, gold, 3)
    touch = (ours[..., 0] < theirs[..., 1]) & (theirs[..., 0] < ours[..., 1])
    touch &= ours[..., 2] == theirs[..., 2]
    order = np.argsort(-scores, kind="stable")
    first = touch[order] & (touch[order].cumsum(axis=0) == 1)
    touching = np.zeros(len(found), dtype=bool)
    touching[order] = first.any(axis=1)
    return (ours == theirs).all(axis=2).any(axis=1), touching


def fit_scale(
    logits: NDArray[np.float32], correct: NDArray[np.bool_]
) -> tuple[float, float]:
    """Logistic regression on one variable.

    logits, correct (arrays): (spans,).
    RETURNS (tuple): Scale and offset under which the outcomes are likeliest. The scale
        is at least 0.05: a score never turns round.
    """
    x = np.column_stack([logits, np.ones(len(logits))]).astype("float64")
    y, start = correct.astype("float64"), np.array([1.0, 0.0])
    w = start.copy()
    for _ in range(STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * (x @ w)))
        gradient = x.T @ (p - y) + PRIOR * (w - start)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + PRIOR * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        w -= step * min(1.0, 2.0 / np.abs(step).max(initial=1e-12))
    return max(float(w[0]), 0.05), float(w[1])


def fit_threshold(
    scores: NDArray[np.float64], worth: NDArray[np.float64], gold: int
) -> float:
    """The threshold of best F: the middle between the last span to keep and the first
    to reject; `LEAST` at least.

    worth (array): 1 for a span that is right, 0 for one that is wrong. The best one of
        the right label in about the right place is worth half: it counts for relaxed F.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= LEAST]
    if not len(order):
        return LEAST
    ranked, right = np.append(scores[order], LEAST), np.cumsum(worth[order])
    f = 2 * right / (np.arange(1, len(order) + 1) + gold)
    last = int(f.argmax())
    return round(float(ranked[last] + ranked[last + 1]) / 2, 4)
