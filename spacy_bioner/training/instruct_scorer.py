"""Exact scores of spans that were asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import PRFScore
from spacy.training import Example
from spacy.util import registry

from ..corpora.convert import GOLD_KEY
from ..instruction import get_types
from ..task import get_task
from .gold import only_known

Places = set[tuple[int, int, str]]  # first character, end (exclusive), label
FIGURES = ("instruct_f", "instruct_micro_p", "instruct_micro_r", "instruct_micro_f")


@registry.scorers("spacy-bioner.instruct_scorer.v1")
def make_instruct_scorer() -> Callable:
    """The scorer of `instruct_ner`."""
    return score_instructed


def score_instructed(
    examples: Iterable[Example],
    *,
    spans_key: str,
    types: Iterable[str] = (),
    **_: Any,
) -> dict[str, Any]:
    """Score the span group by exact characters and label, against all gold mentions
    of the types that a document was asked for.

    spans_key (str): The group that holds what was found.
    types (iterable): What a document was asked for that has no types of its own.
    RETURNS (dict): instruct_micro_p, _r and _f and instruct_per_type over all
        documents; instruct_per_task, the same for each task; instruct_f, the mean F
        of the tasks. None where no document is annotated.
    """
    types = list(types)
    overall = PRFScore()
    per_type: dict[str, PRFScore] = defaultdict(PRFScore)
    per_task: dict[str, PRFScore] = defaultdict(PRFScore)
    for example in examples:
        reference, predicted = example.reference, example.predicted
        if not reference.has_annotation("ENT_IOB"):
            continue
        own = get_types(predicted)
        task = get_task(reference) or get_task(predicted) or ""
        for label in types if own is None else own:
            gold = _places(reference.spans.get(GOLD_KEY, reference.ents), label)
            found = _places(predicted.spans.get(spans_key, ()), label)
            if GOLD_KEY not in reference.spans:
                found = only_known(found, gold, reference)
            for score in (overall, per_type[label], per_task[task]):
                score.score_set(found, gold)
    if not per_task:
        return dict.fromkeys(FIGURES)
    return {
        "instruct_f": sum(v.fscore for v in per_task.values()) / len(per_task),
        "instruct_micro_p": overall.precision,
        "instruct_micro_r": overall.recall,
        "instruct_micro_f": overall.fscore,
        "instruct_per_type": {k: v.to_dict() for k, v in sorted(per_type.items())},
        "instruct_per_task": {k: v.to_dict() for k, v in sorted(per_task.items())},
    }


def _places(spans: Iterable, label: str) -> Places:
    return {(s.start_char, s.end_char, s.label_) for s in spans if s.label_ == label}
