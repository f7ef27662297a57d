"""Examples whose predicted documents hold candidates, for `candidate_filter`."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from spacy.language import Language
from spacy.tokens import Span
from spacy.training import Example
from spacy.util import registry

from ..words import is_word
from .gold import aligned, find_gold
from .negatives import Text, simulate_candidates
from .reader import MultiTaskCorpus


@registry.readers("spacy-bioner.CandidateCorpus.v1")
def create_candidate_corpus(
    sources: dict[str, Path],
    candidates_key: str = "llm_candidates",
    gold_key: str = "gold",
    limit: int = 0,
    simulate: bool = True,
    seed: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Read corpora as `MultiTaskCorpus.v1` does, and copy candidates from the
    reference to the predicted document.

    sources (dict): Task to a `.spacy` file or a folder of them.
    candidates_key (str): The span group of the candidates.
    gold_key (str): The span group of the gold spans; where it lacks, `doc.ents`.
    limit (int): At most so many documents of each corpus; 0 for all.
    simulate (bool): Where a reference has no candidates, make some of its gold spans.
    seed (int): Of the simulation: a document's candidates are the same in each epoch.
    """
    corpus = MultiTaskCorpus(sources, {}, 0, limit, seed)

    def read(nlp: Language) -> Iterator[Example]:
        for example in corpus(nlp):
            add_candidates(example, candidates_key, gold_key, simulate, seed)
            yield example

    return read


def add_candidates(
    example: Example, candidates_key: str, gold_key: str, simulate: bool, seed: int
) -> None:
    """Give the predicted document the reference's candidates, or simulated ones.

    A candidate whose border falls inside a predicted token gets the whole token.
    """
    predicted, reference = example.predicted, example.reference
    numbers: dict[str, int] = {}
    if candidates_key in reference.spans:
        group = reference.spans[candidates_key]
        numbers = {label: i for i, label in enumerate({s.label_: 0 for s in group})}
        rows, _ = aligned(example, group, numbers)
    else:
        gold = find_gold(example, gold_key, numbers, grow=True)
        if not simulate or gold is None:
            return
        word = is_word(predicted)
        text = Text(*gold, word, len(numbers), np.zeros((0, 3), dtype="int64"))
        rng = np.random.default_rng([seed, zlib.crc32(predicted.text.encode("utf8"))])
        rows = simulate_candidates(text, rng)
    names = list(numbers)
    predicted.spans[candidates_key] = [
        Span(predicted, start, end, names[label]) for start, end, label in rows.tolist()
    ]
