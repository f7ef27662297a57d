"""`teach INPUT OUTPUT --teacher MODEL`: what trained pipelines think of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.language import Language
from wasabi import msg

from spacy_bioner.cli._util import check_suffix, friendly_errors, load_pipeline
from spacy_bioner.corpora.convert import attrs_of, write
from spacy_bioner.docbin import read_docs
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.nested_spancat import NestedSpancat

Arg, Opt = typer.Argument, typer.Option


@friendly_errors
def teach_cli(
    source: Annotated[Path, Arg(metavar="INPUT", help="A .spacy file")],
    output: Annotated[Path, Arg(metavar="OUTPUT", help="The .spacy file to write")],
    teacher: Annotated[
        list[str], Opt(help="A pipeline with a nested_spancat; once for each")
    ],
    key: Annotated[str, Opt(help="The span group to write")] = "teacher",
    only: Annotated[bool, Opt(help="Drop the annotations that are there")] = False,
) -> None:
    """Write what trained pipelines, on average, think of every span of a corpus.

    A `nested_spancat` with a `teacher_weight` learns from that: beside gold, or alone
    where there is none.
    """
    from spacy_bioner.training.teaching import teach

    check_suffix(output)
    teachers = [find_spancat(load_pipeline(model)) for model in teacher]
    docs = read_docs(source, spacy.blank("en").vocab)
    if only:
        docs = map(forget, docs)
    taught = list(teach(teachers, docs, key))
    count = write(taught, output, attrs_of(taught))
    msg.good(f"{output}: {count} documents taught by {len(teachers)} pipelines")


def find_spancat(nlp: Language) -> tuple[Language, str]:
    """A pipeline and the name of its `nested_spancat`."""
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, NestedSpancat):
            return nlp, name
    raise BionerError(Errors.B803.format(found=nlp.pipe_names))


def forget(doc):
    """Leave of a document its words."""
    doc.spans.clear()
    doc.set_ents([], default="missing")
    return doc
