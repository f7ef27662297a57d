"""What is in converted corpora, and what they share: leaks between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy
from spacy.tokens import Doc, Span

from spacy_bioner.corpora.convert import SPANS_KEY

PERCENTILES = (50, 90, 99, 100)


@dataclass
class Overview:
    """Counts over one file of documents, and fingerprints of its texts.

    tokens, pieces: Lengths of the sentences, in tokens and in word pieces.
    depths: Nested mentions by depth; 1 stands in no other mention.
    mentions: What became of the source's mentions (see convert.Report).
    sentences: For each document the fingerprints of its longer sentences.
    """

    documents: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    mentions: Counter[str] = field(default_factory=Counter)
    depths: Counter[int] = field(default_factory=Counter)
    tokens: list[int] = field(default_factory=list)
    pieces: list[int] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    texts: set[int] = field(default_factory=set)
    sentences: list[set[int]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the fingerprints."""
        return {
            "documents": self.documents,
            "labels": dict(self.labels.most_common()),
            "mentions": dict(self.mentions),
            "depths": {str(d): n for d, n in sorted(self.depths.items())},
            "sentence_tokens": percentiles(self.tokens),
            "sentence_pieces": percentiles(self.pieces),
        }


def survey(
    docs: Iterable[Doc],
    count_pieces: Callable[[str], int] | None = None,
    min_chars: int = 40,
) -> Overview:
    """Count a stream of converted documents; one whose sentences nobody set counts as
    one sentence.

    count_pieces: Word pieces of a text, when an encoder is at hand.
    min_chars (int): Shorter sentences are not compared; "Methods." is everywhere.
    """
    overview = Overview()
    for doc in docs:
        spans = list(doc.spans.get(SPANS_KEY, doc.ents))
        overview.documents += 1
        overview.labels.update(span.label_ for span in spans)
        overview.depths.update(nesting_depths(spans))
        overview.mentions.update(doc.user_data.get("mentions", {}))
        if "id" in doc.user_data:
            overview.ids.add(doc.user_data["id"])
        overview.texts.add(fingerprint(doc.text))
        known = doc.has_annotation("SENT_START")
        sents = list(doc.sents) if known else [doc[:]] * bool(len(doc))
        sentences = [sent.text for sent in sents]
        overview.tokens += map(len, sents)
        if count_pieces:
            overview.pieces += map(count_pieces, sentences)
        overview.sentences.append(
            {fingerprint(text) for text in sentences if len(text) >= min_chars}
        )
    return overview


def shared(corpora: dict[str, Overview]) -> list[dict[str, Any]]:
    """What every two corpora have in common, pairs with nothing left out.

    `ids`: the same document ids. `texts`: whole texts equal without white space.
    `sentences`: distinct sentences equal without white space. `documents`: those of
    the first at least half of whose sentences the second has, whatever their ids.
    """
    every = {name: set().union(*c.sentences) for name, c in corpora.items()}
    rows = []
    for one, two in combinations(corpora, 2):
        a, b = corpora[one], corpora[two]
        row = {
            "ids": len(a.ids & b.ids),
            "texts": len(a.texts & b.texts),
            "documents": sum(_mostly_in(s, every[two]) for s in a.sentences),
            "sentences": len(every[one] & every[two]),
        }
        if any(row.values()):
            rows.append({"first": one, "second": two, **row})
    return rows


def nesting_depths(spans: Iterable[Span]) -> list[int]:
    """For each span the number of spans it stands in, itself included; equal
    offsets do not nest."""
    ordered = sorted({(s.start_char, s.end_char) for s in spans}, key=_outer_first)
    open_ends: list[int] = []
    depths = []
    for start, end in ordered:
        open_ends = [e for e in open_ends if e > start]
        depths.append(1 + sum(e >= end for e in open_ends))
        open_ends.append(end)
    return depths


def fingerprint(text: str) -> int:
    """A number for the text without white space."""
    return hash("".join(text.split()))


def percentiles(lengths: list[int]) -> dict[str, int]:
    """`{"50": …, "100": the longest}`; empty for no lengths."""
    if not lengths:
        return {}
    values = numpy.percentile(lengths, PERCENTILES, method="higher")
    return {str(p): int(v) for p, v in zip(PERCENTILES, values, strict=True)}


def _outer_first(place: tuple[int, int]) -> tuple[int, int]:
    return place[0], -place[1]


def _mostly_in(sentences: set[int], others: set[int]) -> bool:
    return bool(sentences) and 2 * len(sentences & others) >= len(sentences)
