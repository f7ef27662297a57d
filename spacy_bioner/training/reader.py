"""Several corpora as one stream of examples, each marked with its task."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, compress
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.training.corpus import walk_corpus
from spacy.util import registry

from ..docbin import read_docs
from ..errors import BionerError, Errors
from ..spans import choose_attrs, goes_by_span
from ..task import set_task


@registry.readers("spacy-bioner.MultiTaskCorpus.v1")
def create_multi_task_corpus(
    sources: dict[str, Path],
    weights: dict[str, float] = {},  # noqa: B006 (spaCy's convention)
    max_length: int = 0,
    limit: int = 0,
    seed: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Mix corpora, one task each.

    sources (dict): Task to a `.spacy` file or a folder of them.
    weights (dict): How often an epoch holds each corpus: 2.0 is twice, 0.5 a random
        half, drawn anew every epoch (of `spacy train`, which reads once, the same half)
        and at least a document of each label. 1.0 where not named.
    max_length (int): Cut documents into runs of whole sentences of at most so many
        tokens; 0 leaves them whole.
    limit (int): At most so many documents of each corpus; 0 for all.
    seed (int): Of the draws; the same seed gives the same stream.
    """
    return MultiTaskCorpus(sources, weights, max_length, limit, seed)


class MultiTaskCorpus:
    """Yields every corpus's examples interleaved; holds one file at a time of each."""

    def __init__(self, sources, weights, max_length, limit, seed) -> None:
        self.sources = {task: Path(path) for task, path in sources.items()}
        self.weights, self.limit = dict(weights), limit
        self.max_length, self.seed, self.epoch = max_length, seed, 0
        for task, path in self.sources.items():
            if not path.exists():
                raise BionerError(Errors.B401.format(task=task, path=path))
        for task in set(self.weights) - set(self.sources):
            raise BionerError(
                Errors.B402.format(
                    setting="weights", task=task, known=list(self.sources)
                )
            )

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """One epoch. Draws differ from epoch to epoch, not from run to run."""
        rng = random.Random(f"{self.seed}:{self.epoch}")
        self.epoch += 1
        streams = {t: self._examples(nlp, t, rng) for t in self.sources}
        while streams:
            for task in list(streams):
                example = next(streams[task], None)
                if example is None:
                    del streams[task]
                else:
                    yield example

    def _examples(self, nlp: Language, task: str, rng) -> Iterator[Example]:
        weight = self.weights.get(task, 1.0)
        whole, part = int(weight), weight - int(weight)
        labels: set[str] = set()  # an epoch has every label: training begins from one
        for repeat in range(whole + (part > 0)):
            for reference in self._documents(nlp, task):
                new = labels_of(reference) - labels
                labels |= new
                if repeat == whole and rng.random() >= part and not new:
                    continue
                for piece in self._pieces(reference):
                    yield make_example(nlp, piece, task)

    def _documents(self, nlp: Language, task: str) -> Iterator[Doc]:
        count = 0
        for path in walk_corpus(self.sources[task], ".spacy"):
            for doc in read_docs(path, nlp.vocab):
                if self.limit and count >= self.limit:
                    return
                count += 1
                yield doc

    def _pieces(self, doc: Doc) -> Iterator[Doc]:
        if not self.max_length or len(doc) <= self.max_length:
            yield doc
            return
        for start, end in sentence_runs(doc, self.max_length):
            yield cut(doc, start, end)


def labels_of(doc: Doc) -> set[str]:
    """Of its entities and of all its span groups."""
    return {span.label_ for span in chain(doc.ents, *doc.spans.values())}


def sentence_runs(doc: Doc, max_length: int) -> Iterator[tuple[int, int]]:
    """Runs of whole sentences of at most `max_length` tokens; a longer sentence is a
    run of its own. No entity is cut: a border inside one moves behind it. Spans that
    have scores count as entities from 0.5 on."""
    start = end = 0
    spans = chain(doc.ents, *map(likely, doc.spans.values()))
    inside = {i for span in spans for i in range(span.start + 1, span.end)}
    has_sentences = doc.has_annotation("SENT_START")
    borders = [s.end for s in doc.sents] if has_sentences else range(1, len(doc) + 1)
    for border in borders:
        if border in inside:
            continue
        if border - start > max_length and end > start:
            yield start, end
            start = end
        end = border
    if start < len(doc):
        yield start, len(doc)


def likely(group: SpanGroup) -> Iterator[Span]:
    """The spans of a group; where they have scores, such as a teacher's, those that
    are at least as likely as not."""
    scores = group.attrs.get("scores")
    if scores is None or not goes_by_span(group, scores):
        return iter(group)
    return compress(group, (score >= 0.5 for score in scores))


def cut(doc: Doc, start: int, end: int) -> Doc:
    """The tokens from `start` to `end` as a document, with the span groups, which
    `Span.as_doc` forgets; empty ones too: nothing there is an annotation. Attributes
    that have a value for each span, such as scores, keep those of the spans left."""
    piece = doc[start:end].as_doc()
    for key, group in doc.spans.items():
        inside = [start <= span.start and span.end <= end for span in group]
        spans = [
            Span(piece, span.start - start, span.end - start, span.label_)
            for span in compress(group, inside)
        ]
        attrs = choose_attrs(group, inside)
        piece.spans[key] = SpanGroup(piece, name=key, spans=spans, attrs=attrs)
    return piece


def make_example(nlp: Language, reference: Doc, task: str) -> Example:
    """An example as at inference: raw text through the pipeline's tokenizer."""
    predicted = nlp.tokenizer(reference.text)  # `make_doc` refuses long texts
    set_task(predicted, task)
    set_task(reference, task)
    return Example(predicted, reference)
