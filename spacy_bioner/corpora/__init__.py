"""Corpora: one reader a format, and the way from there to spaCy's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spacy_bioner.corpora import (
    bc2gm,
    bio_chars,
    bioc_xml,
    brat,
    cmeee,
    conll,
    conllu,
    genia,
    jsonl,
    linnaeus,
    pubtator,
)
from spacy_bioner.corpora.document import Mention, SourceDocument
from spacy_bioner.errors import BionerError, Errors

Reader = Callable[..., Iterator[SourceDocument]]

READERS: dict[str, Reader] = {
    "bc2gm": bc2gm.read,
    "bio-chars": bio_chars.read,
    "bioc": bioc_xml.read,
    "brat": brat.read,
    "cmeee": cmeee.read,
    "conll": conll.read,
    "conllu": conllu.read,
    "genia": genia.read,
    "jsonl": jsonl.read,
    "linnaeus": linnaeus.read,
    "pubtator": pubtator.read,
}


def get_reader(name: str) -> Reader:
    """The reader of a format. Raises BionerError for an unknown name."""
    if name not in READERS:
        raise BionerError(Errors.B102.format(format=name, known=", ".join(READERS)))
    return READERS[name]


__all__ = ["READERS", "Mention", "Reader", "SourceDocument", "get_reader"]
