"""What trained pipelines think of a text, for a `nested_spancat` to learn from.

The mean of several is mostly better than each of them, and says of doubtful spans that
they are doubtful, where an annotator had to decide: knowledge distillation (Hinton et
al., 2015). Texts that nobody annotated teach as well.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from spacy.util import minibatch

from ..errors import BionerError, Errors
from ..layers.span_loss import sigmoid
from .upstream import run_before

Place = tuple[int, int, str]  # in characters, and the label
BATCH = 32


def teach(
    teachers: Sequence[tuple[Language, str]],
    docs: Iterable[Doc],
    key: str,
    least: float = 0.01,
) -> Iterator[Doc]:
    """Write into each document the spans that any teacher thinks possible.

    teachers (sequence): Pipelines, and the names of their `nested_spancat`.
    key (str): The span group to write; `attrs["scores"]` holds the mean of the
        teachers' probabilities, `attrs["max_width"]` up to which length in tokens all
        of them look at spans, `attrs["labels"]` what they look for.
    least (float): A teacher's lower probabilities count as 0.
    """
    pipes = [look_up(nlp, name) for nlp, name in teachers]
    width, labels = min(pipe.max_width for pipe in pipes), sorted(pipes[0].labels)
    for pipe in pipes:
        if sorted(pipe.labels) != labels:
            values = {"one": labels, "other": sorted(pipe.labels)}
            raise BionerError(Errors.B807.format(**values))
    for batch in minibatch(docs, BATCH):
        sums: list[dict[Place, float]] = [defaultdict(float) for _ in batch]
        for nlp, name in teachers:
            texts = [doc.text for doc in batch]
            for total, found in zip(sums, think(nlp, name, texts, least), strict=True):
                for place, chance in found.items():
                    total[place] += chance / len(teachers)
        for doc, total in zip(batch, sums, strict=True):
            doc.spans[key] = as_group(doc, key, total, width, labels)
            yield doc


def look_up(nlp: Language, name: str) -> Any:
    """A pipeline's `nested_spancat`, of whose type mypy cannot know."""
    return nlp.get_pipe(name)


def as_group(
    doc: Doc, key: str, chances: dict[Place, float], width: int, labels: list[str]
) -> SpanGroup:
    """Spans and scores; without those that begin or end inside a token of `doc`."""
    pairs = [(doc.char_span(*place), p) for place, p in sorted(chances.items())]
    pairs = [(span, round(p, 4)) for span, p in pairs if span is not None]
    spans, scores = zip(*pairs, strict=True) if pairs else ((), ())
    attrs = {"scores": list(scores), "max_width": width, "labels": labels}
    return SpanGroup(doc, name=key, spans=spans, attrs=attrs)


def think(
    nlp: Language, name: str, texts: list[str], least: float
) -> Iterator[dict[Place, float]]:
    """The spans of each text that a pipeline thinks possible."""
    spancat = look_up(nlp, name)
    docs = run_before(nlp, name, texts)
    masks, tables = spancat.candidates(docs), spancat.predict(docs)
    for doc, mask, table in zip(docs, masks, tables, strict=True):
        logits = spancat.model.ops.to_numpy(table) / spancat.cfg["temperature"]
        chances = sigmoid(logits) * mask[:, :, None]
        rows = np.argwhere(chances >= least).tolist()
        found = {}
        for i, w, k in rows:
            span = doc[i : i + w + 1]
            place = span.start_char, span.end_char, spancat.labels[k]
            found[place] = float(chances[i, w, k])
        yield found
