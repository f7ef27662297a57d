"""From the tag scores of several heads to spans: what each head finds, and what of it
is for `doc.ents`, where every label has its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .agreement import Words, agree
from .decoding import Logits, ScoredSpan, average_label, decode_spans, of_words
from .paragraphs import cut_at

ByHead = dict[str, list[ScoredSpan]]


@dataclass(frozen=True)
class HeadDecoder:
    """How scores are read.

    heads: The labels of each head.
    owners: The heads whose opinion decides each label; of several, the average.
    temperatures: What divides the logits of each head.
    consistent: Whether all places of the same words decide together.
    """

    heads: Mapping[str, Sequence[str]]
    owners: Mapping[str, Sequence[str]]
    temperatures: Mapping[str, float]
    consistent: bool

    def decode(
        self,
        logits: Sequence[Mapping[str, Logits]],
        words: Sequence[Words],
        tasks: Sequence[str | None],
    ) -> tuple[list[ByHead], list[list[ScoredSpan]]]:
        """Spans of words, of documents that a task's head alone was asked about (task)
        or every head (None).

        logits: Of each document, by head.  # (tokens, tags)
        RETURNS (tuple): Of each document the spans by head, those of heads that own a
            label together under "a+b"; and the candidates for `doc.ents`, which may
            overlap.
        """
        by_head: list[ByHead] = [{} for _ in logits]
        for head, labels in self.heads.items():
            which = [i for i, x in enumerate(logits) if head in x and len(words[i])]
            scores = [of_words(logits[i][head], words[i].rows) for i in which]
            own = [words[i] for i in which]
            spans = self._decode(scores, labels, self.temperatures[head], own)
            for i, found in zip(which, spans, strict=True):
                by_head[i][head] = found
        owned = [
            self._owned_by_one(found) if task is None else sum(found.values(), [])
            for found, task in zip(by_head, tasks, strict=True)
        ]
        open_to_all = [i for i, task in enumerate(tasks) if task is None]
        for label, heads in self.owners.items():
            which = [i for i in open_to_all if set(heads) <= by_head[i].keys()]
            if len(heads) > 1 and which:
                own = [words[i] for i in which]
                means = self._averages([logits[i] for i in which], own, label)
                spans = self._decode(means, [label], 1.0, own)
                for i, found in zip(which, spans, strict=True):
                    owned[i].extend(found)
                    by_head[i].setdefault("+".join(heads), []).extend(found)
        return by_head, owned

    def _decode(self, scores, labels, temperature, words) -> list[list[ScoredSpan]]:
        """Of each document, under one head."""
        spans = [
            cut_at(own.breaks, found)
            for own, found in zip(
                words, decode_spans(scores, labels, temperature), strict=True
            )
        ]
        if not self.consistent:
            return spans
        return [
            agree(found, logits, labels, temperature, own)
            for found, logits, own in zip(spans, scores, words, strict=True)
        ]

    def _owned_by_one(self, found: ByHead) -> list[ScoredSpan]:
        """The spans whose label belongs to the head that found them, to it alone."""
        return [
            span
            for label, heads in self.owners.items()
            if len(heads) == 1
            for span in found.get(heads[0], ())
            if span[2] == label
        ]

    def _averages(self, logits, words, label: str) -> list[Logits]:
        """Scores of one label in each document, the average of its owners'.
        # (words, 3)"""
        parts = [
            (
                np.concatenate(
                    [of_words(x[h], w.rows) for x, w in zip(logits, words, strict=True)]
                ),
                self.heads[h],
                self.temperatures[h],
            )
            for h in self.owners[label]
        ]
        ends = np.cumsum([len(w) for w in words])
        return np.split(average_label(parts, label), ends[:-1])
