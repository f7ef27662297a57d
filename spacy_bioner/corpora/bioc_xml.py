"""BioC XML (Comeau et al. 2013), read by the `bioc` library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import (
    checked_mention,
    files_in,
    malformed,
    missing,
    read_text,
)
from spacy_bioner.corpora.document import SourceDocument


def read(
    path: Path, type_key: str = "type", id_key: str = "identifier"
) -> Iterator[SourceDocument]:
    """Read one file, or every `.xml` file of a folder.

    type_key, id_key (str): The infons that hold label and identifier. Passages keep
        their offsets: the gap between two is filled with line breaks.
    """
    try:
        from bioc import biocxml
        from lxml import etree
    except ImportError:
        raise missing("BioC", "bioc") from None
    for file in files_in(path, ".xml"):
        read_text(file)
        try:
            collection = biocxml.load(str(file))
        except etree.XMLSyntaxError as error:
            raise malformed(file, error.lineno or 0, f"not XML: {error.msg}") from None
        except Exception as error:  # bioc raises what it meets: KeyError, TypeError…
            raise malformed(file, 0, f"not BioC XML ({error!r})") from None
        for document in collection.documents:
            yield _convert(file, document, type_key, id_key)


def _convert(path: Path, source, type_key: str, id_key: str) -> SourceDocument:
    document = SourceDocument(source.id, "")
    annotations = list(source.annotations)
    cut = all(passage.sentences for passage in source.passages if passage.text)
    for passage in source.passages:
        annotations += passage.annotations
        parts = passage.sentences or [passage]
        for part in parts:
            text = part.text or ""
            if part.offset < len(document.text):
                raise malformed(
                    path, 0, f"document {source.id}: passages overlap at {part.offset}"
                )
            document.text = document.text.ljust(part.offset, "\n") + text
            if passage.sentences:
                annotations += part.annotations
                if cut:  # else the rules find all of them
                    document.sentence_starts.append(part.offset)
    for annotation in annotations:
        label = annotation.infons.get(type_key, "")
        if not label:
            known = ", ".join(annotation.infons) or "none at all"
            raise malformed(
                path,
                0,
                f"document {source.id}: an annotation has no infon '{type_key}', only "
                f"{known}: name the one that holds the type by --type-key",
            )
        if len(annotation.locations) != 1:
            reason = "discontinuous" if annotation.locations else "empty"
            document.lost.append((label, reason))
            continue
        [location] = annotation.locations
        document.mentions.append(
            checked_mention(
                path,
                0,
                document.text,
                location.offset,
                location.end,
                label,
                kb_id=annotation.infons.get(id_key, ""),
                expected=annotation.text,
            )
        )
    return document
