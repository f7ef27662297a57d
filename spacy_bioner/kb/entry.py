"""One thing that a terminology names, and how its identifiers are written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# From the closest to the preferred name to the loosest. `mention`: how a corpus
# writes it, which may be an abbreviation or half of a name.
SCOPES = ("exact", "narrow", "broad", "related", "mention")
OBO = "http://purl.obolibrary.org/obo/"
MESH = re.compile(r"[CD]\d{6}(\d{3})?")
DATED = re.compile(r"_\d{4}_\d\d_\d\d$")  # SNOMEDCT_US_2025_09_01
SEVERAL = re.compile(r"[|;,+*\s]")  # between the identifiers of one mention
UNLINKED = ("", "-", "-1", "None", "CUI-less")
ALIASES = {"MIM": "OMIM", "MSH": "MESH", "MeSH": "MESH", "UMLS_CUI": "UMLS"}


@dataclass
class Entry:
    """A name with all that is known about it.

    id (str): `PREFIX:LOCAL`, or empty for a name without an identifier.
    synonyms (dict): Other name -> its scope, one of SCOPES.
    xrefs (list): Its identifiers elsewhere, and its own former ones.
    obsolete (bool): Withdrawn by its source. Such entries are not kept.
    """

    id: str
    name: str
    label: str = ""
    synonyms: dict[str, str] = field(default_factory=dict)
    xrefs: list[str] = field(default_factory=list)
    obsolete: bool = False

    @property
    def names(self) -> Iterator[str]:
        """The preferred name, then the synonyms."""
        yield self.name
        yield from self.synonyms

    def add_synonym(self, text: str, scope: str) -> None:
        """Add a name; of one name's scopes the closest stays."""
        if text and text != self.name:
            known = self.synonyms.get(text, scope)
            self.synonyms[text] = min(known, scope, key=SCOPES.index)

    def add_xref(self, identifier: str) -> None:
        """Add an identifier once, in its common form."""
        identifier = common_id(identifier)
        if identifier and identifier != self.id and identifier not in self.xrefs:
            self.xrefs.append(identifier)

    def absorb(self, other: Entry) -> None:
        """Take over what another source says about the same thing."""
        self.add_synonym(other.name, "exact")
        for text, scope in other.synonyms.items():
            self.add_synonym(text, scope)
        for identifier in other.xrefs:
            self.add_xref(identifier)


def common_id(identifier: str) -> str:
    """One spelling of an identifier, whatever the source: `MIM:1` -> `OMIM:1`,
    `D003110` -> `MESH:D003110`, `SNOMEDCT_US_2025_09_01:7` -> `SNOMEDCT_US:7`,
    `<http://purl.obolibrary.org/obo/CL_0000540>` -> `CL:0000540`."""
    identifier = identifier.strip(" \t,;<>")
    if identifier.startswith(OBO):
        identifier = identifier.removeprefix(OBO).replace("_", ":", 1)
    if MESH.fullmatch(identifier):
        return f"MESH:{identifier}"
    prefix, colon, local = identifier.partition(":")
    prefix = DATED.sub("", prefix)
    return f"{ALIASES.get(prefix, prefix)}{colon}{local}"


def identifiers(kb_id: str) -> list[str]:
    """What a corpus says that a mention is: several for a mention of several things
    (`D1|D2`), none for one that its terminology does not have (`-1`)."""
    parts = SEVERAL.split(kb_id)
    return [common_id(part) for part in parts if part not in UNLINKED]


def clean(text: str) -> str:
    """A name in one line: runs of white space become one space."""
    return " ".join(text.split())
