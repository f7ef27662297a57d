"""OWL 2 functional-style syntax, its annotations alone: names need no logic.
https://www.w3.org/TR/owl2-syntax/"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import malformed, read_text
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb.entry import Entry, clean, common_id

TOKEN = re.compile(
    r"""
    "(?:[^"\\]|\\.)*"                 # a literal, which may go over several lines
    | \^\^(?:<[^>]*>|[^\s()]+)        # its type
    | @[\w-]+                         # or its language
    | <[^>\s]*>                       # an IRI
    | \#[^\n]*                        # a comment
    | [()=]
    | [^\s()="<]+                     # a keyword or an abbreviated IRI
    | \S                              # what does not belong here
    """,
    re.VERBOSE | re.DOTALL,
)
IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
DEPRECATED = "http://www.w3.org/2002/07/owl#deprecated"
XREFS = (IN_OWL + "hasDbXref", IN_OWL + "hasAlternativeId")
SYNONYMS = {
    IN_OWL + "hasExactSynonym": "exact",
    IN_OWL + "hasNarrowSynonym": "narrow",
    IN_OWL + "hasBroadSynonym": "broad",
    IN_OWL + "hasRelatedSynonym": "related",
    "http://www.w3.org/2004/02/skos/core#altLabel": "related",
}
Statement = tuple[str, list[str]]  # its keyword, and the tokens of its first level


def read(path: Path) -> Iterator[Entry]:
    """Every annotated class of an OWL file, obsolete and nameless ones too.

    Imported ontologies are not read. Raises BionerError for the XML syntaxes.
    """
    text = read_text(path).removeprefix("\ufeff")
    if text.lstrip().startswith("<"):
        raise BionerError(Errors.B902.format(path=path))
    prefixes: dict[str, str] = {}
    entries: dict[str, Entry] = {}
    others: set[str] = set()  # properties and individuals have labels, too
    for keyword, tokens in _statements(path, text):
        if keyword == "Prefix":
            prefixes[tokens[0]] = tokens[2][1:-1]
        elif keyword in ("ObjectProperty", "DataProperty", "AnnotationProperty",
                         "NamedIndividual", "Datatype"):  # fmt: skip
            others.add(_iri(tokens[0], prefixes))
        elif keyword == "AnnotationAssertion" and len(tokens) >= 3:
            name, subject = (_iri(token, prefixes) for token in tokens[:2])
            entry = entries.setdefault(subject, Entry(common_id(subject), ""))
            _annotate(entry, name, _value(tokens[2], prefixes))
    yield from (entry for iri, entry in entries.items() if iri not in others)


def _statements(path: Path, text: str) -> Iterator[Statement]:
    """Each `Keyword(token …)`, inner ones first. `Ontology(` stays open around all."""
    open_: list[Statement] = [("", [])]
    for match in TOKEN.finditer(text):
        token = match[0]
        if token == "(":
            keyword = open_[-1][1].pop() if open_[-1][1] else ""
            open_.append((keyword, []))
        elif token == ")" and len(open_) > 1:
            yield open_.pop()
        elif token in ('"', ")"):
            line = text.count("\n", 0, match.start()) + 1
            raise malformed(path, line, f"a {token} without its partner")
        elif token[0] != "#":
            open_[-1][1].append(token)
    if len(open_) > 1:
        keyword = open_[-1][0]
        raise malformed(path, text.count("\n") + 1, f"`{keyword}(` is never closed")


def _annotate(entry: Entry, name: str, value: str) -> None:
    if name == LABEL and not entry.name:
        entry.name = clean(value)
        entry.synonyms.pop(entry.name, None)
    elif name == LABEL:
        entry.add_synonym(clean(value), "exact")
    elif name in SYNONYMS:
        entry.add_synonym(clean(value), SYNONYMS[name])
    elif name in XREFS:
        entry.add_xref(value)
    elif name == DEPRECATED:
        entry.obsolete = value == "true"


def _iri(token: str, prefixes: dict[str, str]) -> str:
    """`<IRI>` or `prefix:local` -> IRI."""
    if token.startswith("<"):
        return token[1:-1]
    prefix, _, local = token.partition(":")
    return prefixes.get(prefix + ":", prefix + ":") + local


def _value(token: str, prefixes: dict[str, str]) -> str:
    if token.startswith('"'):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return _iri(token, prefixes)
