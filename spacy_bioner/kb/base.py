"""The knowledge base: entries in memory and on disk."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spacy_bioner.corpora.common import malformed
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb.entry import SCOPES, Entry, common_id


@dataclass
class KnowledgeBase:
    """Entries, and ways to look at them. On disk: JSON lines, one an entry,
    compressed if the name ends in `.gz`."""

    entries: list[Entry]

    @property
    def labels(self) -> list[str]:
        """The types, sorted."""
        return sorted({entry.label for entry in self.entries})

    def names(self) -> Iterator[tuple[str, Entry]]:
        """Every name with its entry."""
        for entry in self.entries:
            for name in entry.names:
                yield name, entry

    def find(self, identifier: str) -> list[Entry]:
        """The entries with this identifier or, if there is none, those that refer
        to it (MeSH, OMIM, a former identifier …)."""
        own, referring = self._by_id
        identifier = common_id(identifier)
        return own.get(identifier) or referring.get(identifier, [])

    @cached_property
    def _by_id(self) -> tuple[dict[str, list[Entry]], dict[str, list[Entry]]]:
        own: dict[str, list[Entry]] = defaultdict(list)
        referring: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry.id:
                own[entry.id].append(entry)
            for xref in entry.xrefs:
                referring[xref].append(entry)
        return dict(own), dict(referring)

    def to_bytes(self) -> bytes:
        """JSON lines, not compressed."""
        lines = (json.dumps(_to_json(e), ensure_ascii=False) for e in self.entries)
        return "".join(f"{line}\n" for line in lines).encode("utf8")

    @classmethod
    def from_bytes(cls, data: bytes) -> KnowledgeBase:
        """What `to_bytes` gave."""
        return cls(list(_parse(data, Path("these bytes"))))

    def to_disk(self, path: Path) -> None:
        """Write all of it or nothing. The same entries make the same bytes."""
        data = self.to_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(gzip.compress(data, mtime=0) if _packed(path) else data)
        partial.replace(path)

    @classmethod
    def from_disk(cls, path: Path) -> KnowledgeBase:
        """Raises BionerError for a file that `to_disk` did not write."""
        return cls(list(read(path)))


def read(path: Path) -> Iterator[Entry]:
    """The entries of a file that `KnowledgeBase.to_disk` wrote."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if _packed(path) else data
    except (OSError, EOFError, zlib.error) as error:
        raise BionerError(Errors.B905.format(path=path, error=error)) from None
    yield from _parse(data, path)


def _parse(data: bytes, path: Path) -> Iterator[Entry]:
    try:
        text = data.decode("utf8")
    except UnicodeDecodeError as error:
        raise BionerError(Errors.B905.format(path=path, error=error)) from None
    # Not splitlines: names may hold other characters that it breaks lines at.
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        try:
            yield _checked(Entry(**json.loads(line)))
        except (ValueError, TypeError) as error:
            problem = f"no entry of a knowledge base ({error})"
            raise malformed(path, number, problem) from None


def _checked(entry: Entry) -> Entry:
    """Raises TypeError or ValueError for what a hand may have written."""
    texts = [entry.id, entry.name, entry.label, *entry.xrefs, *entry.synonyms]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("`id`, `name`, `label`, `xrefs` and `synonyms` are strings")
    if not isinstance(entry.synonyms, dict):
        raise TypeError("`synonyms` must say the scope of each")
    if unknown := set(entry.synonyms.values()) - set(SCOPES):
        raise ValueError(f"the scopes are {', '.join(SCOPES)}, not {unknown}")
    return entry


def _packed(path: Path) -> bool:
    return path.suffix == ".gz"


def _to_json(entry: Entry) -> dict:
    """What is not empty; a knowledge base holds no obsolete entry."""
    return {key: value for key, value in vars(entry).items() if value or key == "id"}
