"""How sure a component is of a span: one getter for what all of them write.

Whatever scores spans keeps the scores in `doc.spans[key].attrs["scores"]`, parallel to
the spans, so that they live as long as the spans do: in bytes, in a DocBin, between
processes. `attrs["ents"]` is True in the group of a component that also wrote
`doc.ents`. A `Span` extension would be kept by characters alone, and two labels on the
same words would share one value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import partial

import srsly
from spacy.tokens import Doc, Span, SpanGroup

from .errors import BionerError, Errors
from .spans import choose_attrs

Place = tuple[int, int, str]  # first token, end (exclusive), label
PACKED = ">QQQllll"  # a span in `SpanGroup.to_bytes`


def score_of(span: Span, key: str | None = None) -> float | None:
    """The probability that a component gave to these words and this label.

    key (str): The span group that the span is from. None: an entity of `doc.ents`;
        of several components that wrote `doc.ents`, the last one that knows it.
    RETURNS (float): Between 0 and 1; None if nobody scored it. Where several heads of
        a `gerbera_ner` found the same, of the head that owns the label.
    Raises BionerError if there is no such span group, or its scores do not fit.
    """
    return scores_of(span.doc, key).get(place_of(span))


def scores_of(doc: Doc, key: str | None = None) -> dict[Place, float]:
    """All scores as `score_of` gives them; for many spans of one document, look up
    each by `place_of(span)`."""
    if key is not None:
        groups = [find_group(doc, key)]
    else:
        groups = [g for g in list(doc.spans.values())[::-1] if g.attrs.get("ents")]
    table: dict[Place, float] = {}
    for group in groups:
        for span, score in scored(group):
            if not math.isnan(score):
                table.setdefault(place_of(span), score)
    return table


def place_of(span: Span) -> Place:
    """What tells one scored span of a document from another."""
    return span.start, span.end, span.label_


def find_group(doc: Doc, key: str) -> SpanGroup:
    """Raises BionerError if there is none."""
    if key not in doc.spans:
        raise BionerError(Errors.B003.format(key=key, known=list(doc.spans)))
    return doc.spans[key]


def scored(group: SpanGroup) -> Iterator[tuple[Span, float]]:
    """Each span and its score, nan where it has none, as `put_on_tokens` gives them.

    Raises BionerError if spans were added or removed, and the scores were not.
    """
    if len(group.attrs.get("scores", group)) != len(group):
        raise BionerError(Errors.B001.format(key=group.name))
    group = put_on_tokens(group)
    scores = group.attrs.get("scores", [math.nan] * len(group))
    return zip(group, map(float, scores), strict=True)


def put_on_tokens(group: SpanGroup) -> SpanGroup:
    """The group itself or, where tokens were merged or split since (`merge_entities`),
    one whose spans stand on the tokens that hold their characters now. A span that has
    no such tokens is left out, with its scores and the like.
    """
    try:
        if all(map(_stands, group)):
            return group
    except IndexError:  # there are no such tokens any more
        pass
    # spaCy only gives the characters of such spans away in the group's bytes
    rows = srsly.msgpack_loads(group.to_bytes())["spans"]
    spans = [_on_tokens(group.doc, *struct.unpack(PACKED, row)) for row in rows]
    attrs = choose_attrs(group, [span is not None for span in spans])
    left = [span for span in spans if span is not None]
    return SpanGroup(group.doc, name=group.name, attrs=attrs, spans=left)


def _stands(span: Span) -> bool:
    """Whether a span's tokens hold its characters: those stay when tokens change."""
    last = span.doc[span.end - 1]
    begin, end = span.doc[span.start].idx, last.idx + len(last)
    return (begin, end) == (span.start_char, span.end_char)


def _on_tokens(
    doc: Doc, span_id: int, kb_id: int, label: int, _start, _end, begin: int, end: int
) -> Span | None:
    return doc.char_span(begin, end, label=label, kb_id=kb_id, span_id=span_id)


def register_confidence(name: str = "confidence", key: str | None = None) -> None:
    """Make `span._.confidence` the same as `score_of(span, key)`.

    Nothing does this on import: extensions are global, and not ours to claim.
    Raises BionerError if another package has an extension of that name.
    """
    if Span.has_extension(name):
        getter = Span.get_extension(name)[2]
        if not (isinstance(getter, partial) and getter.func is score_of):
            raise BionerError(Errors.B002.format(name=name))
    Span.set_extension(name, getter=partial(score_of, key=key), force=True)
