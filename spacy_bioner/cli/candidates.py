"""`candidates GOLD.spacy OUTPUT.spacy --answers KEY=FOLDER`: what a language model
answered, beside the gold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import spacy
import typer
from wasabi import msg

from spacy_bioner.cli._util import check_suffix, friendly_errors, parse_pairs
from spacy_bioner.cli.convert import parse_labels
from spacy_bioner.corpora.answers import LOST, add_answers
from spacy_bioner.corpora.convert import attrs_of, write
from spacy_bioner.docbin import read_docs
from spacy_bioner.errors import BionerError, Errors

Arg, Opt = typer.Argument, typer.Option


@friendly_errors
def candidates_cli(
    gold: Annotated[Path, Arg(metavar="GOLD", help="A .spacy file of `convert`")],
    output: Annotated[Path, Arg(metavar="OUTPUT", help="The .spacy file to write")],
    answers: Annotated[
        list[str], Opt(metavar="KEY=FOLDER", help="Span group, folder of HTML answers")
    ],
    labels: Annotated[str, Opt(help="Classes to labels: 'problem=PROBLEM'")],
):
    """Put answers in HTML, one file a document, on a converted corpus.

    Each folder becomes a span group; a table says what became of every mention.
    """
    check_suffix(output)
    folders, mapping = parse_pairs(answers, "answers"), parse_labels(labels)
    for path in folders.values():
        if not path.is_dir():
            error = "there is no such folder"
            raise BionerError(Errors.B603.format(path=path, error=error))
    docs = list(read_docs(gold, spacy.blank("en").vocab))
    rows = []
    for key, folder in folders.items():
        parts = (add_answers(doc, folder, key, mapping) for doc in docs)
        rows.append((key, sum(parts, Counter())))
    columns = ["kept", "widened", *LOST, "no answer"]
    msg.table(
        [(key, *(counts[column] for column in columns)) for key, counts in rows],
        header=("group", *columns),
        divider=True,
    )
    msg.good(f"{write(docs, output, attrs_of(docs))} documents in {output}")
