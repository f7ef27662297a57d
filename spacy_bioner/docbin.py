"""Documents in `.spacy` files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from .errors import BionerError, Errors


def read_docs(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """The documents of a file; it is opened at once, each is made when it is asked for.

    Raises BionerError for a file that is missing or is no DocBin.
    """
    if not path.is_file():
        raise BionerError(Errors.B603.format(path=path, error="no such file"))
    try:
        return DocBin().from_disk(path).get_docs(vocab)
    except Exception:  # whatever zlib and msgpack raise
        raise BionerError(Errors.B901.format(path=path)) from None
