"""The routing key: which task (corpus, and so which head) a document belongs to."""

from __future__ import annotations

from spacy.tokens import Doc

EXTENSION = "bioner_task"

if not Doc.has_extension(EXTENSION):
    Doc.set_extension(EXTENSION, default=None)


def get_task(doc: Doc) -> str | None:
    """The task of a document, or None when nobody set one."""
    return getattr(doc._, EXTENSION)


def set_task(doc: Doc, task: str | None) -> None:
    """Mark a document as belonging to `task`; survives `Doc.copy` and a DocBin
    written with `store_user_data=True`."""
    setattr(doc._, EXTENSION, task)
