"""Documents with gold mentions as chats to learn from: the prompts that a task asks,
and the answers that it would read without a fault."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.util import registry

from .. import docbin
from ..errors import BionerError, Errors
from .split import split
from .symbolic import NOTHING, decode, encode
from .task import SymbolicSpans

Row = dict[str, Any]
KEYS = {"path", "task", "lang", "spans_key", "weight"}


@dataclass(frozen=True)
class Source:
    """A corpus, and the task that its mentions answer.

    path (Path): A .spacy file.
    task_config (dict): The settings of the task, as in a pipeline's config.
    lang (str): The language of the texts.
    spans_key (str): The span group that holds the mentions; None: `doc.ents`.
    weight (float): How often each document is asked about: 2.0 is twice, 0.5 a random
        half.
    """

    name: str
    path: Path
    task: SymbolicSpans
    task_config: dict[str, Any]
    lang: str = "en"
    spans_key: str | None = None
    weight: float = 1.0

    def gold(self, doc: Doc) -> list[Span]:
        """The mentions of the task's types."""
        if self.spans_key is None:
            spans: Iterable[Span] = doc.ents
        else:
            spans = doc.spans.get(self.spans_key, [])
        return [s for s in spans if s.label_ in self.task.labels and len(s)]

    def is_annotated(self, doc: Doc) -> bool:
        """Else that it has no mention says nothing."""
        return self.spans_key in doc.spans or doc.has_annotation("ENT_IOB")


@dataclass
class Counts:
    """What became of the mentions of a source.

    skipped (int): Documents that nobody annotated.
    written (int): In answers.
    lost (int): Across two pieces of a long text, or nested in a task that is not.
    """

    documents: int = 0
    skipped: int = 0
    rows: int = 0
    nothing: int = 0
    written: int = 0
    lost: int = 0
    labels: Counter[str] = field(default_factory=Counter)


def read_sources(config: dict[str, Any], path: Path) -> dict[str, Source]:
    """The sources of a config. Raises BionerError for one that is not complete."""
    try:
        import spacy_llm  # noqa: F401  (it makes the registry of tasks)
    except ImportError:
        error = Errors.B715.format(module="spacy-llm", package="spacy-bioner[llm]")
        raise BionerError(error) from None
    sections = config.get("data", {}).get("sources", {})
    if not sections:
        raise BionerError(Errors.B710.format(path=path, problem="found none"))
    sources = {}
    for name, section in sections.items():
        missing, unknown = {"path", "task"} - set(section), set(section) - KEYS
        if missing or unknown:
            problem = (
                f"but '{name}' lacks {sorted(missing)}, has also {sorted(unknown)}"
            )
            raise BionerError(Errors.B710.format(path=path, problem=problem))
        file, task = Path(section["path"]), section["task"]
        weight = section.get("weight", 1.0)
        if not isinstance(weight, (int, float)) or weight < 0:
            raise BionerError(
                Errors.B709.format(name="weight", value=weight, expected="0 or more")
            )
        resolved = registry.resolve({"task": task})["task"]
        settings = {**section, "path": file, "task": resolved, "task_config": task}
        sources[name] = Source(name, **settings)
    return sources


def blank(lang: str) -> Language:
    """What texts go through before the task: sentences, at which long ones are cut."""
    nlp = spacy.blank(lang)
    nlp.add_pipe("sentencizer")
    return nlp


def read_docs(path: Path, nlp: Language) -> Iterator[Doc]:
    """The documents of a .spacy file, with sentences."""
    return nlp.pipe(docbin.read_docs(path, nlp.vocab))


def make_rows(
    source: Source, *, drop_types: float, empty: float, seed: int
) -> tuple[list[Row], Counts]:
    """Chats of one source.

    drop_types (float): The chance of each type to be left out of a prompt, and its
        mentions out of the answer; the others are asked for in a random order. So a
        model learns to go by the prompt. 0: every type, in the task's order.
    empty (float): The share of texts without a mention to keep.
    RETURNS (tuple): Rows with `messages` and `source`, in the order of the documents.
    """
    rng = random.Random(f"{seed}:{source.name}")
    rows: list[Row] = []
    counts = Counts()
    for doc in read_docs(source.path, blank(source.lang)):
        counts.documents += 1
        if not source.is_annotated(doc):
            counts.skipped += 1
            continue
        counts.labels.update(_labels(source, doc))
        for _ in range(int(source.weight) + (rng.random() < source.weight % 1)):
            task = ask_for(source.task, _draw(source.task.labels, drop_types, rng))
            for row in _chats(task, source, doc, counts):
                nothing = row["messages"][-1]["content"] == NOTHING
                if not nothing or rng.random() < empty:
                    counts.nothing += nothing
                    rows.append(row)
    counts.rows = len(rows)
    if not any(counts.labels[label] for label in source.task.labels):
        raise BionerError(
            Errors.B712.format(
                name=source.name,
                labels=list(source.task.labels),
                found=sorted(counts.labels) or "nothing",
            )
        )
    return rows, counts


def _labels(source: Source, doc: Doc) -> list[str]:
    key = source.spans_key
    return [s.label_ for s in (doc.ents if key is None else doc.spans.get(key, []))]


def _draw(labels: Iterable[str], drop: float, rng: random.Random) -> list[str]:
    """Some of the labels, at least one, in random order."""
    labels = list(labels)
    if drop <= 0:
        return labels
    rng.shuffle(labels)
    return [label for label in labels if rng.random() >= drop] or labels[:1]


def ask_for(task: SymbolicSpans, labels: list[str]) -> SymbolicSpans:
    """The same task, asking for some of its types only."""
    narrow = copy(task)
    narrow.labels = tuple(labels)
    heads = tuple(f"{label}: " for label in labels)
    narrow.examples = []
    for example in task.examples:
        lines = [s for s in example["answer"].split("\n") if s.startswith(heads)]
        narrow.examples.append({**example, "answer": "\n".join(lines) or NOTHING})
    return narrow


def _chats(
    task: SymbolicSpans, source: Source, doc: Doc, counts: Counts
) -> Iterator[Row]:
    """The prompt and the answer for each piece of a document."""
    gold = {
        (span.start_char, span.end_char, span.label_)
        for span in source.gold(doc)
        if span.label_ in task.labels
    }
    written = 0
    ((prompts, _),) = task.generate_prompts([doc])
    for prompt, piece in zip(prompts, split(doc, task.max_chars), strict=True):
        shift, stop = piece.start_char, piece.end_char
        inside = [
            (a - shift, b - shift, label)
            for a, b, label in gold
            if shift <= a and b <= stop
        ]
        answer = encode(piece.text, inside, task.labels, task.nested)
        written += len(decode(answer, piece.text, task.labels, task.nested)[0])
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer},
        ]
        yield {"source": source.name, "messages": messages}
    counts.written += written
    counts.lost += len(gold) - written


def mix(rows: Iterable[list[Row]], seed: int) -> list[Row]:
    """The rows of all sources, in random order."""
    mixed = [row for of_source in rows for row in of_source]
    random.Random(seed).shuffle(mixed)
    return mixed
