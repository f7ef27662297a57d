"""Exact scores of nested spans, on the documents that have them annotated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import PRFScore
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from ..task import get_task


@registry.scorers("spacy-bioner.nested_scorer.v1")
def make_nested_scorer() -> Callable:
    """The scorer of `nested_spancat`."""
    return score_nested


def score_nested(
    examples: Iterable[Example], *, spans_key: str, task: str = "", **_: Any
) -> dict[str, Any]:
    """Score `doc.spans[spans_key]` by exact characters and label.

    spaCy's own scorer leaves out predictions that do not align with the reference's
    tokens; here they are errors, as are gold spans that no prediction could align
    with. Documents whose reference lacks the group, or that belong to another task,
    do not count.

    RETURNS (dict): spans_KEY_p, spans_KEY_r, spans_KEY_f and spans_KEY_per_type;
        None where no document is annotated.
    """
    overall = PRFScore()
    per_type: dict[str, PRFScore] = defaultdict(PRFScore)
    annotated = False
    for example in examples:
        own = not task or (_task_of(example) or task) == task
        if not own or spans_key not in example.reference.spans:
            continue
        annotated = True
        gold = _characters(example.reference, spans_key)
        found = _characters(example.predicted, spans_key)
        overall.score_set(found, gold)
        for label in {span[2] for span in gold | found}:
            per_type[label].score_set(
                {span for span in found if span[2] == label},
                {span for span in gold if span[2] == label},
            )
    values = {
        "p": overall.precision,
        "r": overall.recall,
        "f": overall.fscore,
        "per_type": {k: v.to_dict() for k, v in sorted(per_type.items())},
    }
    return {
        f"spans_{spans_key}_{k}": v if annotated else None for k, v in values.items()
    }


def _task_of(example: Example) -> str | None:
    return get_task(example.predicted) or get_task(example.reference)


def _characters(doc: Doc, key: str) -> set[tuple[int, int, str]]:
    if key not in doc.spans:
        return set()
    return {(s.start_char, s.end_char, s.label_) for s in doc.spans[key]}
