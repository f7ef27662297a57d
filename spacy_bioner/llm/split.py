"""Long texts in pieces that a language model can copy."""

from __future__ import annotations

from spacy.tokens import Doc, Span

SENTENCE_ENDS = frozenset(".!?。！？")
CLAUSE_ENDS = frozenset(",;:，；：、")


def split(doc: Doc, max_chars: int) -> list[Span]:
    """Cut a document into pieces, at the best place within reach: the end of a
    sentence or line, else of a clause, else of a token.

    max_chars (int): The length of a piece; a longer token is a piece of its own.
    RETURNS (list[Span]): In order, together the whole document except whitespace.
    """
    pieces = []
    has_sentences = doc.has_annotation("SENT_START")
    start = 0
    while start < len(doc):
        stop = start + 1
        limit = doc[start].idx + max_chars
        while stop < len(doc) and doc[stop].idx + len(doc[stop]) <= limit:
            stop += 1
        if stop < len(doc):
            places = range(start + 1, stop + 1)
            stop = max(places, key=lambda i: (_quality(doc, i, has_sentences), i))
        pieces.append(doc[start:stop])
        start = stop
    return [piece for piece in map(_strip, pieces) if len(piece)]


def _quality(doc: Doc, i: int, has_sentences: bool) -> int:
    """How good it is to cut before token `i`."""
    before = doc[i - 1]
    if doc[i].is_sent_start or "\n" in before.text:
        return 3
    if before.text in SENTENCE_ENDS and not has_sentences:
        return 2
    return int(before.text in CLAUSE_ENDS)


def _strip(piece: Span) -> Span:
    """Without tokens of whitespace at its ends."""
    start, stop = piece.start, piece.end
    while start < stop and piece.doc[start].is_space:
        start += 1
    while start < stop and piece.doc[stop - 1].is_space:
        stop -= 1
    return piece.doc[start:stop]
