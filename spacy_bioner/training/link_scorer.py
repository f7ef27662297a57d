"""Precision, recall and F of identifiers, on the entities that were found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import PRFScore
from spacy.training import Example
from spacy.util import registry

from ..kb.entry import identifiers


@registry.scorers("spacy-bioner.links_scorer.v1")
def make_links_scorer() -> Callable:
    """Score `kb_id_` of the entities that stand exactly where gold has one, under
    spaCy's names for it (`nel_micro_f` …).

    A gold entity of several things (`D1|D2`) is right by any of them; one without an
    identifier (`-1`) is wrong by any. None if gold has no identifier at all.
    """
    return score_links


def score_links(examples: Iterable[Example], **cfg) -> dict[str, Any]:
    """RETURNS (dict): `nel_micro_p`, `_r`, `_f` and `nel_f_per_type`."""
    per_type: dict[str, PRFScore] = defaultdict(PRFScore)
    for example in examples:
        places = {(e.start_char, e.end_char): e for e in example.reference.ents}
        for ent in example.predicted.ents:
            gold = places.get((ent.start_char, ent.end_char))
            if gold is not None:
                wanted = set(identifiers(gold.kb_id_))
                _count(per_type[gold.label_], wanted, set(identifiers(ent.kb_id_)))
    total = sum(per_type.values(), PRFScore())
    scored = total.tp + total.fn > 0
    return {
        "nel_micro_p": total.precision if scored else None,
        "nel_micro_r": total.recall if scored else None,
        "nel_micro_f": total.fscore if scored else None,
        "nel_f_per_type": {k: v.to_dict() for k, v in sorted(per_type.items())},
    }


def _count(score: PRFScore, wanted: set[str], given: set[str]) -> None:
    right = bool(wanted & given)
    score.tp += right
    score.fn += bool(wanted) and not right
    score.fp += bool(given) and not right
