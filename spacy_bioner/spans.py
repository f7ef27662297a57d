"""The one place that decides which spans `doc.ents` gets, and what goes along with
the spans of a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

import numpy as np
from spacy.tokens import Doc, Span, SpanGroup

from .errors import BionerError, Errors

POLICIES = ("replace", "keep", "prefer")


def best_first(spans: Sequence[tuple[int, int]], scores: Sequence[float]) -> list[int]:
    """Choose spans that do not overlap: higher score first, then longer, then left.

    spans (list): (start, end) in tokens, end exclusive.
    RETURNS (list[int]): The chosen ones' numbers, in text order.
    """
    order = sorted(
        range(len(spans)),
        key=lambda i: (-scores[i], spans[i][0] - spans[i][1], spans[i][0]),
    )
    taken: set[int] = set()
    chosen = []
    for i in order:
        start, end = spans[i]
        if taken.isdisjoint(range(start, end)):
            taken.update(range(start, end))
            chosen.append(i)
    return sorted(chosen, key=lambda i: spans[i][0])


def resolve(existing: Iterable[Span], new: Iterable[Span], policy: str) -> list[Span]:
    """Merge whole entities only: an entity is taken or left, never cut.

    existing (Iterable[Span]): What `doc.ents` holds already.
    new (Iterable[Span]): What a component found; no overlaps among them.
    policy (str): "replace": only the new ones; "keep": existing entities win;
        "prefer": the new ones win.
    RETURNS (list[Span]): In text order, none overlapping another.
    Raises BionerError for another policy: a component's `cfg` may be set by hand.
    """
    if policy not in POLICIES:
        raise BionerError(Errors.B303.format(policy=policy, known=POLICIES))
    existing, new = list(existing), list(new)
    if policy == "replace":
        return new
    first, second = (existing, new) if policy == "keep" else (new, existing)
    taken = {i for span in first for i in range(span.start, span.end)}
    rest = [s for s in second if taken.isdisjoint(range(s.start, s.end))]
    return sorted(first + rest, key=lambda span: span.start)


def set_entities(doc: Doc, new: Iterable[Span], policy: str) -> None:
    """Write `doc.ents` after `resolve`; identifiers of kept entities stay."""
    replace_entities(doc, resolve(doc.ents, new, policy))


def replace_entities(doc: Doc, ents: list[Span]) -> None:
    """Write `doc.ents`. spaCy leaves a token the `ent_id` of an entity that is gone,
    where the new one has none."""
    if doc.to_array("ENT_ID").any():
        for token in doc:
            token.ent_id = 0
    doc.set_ents(ents)


def goes_by_span(group: SpanGroup, value: Any) -> bool:
    """Whether an attribute of a group has a value for each of its spans."""
    return isinstance(value, (list, np.ndarray)) and len(value) == len(group)


def choose_attrs(group: SpanGroup, chosen: Sequence[bool]) -> dict[str, Any]:
    """A group's attributes for some of its spans: of those that have a value for each
    span, such as scores, the values of the chosen ones."""
    return {
        name: list(compress(value, chosen)) if goes_by_span(group, value) else value
        for name, value in group.attrs.items()
    }
