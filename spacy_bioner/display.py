"""displaCy with what its own pages leave out: how sure each span is, and a remark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from spacy import displacy
from spacy.displacy.render import DEFAULT_ENTITY_COLOR, DEFAULT_LABEL_COLORS
from spacy.tokens import Doc, Span

from .confidence import find_group, place_of, scored, scores_of
from .errors import BionerError, Errors

COLORS = {
    "DISEASE": "#f4a6a0",
    "CHEMICAL": "#a8d5ba",
    "GENE": "#a7c7e7",
    "PROTEIN": "#b5c9f0",
    "SPECIES": "#fbe3a1",
    "CELL_LINE": "#d9c2e9",
    "CELL_TYPE": "#e8c7dd",
    "DNA": "#bfe3e0",
    "RNA": "#cfe8b4",
}


def render(
    docs: Doc | Iterable[Doc],
    style: str = "ent",
    *,
    key: str = "sc",
    note: Callable[[Span], str] | None = None,
    page: bool = False,
    options: dict[str, Any] | None = None,
) -> str:
    """HTML with each span's label, score, identifier (`kb_id_`) and note.

    style (str): "ent" shows `doc.ents`, "span" the overlapping spans of a group.
    key (str): That span group.
    note (Callable): What else to write of a span, such as whether it is negated.
    page (bool): A whole page, or what goes into one.
    options (dict): displaCy's, for instance `kb_url_template`.
    Raises BionerError for another style.
    """
    if style not in ("ent", "span"):
        raise BionerError(Errors.B004.format(style=style))
    docs = [docs] if isinstance(docs, Doc) else list(docs)
    given = options or {}
    colors = {**DEFAULT_LABEL_COLORS, **COLORS, **given.get("colors", {})}
    options = {**given, "colors": dict(colors), "spans_key": key}
    parse = displacy.parse_ents if style == "ent" else displacy.parse_spans
    parsed = []
    for doc in docs:
        found = list(_scored(doc, style, key))
        data = parse(doc, options)
        for row, (span, score) in zip(data[f"{style}s"], found, strict=True):
            row["label"] = _describe(span, score, note)
            color = colors.get(span.label_.upper(), DEFAULT_ENTITY_COLOR)
            options["colors"][row["label"]] = color
        parsed.append(data)
    return displacy.render(
        parsed, style=style, page=page, options=options, manual=True, jupyter=False
    )


def _scored(doc: Doc, style: str, key: str) -> Iterator[tuple[Span, float]]:
    if style == "span":  # several heads may have scored the same words
        return scored(find_group(doc, key))
    scores = scores_of(doc)
    return ((ent, scores.get(place_of(ent), math.nan)) for ent in doc.ents)


def _describe(span: Span, score: float, note: Callable[[Span], str] | None) -> str:
    shown = "" if math.isnan(score) else f"{score:.2f}"
    parts = (span.label_, shown, note(span) if note else "")
    return " ".join(part for part in parts if part)
