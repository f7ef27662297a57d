"""Tables with a header, columns by tabs: a user's own, and exports of the Disease
Ontology, CTD or ROBOT."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import malformed, read_lines
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb.entry import Entry, clean, common_id

# What a column holds, by its name in lower case without anything but letters. What
# ontologists call a `label` is the preferred name; the entity type is a `type`.
COLUMNS = {
    "id": ("id", "identifier", "cls", "conceptid", "diseaseid", "chemicalid"),
    "name": ("name", "label", "preferredname", "diseasename", "chemicalname"),
    "type": ("type", "semantictype"),
    "synonyms": ("synonyms", "synonym", "aliases"),
    "xrefs": ("xrefs", "xref", "altids", "altdiseaseids"),
    "obsolete": ("obsolete", "deprecated"),
}
MEANING = {name: meaning for meaning, names in COLUMNS.items() for name in names}


def read(path: Path) -> Iterator[Entry]:
    """One entry a row. The columns are told by their names in the header, of which
    only `name` is a must; several values of a field are separated by `|`.

    Lines that start with `#` are comments, and one of them may be the header.
    Raises BionerError when no column holds the names.
    """
    columns: list[str] | None = None
    width = 0
    for number, line in read_lines(path):
        fields = [_unquote(field) for field in line.split("\t")]
        if columns is None:
            columns, width = _header(fields), len(fields)
            if columns is None and line.strip() and not line.startswith("#"):
                break
        elif line.strip() and not line.startswith("#"):
            if len(fields) > width:
                problem = f"{len(fields)} fields, but the header has {width}"
                raise malformed(path, number, problem)
            yield _to_entry(dict(zip(columns, fields, strict=False)))
    if columns is None:
        known = ", ".join(COLUMNS["name"])
        raise BionerError(Errors.B903.format(path=path, known=known))


def _header(fields: list[str]) -> list[str] | None:
    """What each column holds ("" for any other); None if this is no header."""
    names = [re.sub("[^a-z]", "", field.lower()) for field in fields]
    columns = [MEANING.get(name, "") for name in names]
    return columns if "name" in columns else None


def _to_entry(row: dict[str, str]) -> Entry:
    entry = Entry(
        common_id(row.get("id", "")),
        clean(row["name"]) if "name" in row else "",
        clean(row.get("type", "")),
        obsolete=row.get("obsolete", "").lower() in ("true", "1", "yes"),
    )
    for text in row.get("synonyms", "").split("|"):
        entry.add_synonym(clean(text), "exact")
    for identifier in re.split(r"[|\s]+", row.get("xrefs", "")):
        entry.add_xref(identifier)
    return entry


def _unquote(field: str) -> str:
    field = field.strip()
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
