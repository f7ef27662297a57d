"""Exact entity scores that ask of each document only what its corpus annotates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import PRFScore
from spacy.training import Example
from spacy.util import registry

from ..task import get_task
from .gold import only_known


@registry.scorers("spacy-bioner.heads_scorer.v1")
def make_heads_scorer() -> Callable:
    """The scorer of `gerbera_ner`."""
    return score_heads


def score_heads(
    examples: Iterable[Example],
    *,
    heads: dict[str, list[str]] | None = None,
    general: Iterable[str] = (),
    **_: Any,
) -> dict[str, Any]:
    """Score `doc.ents` by exact characters and label.

    Of what is found in a document of a known task only the labels of that task's head
    count: another corpus's genes are no false positives in a disease corpus that never
    looked for genes. Gold entities are counted in full, also those that no prediction
    could align with, and those whose label the head does not know.

    RETURNS (dict): ents_p, ents_r, ents_f and ents_per_type over all documents;
        heads_per_task, the same for each task; heads_f, the mean F of the tasks that
        are not general.
    """
    heads = heads or {}
    overall = PRFScore()
    per_type: dict[str, PRFScore] = defaultdict(PRFScore)
    per_task: dict[str, PRFScore] = defaultdict(PRFScore)
    for example in examples:
        if not example.reference.has_annotation("ENT_IOB"):
            continue
        task = get_task(example.reference) or get_task(example.predicted) or ""
        labels = heads.get(task)
        gold = _characters(example.reference, None)
        found = _characters(example.predicted, labels)
        found = only_known(found, gold, example.reference)
        overall.score_set(found, gold)
        per_task[task].score_set(found, gold)
        for label in {span[2] for span in gold | found}:
            per_type[label].score_set(
                {span for span in found if span[2] == label},
                {span for span in gold if span[2] == label},
            )
    if not per_task:
        return dict.fromkeys(("ents_p", "ents_r", "ents_f", "heads_f"))
    targets = [v.fscore for k, v in per_task.items() if k not in set(general)]
    return {
        "ents_p": overall.precision,
        "ents_r": overall.recall,
        "ents_f": overall.fscore,
        "ents_per_type": {k: v.to_dict() for k, v in sorted(per_type.items())},
        "heads_per_task": {k: v.to_dict() for k, v in sorted(per_task.items())},
        "heads_f": sum(targets) / len(targets) if targets else 0.0,
    }


def _characters(doc, labels) -> set[tuple[int, int, str]]:
    return {
        (ent.start_char, ent.end_char, ent.label_)
        for ent in doc.ents
        if labels is None or ent.label_ in labels
    }
