"""displaCy with what its own pages leave out: how sure each span is, and a remark."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from html import escape
from typing import Any

from spacy import displacy
from spacy.displacy.render import DEFAULT_ENTITY_COLOR, SpanRenderer
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
    options = dict(options or {})
    own = {**COLORS, **_upper(options.get("colors", {}))}
    colors = SpanRenderer({"colors": own}).colors  # by label, displaCy's among them
    options["colors"] = dict(colors)
    parsed = []
    for doc in docs:
        found = list(_scored(doc, style, key))
        parse = displacy.parse_ents if style == "ent" else partial(_parse_spans, found)
        data = parse(doc, options)
        for row, (span, score) in zip(data[f"{style}s"], found, strict=True):
            shown = _describe(span, score, note)
            if style == "ent":
                row["params"] = {"label": shown}
            else:  # has no such parameters: a label with a score is a label of its own
                row["label"] = shown
                color = colors.get(span.label_.upper(), DEFAULT_ENTITY_COLOR)
                options["colors"][shown] = color
        parsed.append(data)
    return displacy.render(
        parsed, style=style, page=page, options=options, manual=True, jupyter=False
    )


def _scored(doc: Doc, style: str, key: str) -> Iterator[tuple[Span, float]]:
    if style == "span":  # several heads may have scored the same words
        return scored(find_group(doc, key))
    scores = scores_of(doc)
    return ((ent, scores.get(place_of(ent), math.nan)) for ent in doc.ents)


def _parse_spans(
    found: list[tuple[Span, float]], doc: Doc, options: dict[str, Any]
) -> dict[str, Any]:
    """What `displacy.parse_spans` gives, of these spans: it reads the group itself,
    which tokens may have been merged under."""
    url = options.get("kb_url_template")
    rows = [
        {
            "start_token": span.start,
            "end_token": span.end,
            "label": span.label_,
            "kb_id": span.kb_id_,
            "kb_url": url.format(span.kb_id_) if url else "#",
        }
        for span, _ in found
    ]
    return {
        "spans": rows,
        "tokens": [token.text for token in doc],
        "title": doc.user_data.get("title"),
        "settings": displacy.get_doc_settings(doc),
    }


def _upper(colors: dict[str, str]) -> dict[str, str]:
    return {label.upper(): color for label, color in colors.items()}


def _describe(span: Span, score: float, note: Callable[[Span], str] | None) -> str:
    shown = "" if math.isnan(score) else f"{score:.2f}"
    parts = (span.label_, shown, escape(note(span)) if note else "")
    return " ".join(part for part in parts if part)
