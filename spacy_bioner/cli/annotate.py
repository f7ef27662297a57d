"""`annotate MODEL FILE…`: the entities of text files, with types and scores."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy import displacy
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors, load_pipeline
from spacy_bioner.errors import BionerError, Errors

Arg, Opt = typer.Argument, typer.Option
COLORS = {
    "DISEASE": "#f4a6a0",
    "CHEMICAL": "#a8d5ba",
    "GENE": "#a7c7e7",
    "PROTEIN": "#b5c9f0",
    "SPECIES": "#fbe3a1",
    "CELL_LINE": "#d9c2e9",
    "CELL_TYPE": "#e8c7dd",
    "DNA": "#bfe3e0",
    "RNA": "#cfe8b4",
}


@friendly_errors
def annotate_cli(
    model: Annotated[str, Arg(metavar="MODEL", help="Package or folder of a pipeline")],
    paths: Annotated[
        list[Path] | None, Arg(metavar="FILE", help="UTF-8 text; none: stdin")
    ] = None,
    every_head: Annotated[
        bool, Opt("--all", help="Every head's spans, not only doc.ents")
    ] = False,
    as_json: Annotated[
        bool, Opt("--json", help="One JSON line a file; `convert jsonl` reads it")
    ] = False,
    render: Annotated[
        tuple[str, Path],
        Opt(metavar="ent|span OUT.html", help="displaCy page", show_default=False),
    ] = ("", Path()),
):
    """Print every entity: where it is, its type, its score, and the heads that found
    it. `--render ent` shows doc.ents, `--render span` all heads' overlapping spans.
    """
    style, page = render
    if style not in ("", "ent", "span"):
        raise BionerError(Errors.B602.format(style=style))
    texts = [(str(path), read_text(path)) for path in paths or []]
    texts = texts or [("-", sys.stdin.read())]
    nlp = load_pipeline(model)
    key = spans_key(nlp)
    nlp.max_length = max(nlp.max_length, *(len(text) for _, text in texts)) + 1
    docs = []
    for name, doc in zip(
        [name for name, _ in texts], nlp.pipe(text for _, text in texts), strict=True
    ):
        found = list(spans_of(doc, key) if every_head else entities_of(doc, key))
        if as_json:
            print(json.dumps({"id": name, "text": doc.text, "spans": found}))
        else:
            print_spans(name, found)
        if style:
            docs.append(doc)
    if style:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(make_page(docs, style, key), encoding="utf-8")
        typer.echo(f"Open in a browser: {page}", err=True)


def read_text(path: Path) -> str:
    """A file's text, line ends untouched, so that offsets are the file's own."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise BionerError(Errors.B603.format(path=path, error=error.strerror)) from None
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}"
        raise BionerError(Errors.B603.format(path=path, error=problem)) from None


def spans_key(nlp: Language) -> str:
    """The span group that the pipeline's `gerbera_ner` writes; "" without one."""
    for name in nlp.pipe_names:
        if nlp.get_pipe_meta(name).factory == "gerbera_ner":
            return nlp.get_pipe(name).cfg["spans_key"]  # type: ignore[attr-defined]
    return ""


def spans_of(doc: Doc, key: str) -> Iterator[dict[str, Any]]:
    """Every place and type in the span group once, with each head's score."""
    heads: dict[tuple[int, int, str], dict[str, float]] = defaultdict(dict)
    if key in doc.spans:
        group = doc.spans[key]
        rows = zip(group, group.attrs["heads"], group.attrs["scores"], strict=True)
        for span, head, score in rows:
            place = span.start_char, span.end_char, span.label_
            heads[place][head] = round(float(score), 4)
    for (start, end, label), scores in heads.items():
        yield _row(doc, start, end, label, scores)


def entities_of(doc: Doc, key: str) -> Iterator[dict[str, Any]]:
    """The entities of `doc.ents`, with the scores of the heads that agree."""
    group = {(s["start"], s["end"], s["label"]): s for s in spans_of(doc, key)}
    for ent in doc.ents:
        place = ent.start_char, ent.end_char, ent.label_
        yield group.get(place) or _row(doc, *place, {})


def _row(doc: Doc, start: int, end: int, label: str, heads: dict[str, float]):
    return {
        "start": start,
        "end": end,
        "label": label,
        "text": doc.text[start:end],
        "score": max(heads.values(), default=None),
        "heads": heads,
    }


def print_spans(name: str, spans: list[dict[str, Any]]) -> None:
    """One table a file."""
    msg.divider(f"{name}: {len(spans)} entities")
    rows = [
        (
            f"{span['start']}-{span['end']}",
            span["label"],
            "" if span["score"] is None else f"{span['score']:.2f}",
            " ".join(span["text"].split()),
            ", ".join(span["heads"]),
        )
        for span in spans
    ]
    if rows:
        header = ("place", "type", "score", "text", "heads")
        msg.table(rows, header=header, divider=True, max_col=60)


def make_page(docs: list[Doc], style: str, key: str) -> str:
    """A displaCy page."""
    options: dict[str, Any] = {"colors": COLORS}
    if style == "span":
        options["spans_key"] = key
    return displacy.render(docs, style=style, page=True, options=options, jupyter=False)
