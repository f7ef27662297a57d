"""Names for dense recognition (VANER): a list to tag instead of a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import numpy as np

from spacy_bioner.kb.search import Bools, NameIndex, best, normal_form


class NearNames:
    """For a sentence and a type, the names of that type that are most like something
    in the sentence, with some of other types among them.

    names (Iterable): (name, label); a name may have several labels.
    """

    def __init__(self, names: Iterable[tuple[str, str]]):
        names_of: dict[tuple[str, str], str] = {}
        for name, label in names:
            names_of.setdefault((normal_form(name), label), name)
        self.texts = list(names_of.values())
        self.labels = [label for _, label in names_of]
        self.index = NameIndex(self.texts)
        self._forms = [form for form, _ in names_of]
        self._sides: dict[str, tuple[Bools, Bools]] = {}

    def __call__(
        self, sentence: str, label: str, rng: Random, same: int = 10, other: int = 5
    ) -> list[tuple[str, str]]:
        """Up to `same` names of the type and `other` names of other types, with their
        labels, shuffled. No name of the type is ever given with another label.

        Empty if no name shares a trigram with the sentence.
        """
        own, others = self._sides_of(label)
        scores = self.index.scores(sentence)
        places = [
            *best(np.where(own, scores, 0.0), same),
            *best(np.where(others, scores, 0.0), other),
        ]
        rng.shuffle(places)
        return [(self.texts[place], self.labels[place]) for place in places]

    def _sides_of(self, label: str) -> tuple[Bools, Bools]:
        """Which names are of the type, and which are certainly not, (names,) each."""
        if label not in self._sides:
            own = np.array([other == label for other in self.labels], dtype=bool)
            forms = {self._forms[place] for place in np.flatnonzero(own)}
            others = np.array([form not in forms for form in self._forms], dtype=bool)
            self._sides[label] = own, others
        return self._sides[label]
