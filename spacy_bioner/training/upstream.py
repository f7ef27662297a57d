"""What stands before a component in its pipeline."""

from __future__ import annotations

from collections.abc import Iterable

from spacy.language import Language
from spacy.tokens import Doc


def run_before(nlp: Language, name: str, docs: Iterable[str | Doc]) -> list[Doc]:
    """Texts or documents as the component `name` gets them."""
    rest = nlp.pipe_names[nlp.pipe_names.index(name) :]
    return list(nlp.pipe(docs, disable=rest))
