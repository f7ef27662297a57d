"""`abbreviation_entities`: a short form is what its long form is, all document long.

A text says once that APC is adenomatous polyposis coli; a tagger that reads a window at
a time may have forgotten it a page later. scispaCy's `abbreviation_detector`, which
goes before this component, finds pairs and later occurrences by the algorithm of
Schwartz and Hearst (Pac Symp Biocomput 2003, 451-462).
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span, SpanGroup

from ..confidence import Place, place_of, scores_of
from ..errors import BionerError, Errors
from ..spans import best_first, set_entities

EXTENSION = "abbreviations"
PLACES = {"short_start", "short_end", "long_start", "long_end"}


@Language.factory(
    "abbreviation_entities",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type"],
    requires=["doc.ents"],
    default_config={"labels": [], "spans_key": "abbreviations"},
)
def make_abbreviation_entities(
    nlp: Language, name: str, labels: list[str], spans_key: str
) -> "AbbreviationEntities":
    """Build the component.

    labels (list): Only these are given to short forms or taken from them; empty: all.
    spans_key (str): The span group for the entities that it adds; its `attrs` hold
        "scores", those of the long forms, and "long_forms", their first token and
        end, both parallel to the spans.
    """
    return AbbreviationEntities(name, labels=labels, spans_key=spans_key)


class AbbreviationEntities(Pipe):
    """Give short forms the type and identifier of the entity they stand for."""

    def __init__(
        self,
        name: str = "abbreviation_entities",
        *,
        labels: Iterable[str] = (),
        spans_key: str = "abbreviations",
    ) -> None:
        self.name = name
        self.chosen = frozenset(labels)
        self.spans_key = spans_key

    def __call__(self, doc: Doc) -> Doc:
        """Write `doc.ents` and the span group.

        A short form from its definition on becomes an entity where its long form is
        exactly one, of one of the labels. An entity that stands there gives way, whole,
        unless it goes on beyond the short form (*APC gene*), is surer than the long
        form, of its type or of none of the labels.
        """
        by_token = {i: ent for ent in doc.ents for i in range(ent.start, ent.end)}
        ents = {(ent.start, ent.end): ent for ent in doc.ents if self._is_chosen(ent)}
        scores = scores_of(doc)
        rows = []
        for short, long in abbreviations_of(doc):
            if long in ents and _follows(short, long):
                ent = ents[long]
                span = Span(doc, *short, label=ent.label, kb_id=ent.kb_id)
                score = scores.get(place_of(ent), math.nan)
                there = [by_token[i] for i in range(*short) if i in by_token]
                if all(self._gives_way(old, span, score, scores) for old in there):
                    rows.append((span, score, long))
        keep = best_first(
            [(span.start, span.end) for span, *_ in rows],
            [0.0 if math.isnan(score) else score for _, score, _ in rows],
        )
        self._write(doc, [rows[i] for i in keep])
        return doc

    def _is_chosen(self, ent: Span) -> bool:
        return not self.chosen or ent.label_ in self.chosen

    def _gives_way(
        self, old: Span, new: Span, score: float, scores: dict[Place, float]
    ) -> bool:
        """Whether a short form, one of that score, may stand where an entity stands."""
        within = new.start <= old.start and old.end <= new.end
        surer = scores.get(place_of(old), math.nan) > score  # False: one has no score
        return self._is_chosen(old) and within and old.label != new.label and not surer

    def _write(self, doc: Doc, rows: list[tuple[Span, float, tuple[int, int]]]) -> None:
        set_entities(doc, [span for span, *_ in rows], "prefer")
        doc.spans[self.spans_key] = SpanGroup(
            doc,
            name=self.spans_key,
            spans=[span for span, *_ in rows],
            attrs={
                "ents": True,
                "scores": np.array([score for _, score, _ in rows], dtype="float32"),
                "long_forms": [list(long) for *_, long in rows],
            },
        )


def abbreviations_of(doc: Doc) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """What scispaCy's detector found, in either of its forms, on the tokens as they are
    now; what they no longer hold is left out, and a warning says so.

    RETURNS (Iterator): Short and long form, first token and end (exclusive) of each.
    Raises BionerError if there is no detector.
    """
    if not Doc.has_extension(EXTENSION):
        raise BionerError(Errors.B005)
    found: Any = doc._.get(EXTENSION)
    lost = 0
    for one in found if isinstance(found, list) else ():  # else it is another's
        if isinstance(one, dict) and one.keys() >= PLACES:  # make_serializable
            places = [(one[f"{x}_start"], one[f"{x}_end"]) for x in ("short", "long")]
            texts = [one.get(f"{x}_text") for x in ("short", "long")]
            spans = [doc[slice(*place)] for place in places]
            if all(t in (None, s.text) for s, t in zip(spans, texts, strict=True)):
                yield places[0], places[1]
            else:
                lost += 1
        elif isinstance(one, Span) and one.has_extension("long_form"):
            short, long = (
                doc.char_span(span.start_char, span.end_char)
                for span in (one, one._.long_form)
            )
            if short and long:
                yield (short.start, short.end), (long.start, long.end)
            else:
                lost += 1
    if lost:
        warnings.warn(Errors.B008.format(count=lost), stacklevel=2)


def _follows(short: tuple[int, int], long: tuple[int, int]) -> bool:
    """Not before the definition, which is `long (short)` or `short (long)`, and no
    part of the long form."""
    return short[1] >= long[0] - 1 and not (short[0] < long[1] and long[0] < short[1])
