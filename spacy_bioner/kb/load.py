"""Sources -> knowledge base: which reader a file needs, what is kept, a count of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.kb import base, corpus, obo, owl, tsv
from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.entry import Entry

READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    ".obo": obo.read,
    ".owl": owl.read,
    ".ofn": owl.read,
    ".tsv": tsv.read,
    ".tab": tsv.read,
    ".txt": tsv.read,
    ".spacy": corpus.read,
    ".jsonl": base.read,
    ".jsonl.gz": base.read,
}


def load(
    paths: Iterable[Path],
    labels: dict[str, str] | None = None,
    only_mapped: bool = False,
) -> tuple[KnowledgeBase, dict[str, Counter[str]]]:
    """Read files, each by its suffix, into one knowledge base.

    An entry's label is the type that the source gives, or the prefix of its
    identifier. What one identifier and label stand for in several sources becomes
    one entry, which the first source names.

    labels (dict): From a pattern (`DOID`, `CL*`) to the label to use; the first that
        matches wins.
    only_mapped (bool): Leave out what no pattern matches and has none of the labels.
    RETURNS: The knowledge base, and for each path how many terms it has: `kept`,
        `obsolete`, `unnamed` and `unmapped`.
    """
    kept: dict[tuple[str, str], Entry] = {}
    counts: dict[str, Counter[str]] = {}
    for path in paths:
        count = counts.setdefault(str(path), Counter())
        for entry in get_reader(path)(path):
            label = _label(entry, labels or {}, only_mapped)
            fate = _fate(entry, label)
            count[fate] += 1
            if fate == "kept":
                entry.label = label or ""
                key = (entry.label, entry.id or entry.name.casefold())
                known = kept.setdefault(key, entry)
                if known is not entry:
                    known.absorb(entry)
    return KnowledgeBase(list(kept.values())), counts


def get_reader(path: Path) -> Callable[[Path], Iterator[Entry]]:
    """The reader of a file. Raises BionerError for an unknown suffix."""
    suffixes = (suffix for suffix in READERS if path.name.lower().endswith(suffix))
    suffix = next(suffixes, None)
    if suffix is None:
        raise BionerError(Errors.B904.format(path=path, known=", ".join(READERS)))
    return READERS[suffix]


def _label(entry: Entry, labels: dict[str, str], only_mapped: bool) -> str | None:
    prefix, colon, _ = entry.id.partition(":")
    label = entry.label or (prefix if colon else "")
    matches = (to for pattern, to in labels.items() if fnmatchcase(label, pattern))
    known = label in labels.values() or not only_mapped
    return next(matches, label if known else None)


def _fate(entry: Entry, label: str | None) -> str:
    if entry.obsolete:
        return "obsolete"
    if not entry.name:
        return "unnamed"
    return "unmapped" if label is None else "kept"
