"""Tables with a header, columns by tabs: a user's own, and exports of the Disease
Ontology, CTD or ROBOT."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from spacy_bioner.corpora.common import malformed, read_lines
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb.entry import UNLINKED, Entry, clean, common_id

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
SUFFIX = re.compile(r'(?<=.)"(@[\w-]+|\^\^\S+)$')  # a literal's language or type
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
        fields = [_plain(field) for field in line.split("\t")]
        if columns is None:
            columns, width = _header(fields), len(fields)
            if columns is None and line.strip() and not line.startswith("#"):
                break
        elif line.strip() and not line.startswith("#"):
            if len(fields) > width:
                problem = f"{len(fields)} fields, but the header has {width}"
                raise malformed(path, number, problem)
            row: dict[str, list[str]] = defaultdict(list)
            for meaning, field in zip(columns, fields, strict=False):
                if field not in UNLINKED:  # `-` and the like: nothing is there
                    row[meaning].append(field)
            yield _to_entry(row)
    if columns is None:
        known = ", ".join(COLUMNS["name"])
        raise BionerError(Errors.B903.format(path=path, known=known))


def _header(fields: list[str]) -> list[str] | None:
    """What each column holds ("" for any other); None if this is no header."""
    names = [re.sub("[^a-z]", "", field.lower()) for field in fields]
    columns = [MEANING.get(name, "") for name in names]
    if columns.count("name") > 1 and "label" in names and "type" not in columns:
        columns[names.index("label")] = "type"  # beside a name it is what NER calls so
    return columns if "name" in columns else None


def _to_entry(row: dict[str, list[str]]) -> Entry:
    """row (dict): What is not empty, by meaning. Where several columns mean the same,
    the first one rules; further names are synonyms."""
    first = {meaning: fields[0] for meaning, fields in row.items()}
    names = [clean(name) for name in row.get("name", [""])]
    ids = [common_id(part) for part in first.get("id", "").split("|")]
    entry = Entry(
        ids[0],
        names[0],
        clean(first.get("type", "")),
        obsolete=first.get("obsolete", "").lower() in ("true", "1", "yes"),
    )
    for text in [*names[1:], *"|".join(row.get("synonyms", ())).split("|")]:
        entry.add_synonym(clean(text), "exact")
    for identifier in [*ids[1:], *re.split(r"[|\s]+", "|".join(row.get("xrefs", ())))]:
        entry.add_xref(identifier)
    return entry


def _plain(field: str) -> str:
    """Without quotes, nor what SPARQL writes behind them: `"neuron"@en` -> `neuron`."""
    field = SUFFIX.sub('"', field.strip())
    if len(field) > 1 and field[0] == field[-1] == '"':
        return field[1:-1].replace('""', '"')
    return field
