"""What a linker found for a span: identifiers, best first, and how like they are.

The candidates live in `doc.spans[key].attrs["candidates"]`, parallel to the spans, as
scores do (see `confidence`): in bytes, in a DocBin and between processes.
"""

from __future__ import annotations

from typing import NamedTuple

from spacy.tokens import Doc, Span

from .confidence import Place, place_of, put_on_tokens
from .errors import BionerError, Errors

LINKS_KEY = "links"


class Candidate(NamedTuple):
    """An identifier, how like the mention its nearest name is (0 to 1; no probability),
    and its preferred name."""

    id: str
    score: float
    name: str


def candidates_of(span: Span, key: str = LINKS_KEY) -> list[Candidate]:
    """The candidates of these words with this label, best first; those under the
    linker's threshold too. Empty if the linker did not look the span up.

    key (str): The linker's span group.
    Raises BionerError if no linker wrote that group.
    """
    return links_of(span.doc, key).get(place_of(span), [])


def links_of(doc: Doc, key: str = LINKS_KEY) -> dict[Place, list[Candidate]]:
    """The candidates of all spans, as `candidates_of` gives them, by `place_of`."""
    if key not in doc.spans or "candidates" not in doc.spans[key].attrs:
        raise BionerError(Errors.B912.format(key=key, known=list(doc.spans)))
    group = put_on_tokens(doc.spans[key])
    rows = zip(group, group.attrs["candidates"], strict=True)
    return {place_of(span): [Candidate(*row) for row in found] for span, found in rows}
