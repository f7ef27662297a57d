"""One sense a discourse (Gale, Church and Yarowsky, 1992): within a document the same
words are the same entity, or none. A tagger sees each place alone and is surer of some
than of others; here all places of the same words decide together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc

from ..spans import best_first
from .decoding import ScoredSpan, log_softmax, word_rows
from .paragraphs import Breaks, find_breaks

LONGEST_ACRONYM = 5


class Words:
    """The words of a document. Case does not make another word, but in acronyms (AIDS,
    aids)."""

    def __init__(self, doc: Doc) -> None:
        self.rows = word_rows(doc)  # the tokens that are words
        self._doc = doc

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def breaks(self) -> Breaks:
        """See `find_breaks`."""
        return find_breaks(self._doc, self.rows)

    @cached_property
    def forms(self) -> tuple[int, ...]:
        """A number for each, the same for the same word."""
        names: list[int | str] = ["ORTH", "LOWER", "IS_UPPER", "LENGTH"]
        orth, lower, is_upper, length = self._doc.to_array(names)[self.rows].T
        is_acronym = (is_upper != 0) & (length <= LONGEST_ACRONYM)
        return tuple(np.where(is_acronym, orth, lower).tolist())

    @cached_property
    def _places(self) -> dict[int, list[int]]:
        places = defaultdict(list)
        for place, form in enumerate(self.forms):
            places[form].append(place)
        return places

    def find(self, forms: tuple[int, ...]) -> list[int]:
        """Where these words begin, one behind the other."""
        places = [self._places.get(form, []) for form in forms]
        i = min(range(len(forms)), key=lambda i: len(places[i]))  # the rarest
        starts = (place - i for place in places[i] if place >= i)
        return [s for s in starts if self.forms[s : s + len(forms)] == forms]


def agree(
    spans: Sequence[ScoredSpan],
    logits: NDArray[np.float32],
    labels: Sequence[str],
    temperature: float,
    words: Words,
) -> list[ScoredSpan]:
    """Spans of one head in one document, made consistent. All places of the same words
    that no other span touches are entities, of the label that is likeliest on average,
    if its probabilities there are 1/2 on average, and else none is; that average is the
    score of each.

    spans: What `decode_spans` found in the document.
    logits, labels, temperature: What they were found in.  # (words, tags)
    words: The document's.
    RETURNS (list): In order, none overlapping.
    """
    taken = bytearray(len(words))
    groups: dict[tuple[int, ...], dict[int, ScoredSpan]] = {}
    for span in spans:
        start, end = span[:2]
        taken[start:end] = b"\1" * (end - start)
        groups.setdefault(words.forms[start:end], {})[start] = span
    agreed: list[ScoredSpan] = []
    for forms, found in groups.items():
        size, kinds = len(forms), {span[2] for span in found.values()}
        others = [
            p
            for p in words.find(forms)
            if p not in found and 1 not in taken[p : p + size]
        ]
        places = [*found, *others]
        if others or len(kinds) > 1:
            tags = {label: 2 * labels.index(label) + 1 for label in kinds}
            starts = np.array(places)
            score, label = max(
                (fmean(_known(label, found, places, scores)), label)
                for label, tag in tags.items()
                for scores in [score_places(logits, starts, size, tag, temperature)]
            )
        else:
            (label,), score = kinds, fmean(span[3] for span in found.values())
        if score >= 0.5:
            agreed += [(p, p + size, label, score) for p in places]
    keep = best_first([s[:2] for s in agreed], [s[3] for s in agreed])
    return [agreed[i] for i in keep]


def _known(
    label: str, found: dict[int, ScoredSpan], places: list[int], scores: list[float]
) -> list[float]:
    """The scores of a label in places; where it was found, what it was found with: a
    piece of a span does not begin with a B."""
    return [
        found[p][3] if p in found and found[p][2] == label else score
        for p, score in zip(places, scores, strict=True)
    ]


def score_places(
    logits: NDArray[np.float32],
    starts: NDArray[np.int64],
    size: int,
    begin: int,
    temperature: float,
) -> list[float]:
    """The probabilities that `decode_spans` would give spans of so many words.

    logits: (words, tags)
    starts: Where they begin.  # (spans,)
    begin (int): The tag B of their label; the next is its I.
    """
    rows = starts[:, None] + np.arange(size + 1)  # (spans, words and the next)
    inside = rows < len(logits)
    scaled = logits[np.minimum(rows, len(logits) - 1)] / temperature
    probs = np.exp(log_softmax(scaled))  # (spans, words and the next, tags)
    chosen = probs[:, :, begin + 1]
    chosen[:, 0] = probs[:, 0, begin]
    chosen[:, -1] = np.where(inside[:, -1], 1.0 - chosen[:, -1], 1.0)
    return chosen.min(axis=1).tolist()
