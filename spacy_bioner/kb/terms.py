"""Mentions -> identifiers: the names of a knowledge base that are most like a text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from spacy.strings import get_string_id

from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.kb.entry import SCOPES, Entry
from spacy_bioner.kb.fold import fold
from spacy_bioner.kb.search import (
    Bools,
    Floats,
    Ints,
    Keys,
    NameIndex,
    SparseIndex,
    normal_form,
)
from spacy_bioner.links import Candidate

# Names of a corpus's entry stand in the order of their frequency: none is a synonym.
RANKS = {scope: rank for rank, scope in enumerate(SCOPES, 1)} | {"mention": 0}
BETWEEN = re.compile(r"(?<=\D) | (?=\D)")
DIGITS = 6  # of a score that count: sums of the same terms may differ further on


class TermIndex:
    """The identifiers whose names are most like a text.

    A name that is the same but for spelling (`fold`), the order of its words, or a
    space between two of them has the score 1; any other the mean of two cosines, of the
    trigrams and of the words that it shares with the text, rare ones weighing more. Of
    equal scores wins the name that is spelled more alike, then the preferred name and
    the closer synonym, then the entry that comes first in the knowledge base, then the
    kind that is wanted more, then the identifier that the knowledge base has first.

    kb (KnowledgeBase): Entries without an identifier are left out.
    prefixes (list): The kinds of identifier to give (`MESH`), the most wanted first.
        Each that an entry has, itself or as a cross-reference, is a candidate by all
        the entry's names; entries that share one are one candidate. Entries that have
        none are left out. Empty: each entry's own identifier.
    """

    def __init__(self, kb: KnowledgeBase, prefixes: Sequence[str] = ()):
        kinds: dict[str, int] = {}  # identifier -> the place of its prefix
        rows: list[tuple[str, int, str, int]] = []  # identifier, entry, name, rank
        for number, entry in enumerate(kb.entries):
            for identifier, kind in wanted_ids(entry, prefixes):
                kinds.setdefault(identifier, kind)
                rows += [(identifier, number, *named) for named in _ranked_names(entry)]
        self.entries = kb.entries
        self.ids, self.kinds = list(kinds), list(kinds.values())
        # By identifier, so that the best name of each is one `reduceat`.
        places = {identifier: place for place, identifier in enumerate(kinds)}
        rows.sort(key=lambda row: (places[row[0]], row[1]))
        self.places: Ints = np.array([places[row[0]] for row in rows], dtype="int64")
        self.owners = [row[1] for row in rows]  # (names,), as all that follow
        self.names = [row[2] for row in rows]
        self.ranks = [row[3] for row in rows]
        self.starts = np.flatnonzero(np.diff(self.places, prepend=-1))  # (ids,)
        self.labels = [self.entries[owner].label for owner in self.owners]
        self.types = sorted(set(self.labels))
        self._among: dict[frozenset[str], Bools] = {}
        folded = [fold(name) for name in self.names]
        self.trigrams = NameIndex([" ".join(words) for words in folded])
        self.words = SparseIndex(*_features(folded), len(folded))
        self.same: dict[str, list[int]] = defaultdict(list)
        for row, words in enumerate(folded):
            for key in _spellings(words):
                self.same[key].append(row)

    def nearest(
        self, text: str, k: int, types: Iterable[str] | None = None
    ) -> list[Candidate]:
        """The k best identifiers, best first; fewer if not as many share anything with
        the text.

        types (Iterable[str]): The types to look among; all if not given.
        """
        scores = self._scores(text, types)
        if not len(scores) or not scores.any():
            return []
        best = np.maximum.reduceat(scores, self.starts)  # (ids,)
        k = min(k, len(best))
        least = max(np.partition(best, -k)[-k], np.nextafter(0, 1))
        found: dict[int, int] = {}  # identifier -> its best row
        for row in self._ranked(np.flatnonzero(scores >= least), scores, text):
            found.setdefault(int(self.places[row]), row)
        return [
            Candidate(
                self.ids[place],
                float(scores[row]),
                self.entries[self.owners[row]].name,
            )
            for place, row in list(found.items())[:k]
        ]

    def _scores(self, text: str, types: Iterable[str] | None) -> Floats:
        """How like the text each name is, (names,)."""
        words = fold(text)
        trigrams = self.trigrams.scores(" ".join(words))
        scores = (trigrams + self.words.cosines(_keys(words))) / 2
        scores = np.round(scores, DIGITS)
        for key in _spellings(words):
            scores[self.same.get(key, [])] = 1.0
        return scores if types is None else np.where(self._mask(types), scores, 0.0)

    def _mask(self, types: Iterable[str]) -> Bools:
        key = frozenset(types)
        if key not in self._among:
            self._among[key] = np.array([x in key for x in self.labels], dtype=bool)
        return self._among[key]

    def _ranked(self, rows: Ints, scores: Floats, text: str) -> list[int]:
        form = normal_form(text)

        def spelling(row: int) -> int:
            name = self.names[row]
            return 0 if name == text else 1 if normal_form(name) == form else 2

        return sorted(
            rows.tolist(),
            key=lambda row: (
                -scores[row],
                spelling(row),
                self.ranks[row],
                self.owners[row],
                self.kinds[self.places[row]],
            ),
        )


def wanted_ids(entry: Entry, prefixes: Sequence[str]) -> list[tuple[str, int]]:
    """An entry's identifiers with these prefixes, its own and cross-references, and
    the place of the prefix of each. Its own if there are no prefixes."""
    known = [one for one in (entry.id, *entry.xrefs) if one]
    if not prefixes:
        return [(one, 0) for one in known if one == entry.id]
    return [
        (one, kind)
        for kind, prefix in enumerate(prefixes)
        for one in known
        if one.startswith(f"{prefix}:")
    ]


def _ranked_names(entry: Entry) -> Iterator[tuple[str, int]]:
    yield entry.name, 0
    for name, scope in entry.synonyms.items():
        yield name, RANKS[scope]


def _features(folded: Sequence[list[str]]) -> tuple[Keys, Ints]:
    """The words of all names as numbers, and the place of the name of each."""
    words = [word for words in folded for word in words]
    return _keys(words), np.repeat(np.arange(len(folded)), [len(x) for x in folded])


def _keys(words: Iterable[str]) -> Keys:
    return np.array([get_string_id(word) for word in words], dtype="uint64")


def _spellings(words: Sequence[str]) -> set[str]:
    """What the same name gives in any order of its words, and with or without a space
    or hyphen where they meet (`IL-2`, `IL2`), but between numbers. None for a name of
    signs alone."""
    if not words:
        return set()
    return {" ".join(sorted(words)), BETWEEN.sub("", " ".join(words))}
