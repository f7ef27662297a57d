"""GENIA event corpus XML: sentences with nested `term` elements (Kim et al. 2008,
BMC Bioinformatics 9:10). Labels are the 33 leaf classes of the GENIA ontology.

A coordinated term ("alpha and beta chains") carries a formula such as
`(AND Protein_molecule Protein_molecule)` instead of a class, and its parts carry
none: what it stands for has no single span, so it is counted as lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from spacy_bioner.corpora.common import files_in, malformed, read_text
from spacy_bioner.corpora.document import Mention, SourceDocument


def read(path: Path) -> Iterator[SourceDocument]:
    """Read one abstract, or every `.xml` file of a folder.

    The title stands on a line of its own; sentences are joined by a space.
    """
    for file in files_in(path, ".xml"):
        read_text(file)
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise malformed(file, error.position[0], f"not XML: {error}") from None
        identifier = root.findtext(".//PMID", "").strip()
        if not identifier:
            raise malformed(file, 1, "no PMID: this is no GENIA abstract")
        yield _document(identifier, root)


def _document(identifier: str, root: ElementTree.Element) -> SourceDocument:
    document = SourceDocument(identifier, "")
    for tag in ("ArticleTitle", "AbstractText"):
        for block in root.iter(tag):
            separator = "\n"
            for sentence in block.iter("sentence"):
                if document.text:
                    document.text += separator
                separator = " "
                document.sentence_starts.append(len(document.text))
                _walk(sentence, document)
    return document


def _walk(element: ElementTree.Element, document: SourceDocument) -> None:
    """Append the element's text, and a mention for every term inside it."""
    start = len(document.text)
    document.text += element.text or ""
    for child in element:
        _walk(child, document)
        document.text += child.tail or ""
    label = element.get("sem", "").strip()
    if label.startswith("("):
        document.lost.append((label, "coordinated"))
    elif label:
        document.mentions.append(Mention(start, len(document.text), label))
