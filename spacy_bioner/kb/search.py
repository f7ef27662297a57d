"""Near names by their character trigrams: a sparse matrix, one column a trigram."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spacy_bioner.words import visible

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Keys = NDArray[np.uint64]

NOT_WORD = re.compile(r"[\W_]+")
BITS = 21  # of a code point: three of them fit one 64-bit key, exactly


class SparseIndex:
    """Cosine of two sets of features, each weighted by how rare it is.

    keys (uint64): The features of all texts, owners (ints): the place of the text of
        each, parallel. A feature counts once a text.
    size (int): How many texts there are.
    """

    def __init__(self, keys: Keys, owners: Ints, size: int):
        self.keys, features = np.unique(keys, return_inverse=True)
        pairs = np.unique(features.astype("int64") * max(size, 1) + owners)
        features, owners = np.divmod(pairs, max(size, 1))
        counts = np.bincount(features, minlength=len(self.keys))
        self.size = size
        self.starts = np.concatenate([[0], np.cumsum(counts)])  # into owners
        self.owners = owners.astype("int32")  # the texts with a feature, by feature
        # Squared: what a feature adds to the product of two texts that have it.
        self.weights = np.log1p(size / np.maximum(counts, 1)) ** 2
        squares = np.bincount(owners, self.weights[features], minlength=size)
        self.norms = np.sqrt(squares)

    def __len__(self) -> int:
        return self.size

    def cosines(self, keys: Keys) -> Floats:
        """Each text's cosine with these features, (texts,), from 0 to 1."""
        asked = np.unique(keys)
        place = np.searchsorted(self.keys, asked)
        known = np.searchsorted(self.keys, asked, side="right") > place
        features = place[known]
        sizes = self.starts[features + 1] - self.starts[features]
        # The places lo … hi of each feature's texts, all in one array.
        shift = np.repeat(self.starts[features] - np.cumsum(sizes) + sizes, sizes)
        owners = self.owners[shift + np.arange(len(shift))]
        shared = np.repeat(self.weights[features], sizes)
        unknown = np.log1p(self.size) ** 2 * (len(asked) - len(features))
        norm = np.sqrt(self.weights[features].sum() + unknown)
        products = np.bincount(owners, shared, minlength=self.size)
        return products / np.maximum(self.norms * norm, 1e-9)


class NameIndex(SparseIndex):
    """Cosine of two texts' trigrams, each weighted by how rare it is among the names.

    Works for a mention (which name is it?) and for a sentence (which names are like
    something in it?). Case and punctuation do not count.

    texts (Sequence[str]): The names; a result is a position in it.
    """

    def __init__(self, texts: Sequence[str]):
        super().__init__(*trigrams(texts), len(texts))

    def scores(self, text: str) -> Floats:
        """Each name's cosine with the text, (names,), from 0 to 1."""
        return self.cosines(trigrams([text])[0])

    def nearest(
        self, text: str, n: int, among: Bools | None = None
    ) -> list[tuple[int, float]]:
        """The positions and scores of the n best names that share a trigram with the
        text; fewer if there are not as many. Equal scores: first come, first served.

        among (bools): Which names may be found, (names,); all if not given.
        """
        scores = self.scores(text)
        if among is not None:
            scores = np.where(among, scores, 0.0)
        found = best(scores, n)
        return [(int(place), float(scores[place])) for place in found]


def best(scores: Floats, n: int) -> Ints:
    """The places of the n best scores above zero, best first, stable."""
    places = np.flatnonzero(scores > 0)
    if 0 < n < len(places):
        # All that tie with the last one stay, so that the sort below decides.
        last = np.partition(scores[places], -n)[-n]
        places = places[scores[places] >= last]
    return places[np.argsort(-scores[places], kind="stable")][:n]


def trigrams(texts: Sequence[str]) -> tuple[Keys, Ints]:
    """The trigrams of all texts as numbers, and the place of the text of each."""
    joined = "\0".join(f" {normal_form(text)} " for text in texts)
    data = joined.encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(data, dtype="<u4").astype("uint64")
    first, second, third = codes[:-2], codes[1:-1], codes[2:]
    shift = np.uint64(BITS)
    keys = (((first << shift) | second) << shift) | third
    inside = (first != 0) & (second != 0) & (third != 0)
    return keys[inside], np.cumsum(codes == 0)[: len(keys)][inside]


def normal_form(text: str) -> str:
    """Lower case, with one space for whatever is no letter or digit."""
    return NOT_WORD.sub(" ", visible(text).casefold()).strip()
