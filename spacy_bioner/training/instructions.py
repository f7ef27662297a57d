"""Corpora as instructions: texts, each with what to find in it.

With a knowledge base, dense recognition (VANER, section 3.4): beside a sentence, a list
of names like those in it; those of the type asked for are entities, others are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry

from ..errors import BionerError, Errors
from ..instruction import set_types
from ..kb.base import KnowledgeBase
from ..kb.near import NearNames
from ..task import get_task, set_task
from .gold import gold_of
from .reader import MultiTaskCorpus

SAME, OTHER = 10, 5  # names near a sentence: of the type, of others
SEPARATOR = ","


@registry.readers("spacy-bioner.InstructionCorpus.v1")
def create_instruction_corpus(
    sources: dict[str, Path],
    weights: dict[str, float] = {},  # noqa: B006 (spaCy's convention)
    types: dict[str, list[str]] = {},  # noqa: B006
    one_type: bool = True,
    negatives: float = 1.0,
    named: float = 0.5,
    kb: Path | None = None,
    dense: float = 1.0,
    max_length: int = 0,
    limit: int = 0,
    seed: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Mix corpora; ask each text for types of its corpus.

    sources, weights, max_length, limit: As in `MultiTaskCorpus.v1`; a `max_length`
        of 1 makes every sentence a text.
    types (dict): The types that a corpus annotates, by task; where not given, those
        that occur in it.
    one_type (bool): An example for each text and type; else one for each text, which
        asks for all its types.
    negatives (float): How many of a corpus's types that are absent from a text are
        asked for all the same, from 0 to 1.
    named (float): The share of texts that are asked with their corpus's name, from 0
        to 1: the model learns to be asked either way.
    kb (Path): A file of `spacy bioner kb`, for dense recognition; None: without.
    dense (float): The share of texts and types with a list of names beside them, from
        0 to 1.
    seed (int): Of all draws; the same seed gives the same stream.
    Raises BionerError for a share out of range, or a file that is not there.
    """
    shares = {"negatives": negatives, "named": named, "dense": dense}
    for name, value in shares.items():
        if not 0 <= value <= 1:
            need = {"value": value, "expected": "from 0 to 1"}
            raise BionerError(Errors.BA17.format(name=name, **need))
    if unknown := sorted(types.keys() - sources.keys()):
        known = {"task": unknown[0], "known": list(sources)}
        raise BionerError(Errors.B402.format(setting="types", **known))
    return InstructionCorpus(
        MultiTaskCorpus(sources, weights, max_length, limit, seed),
        {task: list(labels) for task, labels in types.items()},
        one_type,
        negatives,
        named,
        dense,
        None if kb is None else names_of(Path(kb)),
        seed,
    )


def names_of(path: Path) -> NearNames:
    """The names of a knowledge base, with their types, to be looked up by nearness."""
    names = KnowledgeBase.from_disk(path).names()
    return NearNames((name, entry.label) for name, entry in names)


@dataclass
class InstructionCorpus:
    """See `create_instruction_corpus`."""

    corpus: MultiTaskCorpus
    types: dict[str, list[str]]
    one_type: bool
    negatives: float
    named: float
    dense: float
    near: NearNames | None
    seed: int
    epoch: int = 0

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """One epoch. Draws differ from epoch to epoch, not from run to run."""
        self._find_types(nlp)
        rng = Random(f"instructions:{self.seed}:{self.epoch}")
        self.corpus.epoch = self.epoch
        self.epoch += 1
        for example in self.corpus(nlp):
            for types in self._questions(example, rng):
                yield self._ask(example, types, rng)
                for label in types:
                    yield from self._list_names(nlp, example.text, label, rng)

    def _find_types(self, nlp: Language) -> None:
        """What each corpus annotates, from one look through it."""
        for task in self.corpus.sources.keys() - self.types.keys():
            docs = self.corpus._documents(nlp, task)
            found = {span.label_ for doc in docs for span in gold_of(doc)}
            self.types[task] = sorted(found)

    def _questions(self, example: Example, rng: Random) -> list[list[str]]:
        """The types to ask for, together or one by one."""
        present = {span.label_ for span in gold_of(example.reference)}
        asked = [
            label
            for label in self.types[get_task(example.reference) or ""]
            if label in present or rng.random() < self.negatives
        ]
        return [[label] for label in asked] if self.one_type else [asked]

    def _ask(self, example: Example, types: list[str], rng: Random) -> Example:
        """The same text, asked for these types, with its corpus's name or without."""
        predicted = example.predicted.copy()
        set_types(predicted, types)
        if rng.random() >= self.named:
            set_task(predicted, None)
        return Example(predicted, example.reference)

    def _list_names(
        self, nlp: Language, text: str, label: str, rng: Random
    ) -> Iterator[Example]:
        """The example of dense recognition, if one is drawn and names are near."""
        if self.near is None or rng.random() >= self.dense:
            return
        names = self.near(text, label, rng, SAME, OTHER)
        if names:
            reference = list_names(nlp, names, label)
            predicted = nlp.make_doc(reference.text)
            set_types(predicted, [label])
            yield Example(predicted, reference)


def list_names(nlp: Language, names: Iterable[tuple[str, str]], label: str) -> Doc:
    """Names as a text, with commas between them; those of the type are entities.

    names (iterable): (name, type).
    """
    words: list[str] = []
    spaces: list[bool] = []
    entities: list[tuple[int, int]] = []
    for name, own in names:
        if words:
            spaces[-1] = False
            words.append(SEPARATOR)
            spaces.append(True)
        tokens = nlp.make_doc(name)
        if own == label:
            entities.append((len(words), len(words) + len(tokens)))
        words += [token.text for token in tokens]
        spaces += [bool(token.whitespace_) for token in tokens]
    doc = Doc(nlp.vocab, words, spaces)
    doc.set_ents([Span(doc, start, end, label) for start, end in entities])
    return doc
