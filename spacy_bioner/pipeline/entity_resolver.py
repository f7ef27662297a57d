"""Several models' entities in one pipeline: `entity_collector`, `entity_resolver`.

spaCy's components that write `doc.ents` replace, or work around, what an earlier one
wrote. So after each model a collector puts its entities aside, with their scores, and
the resolver at the end decides among whole entities by one stated policy.
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup

from ..confidence import Place, find_group, place_of, scored, scores_of
from ..errors import BionerError, Errors
from ..spans import best_first, replace_entities, set_entities

STANDING = "doc.ents"


@Language.factory(
    "entity_collector",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    requires=["doc.ents"],
    default_config={"spans_key": "collected"},
)
def make_entity_collector(
    nlp: Language, name: str, spans_key: str
) -> "EntityCollector":
    """Build the component.

    spans_key (str): The span group that entities are moved to; its "scores" are nan
        for an entity that nobody scored. Each collector needs one of its own.
    """
    for other, pipe in nlp.pipeline:
        if isinstance(pipe, EntityCollector) and pipe.spans_key == spans_key:
            text = Errors.B007.format(name=name, other=other, key=spans_key)
            warnings.warn(text, stacklevel=2)
    return EntityCollector(name, spans_key=spans_key)


class EntityCollector(Pipe):
    """Move `doc.ents` into a span group, so that the next model starts afresh."""

    def __init__(
        self, name: str = "entity_collector", *, spans_key: str = "collected"
    ) -> None:
        self.name = name
        self.spans_key = spans_key

    def __call__(self, doc: Doc) -> Doc:
        """Write the group and empty `doc.ents`; identifiers go with the entities."""
        table = scores_of(doc)
        scores = [table.get(place_of(ent), math.nan) for ent in doc.ents]
        doc.spans[self.spans_key] = SpanGroup(
            doc,
            name=self.spans_key,
            spans=list(doc.ents),
            attrs={"scores": np.array(scores, dtype="float32")},
        )
        for group in doc.spans.values():  # none of them speaks for `doc.ents` now
            group.attrs.pop("ents", None)
        replace_entities(doc, [])
        return doc


@dataclass
class Candidate:
    """An entity that one or several sources propose."""

    span: Span
    score: float
    sources: list[str]


# What decides, most important first.
POLICIES = {
    "score": ("score", "length"),
    "length": ("length", "score"),
    "labels": ("label", "score", "length"),
}


@Language.factory(
    "entity_resolver",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    requires=["doc.ents", "doc.spans"],
    default_config={
        "sources": [],
        "policy": "score",
        "labels": [],
        "default_score": 0.5,
        "spans_key": "resolved",
    },
)
def make_entity_resolver(
    nlp: Language,
    name: str,
    sources: list[str],
    policy: str,
    labels: list[str],
    default_score: float,
    spans_key: str,
) -> "EntityResolver":
    """Build the component.

    sources (list[str]): Span groups that propose entities; earlier ones win ties.
        What stands in `doc.ents` is a source too, "doc.ents", the last one unless it
        is named.
    policy (str): Of overlapping entities win: "score", the surest, then the longest;
        "length", the longest, then the surest; "labels", the one whose label comes
        first in `labels`, then the surest.
    labels (list[str]): For the policy "labels"; labels not named come last.
    default_score (float): What an entity counts for that nobody scored.
    spans_key (str): The span group for the winners; its `attrs` hold "scores", nan
        where there is none, and "sources", the list of all that proposed each, both
        parallel to the spans.
    """
    return EntityResolver(
        name,
        sources=sources,
        policy=policy,
        labels=labels,
        default_score=default_score,
        spans_key=spans_key,
    )


class EntityResolver(Pipe):
    """Choose among the entities of several sources; none is ever cut."""

    def __init__(
        self,
        name: str = "entity_resolver",
        *,
        sources: list[str],
        policy: str = "score",
        labels: list[str],
        default_score: float = 0.5,
        spans_key: str = "resolved",
    ) -> None:
        if policy not in POLICIES:
            raise BionerError(Errors.B006.format(policy=policy, known=list(POLICIES)))
        self.name = name
        self.sources = sources if STANDING in sources else [*sources, STANDING]
        self.policy = policy
        self._priority = {label: i for i, label in enumerate(labels)}
        self.default_score = default_score
        self.spans_key = spans_key

    def __call__(self, doc: Doc) -> Doc:
        """Write `doc.ents` and the span group."""
        candidates = list(self._gather(doc).values())
        places = [(c.span.start, c.span.end) for c in candidates]
        keep = best_first(places, self._ranks(candidates))
        chosen = [candidates[i] for i in keep]
        set_entities(doc, [c.span for c in chosen], "replace")
        doc.spans[self.spans_key] = SpanGroup(
            doc,
            name=self.spans_key,
            spans=[c.span for c in chosen],
            attrs={
                "ents": True,
                "scores": np.array([c.score for c in chosen], dtype="float32"),
                "sources": [c.sources for c in chosen],
            },
        )
        return doc

    def _gather(self, doc: Doc) -> dict[Place, Candidate]:
        """Each place and label once: the best score, the first identifiers."""
        found: dict[Place, Candidate] = {}
        for source in self.sources:
            for span, score in _propose(doc, source):
                place = place_of(span)
                old = found.setdefault(place, Candidate(span, score, []))
                old.score = float(np.fmax(old.score, score))
                old.span = Span(
                    doc,
                    *place,
                    kb_id=old.span.kb_id or span.kb_id,
                    span_id=old.span.id or span.id,
                )
                if source not in old.sources:
                    old.sources.append(source)
        return found

    def _ranks(self, candidates: list[Candidate]) -> list[int]:
        """How good each is, by the policy; of equals the earlier one is better."""
        numbers = range(len(candidates))
        order = sorted(numbers, key=lambda i: self._merits(candidates[i]), reverse=True)
        ranks = {i: -position for position, i in enumerate(order)}
        return [ranks[i] for i in numbers]

    def _merits(self, candidate: Candidate) -> tuple[float, ...]:
        span, score = candidate.span, candidate.score
        merits = {
            "score": self.default_score if math.isnan(score) else score,
            "length": len(span),
            "label": -self._priority.get(span.label_, len(self._priority)),
        }
        return tuple(merits[name] for name in POLICIES[self.policy])


def _propose(doc: Doc, source: str) -> Iterator[tuple[Span, float]]:
    """The spans of a source and their scores, nan where there is none."""
    if source != STANDING:
        return scored(find_group(doc, source))
    table = scores_of(doc)
    return ((ent, table.get(place_of(ent), math.nan)) for ent in doc.ents)
