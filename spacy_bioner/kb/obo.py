"""OBO 1.2 and 1.4. https://owlcollab.github.io/oboformat/doc/obo-syntax.html

Read here and not with a library: pronto refuses whole files for one cross-reference
that is no IRI (the Cell Ontology has such) and takes a millisecond a term; obonet
leaves the synonyms unparsed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import malformed, read_lines
from spacy_bioner.kb.entry import SCOPES, Entry, clean, common_id

SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)"\s*([A-Z]*)')
TRAILING = re.compile(r"\s*(?<!\\)\{[^{}]*\}\s*$")  # {key="value"}
COMMENT = re.compile(r"\s(?<!\\)!.*$")
ESCAPED = re.compile(r"\\(.)")
WHITE = {"n": " ", "t": " ", "W": " "}


def read(path: Path) -> Iterator[Entry]:
    """Every `[Term]` of an OBO file, obsolete and nameless ones too."""
    entry: Entry | None = None
    in_term = False
    for number, line in read_lines(path):
        if line.startswith("["):
            if entry is not None:
                yield entry
            entry, in_term = None, line.strip() == "[Term]"
            continue
        tag, _, value = (part.strip() for part in line.partition(":"))
        if not in_term or not value or tag.startswith("!"):
            continue
        if tag == "id":
            entry = Entry(common_id(_plain(value)), "")
        elif entry is None:
            raise malformed(path, number, f"`{tag}` before the `id` of its term")
        elif tag == "synonym":
            _add_synonym(path, number, value, entry)
        else:
            _set_tag(entry, tag, value)
    if entry is not None:
        yield entry


def _set_tag(entry: Entry, tag: str, value: str) -> None:
    if tag == "name":
        entry.name = clean(_plain(value))
    elif tag in ("xref", "alt_id"):
        entry.add_xref(_unescape(value.split()[0]))
    elif tag == "is_obsolete":
        entry.obsolete = _plain(value) == "true"


def _add_synonym(path: Path, number: int, value: str, entry: Entry) -> None:
    match = SYNONYM.match(value)
    if match is None:
        raise malformed(path, number, 'expected `synonym: "text" SCOPE []`')
    scope = match[2].lower()  # without one, the standard says RELATED
    entry.add_synonym(
        clean(_unescape(match[1])), scope if scope in SCOPES else "related"
    )


def _plain(value: str) -> str:
    return _unescape(TRAILING.sub("", COMMENT.sub("", value))).strip()


def _unescape(value: str) -> str:
    return ESCAPED.sub(lambda match: WHITE.get(match[1], match[1]), value)
