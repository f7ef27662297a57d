"""`annotate MODEL FILE…`: the entities of text files, with types and scores."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from spacy.language import Language
from spacy.tokens import Doc, SpanGroup
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors, load_pipeline, prepare
from spacy_bioner.confidence import place_of, put_on_tokens, scores_of
from spacy_bioner.display import render as render_page
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.candidate_filter import CandidateFilter
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.pipeline.instruct_ner import InstructNER
from spacy_bioner.pipeline.nested_spancat import NestedSpancat

Arg, Opt = typer.Argument, typer.Option
SCORING = (GerberaNER, NestedSpancat, InstructNER, CandidateFilter)
Groups = dict[str, str]  # a span group's key -> whose it is, see `groups_of`
PAGE_KEY = "page"


@friendly_errors
def annotate_cli(
    model: Annotated[str, Arg(metavar="MODEL", help="Package or folder of a pipeline")],
    paths: Annotated[
        list[Path] | None, Arg(metavar="FILE", help="UTF-8 text; none: stdin")
    ] = None,
    every_head: Annotated[
        bool, Opt("--all", help="Every component's and head's spans, not only doc.ents")
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
    it; of nested ones all. `--render ent` shows doc.ents, `--render span` overlapping
    spans: all heads' and nested ones.
    """
    style, page = render
    if style not in ("", "ent", "span"):
        raise BionerError(Errors.B602.format(style=style))
    if style:
        prepare(page)
    texts = [(str(path), read_text(path)) for path in paths or []]
    texts = texts or [("-", decode("stdin", sys.stdin.buffer.read()))]
    nlp = load_pipeline(model)
    groups = groups_of(nlp)
    shown = groups if every_head else groups_of(nlp, (NestedSpancat,))
    nlp.max_length = max(nlp.max_length, *(len(text) for _, text in texts)) + 1
    docs = []
    for name, doc in zip(
        [name for name, _ in texts], nlp.pipe(text for _, text in texts), strict=True
    ):
        found = entities_of(doc, groups, shown)
        if as_json:
            print(json.dumps({"id": name, "text": doc.text, "spans": found}))
        else:
            print_spans(name, found)
        if style:
            docs.append(doc)
    if style:
        page.write_text(make_page(docs, style, groups), encoding="utf-8")
        typer.echo(f"Open in a browser: {page}", err=True)


def read_text(path: Path) -> str:
    """A file's text, line ends untouched, so that offsets are the file's own."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BionerError(Errors.B603.format(path=path, error=error.strerror)) from None
    return decode(str(path), data)


def decode(name: str, data: bytes) -> str:
    """UTF-8, without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = f"not UTF-8 at byte {error.start}"
        raise BionerError(Errors.B603.format(path=name, error=problem)) from None


def groups_of(nlp: Language, kinds: tuple[type, ...] = SCORING) -> Groups:
    """The span groups that the pipeline's components of these kinds write: of a
    `gerbera_ner`, whose spans name their heads, "" stands for the head; else the
    component's name."""
    groups = {}
    for name, pipe in nlp.pipeline:
        if isinstance(pipe, kinds):
            groups[_key_of(pipe)] = "" if isinstance(pipe, GerberaNER) else name
    return groups


def _key_of(pipe: Any) -> str:
    return pipe.key if isinstance(pipe, NestedSpancat) else pipe.cfg["spans_key"]


def spans_of(doc: Doc, groups: Groups) -> list[dict[str, Any]]:
    """Every place and type in the span groups once, with each head's score."""
    heads: dict[tuple[int, int, str], dict[str, float]] = defaultdict(dict)
    for key, name in groups.items():
        if key not in doc.spans:
            continue
        group = put_on_tokens(doc.spans[key])
        for i, span in enumerate(group):
            head = name or group.attrs["heads"][i]
            score = round(float(group.attrs["scores"][i]), 4)
            heads[span.start_char, span.end_char, span.label_][head] = score
    return [
        _row(doc, *place, heads[place]) for place in sorted(heads, key=_outer_first)
    ]


def entities_of(doc: Doc, groups: Groups, shown: Groups) -> list[dict[str, Any]]:
    """The entities of `doc.ents`, with the scores of the heads that agree or, where
    no head wrote them, of their component; and all spans of the groups `shown`."""
    known = {(s["start"], s["end"], s["label"]): s for s in spans_of(doc, groups)}
    scores = scores_of(doc)
    for ent in doc.ents:
        place = ent.start_char, ent.end_char, ent.label_
        if place not in known:
            known[place] = _row(doc, *place, {}, scores.get(place_of(ent)))
    places = {(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents}
    places |= {(s["start"], s["end"], s["label"]) for s in spans_of(doc, shown)}
    return [known[place] for place in sorted(places, key=_outer_first)]


def _outer_first(place: tuple[int, int, str]) -> tuple[int, int, str]:
    start, end, label = place
    return start, -end, label


def _row(
    doc: Doc,
    start: int,
    end: int,
    label: str,
    heads: dict[str, float],
    score: float | None = None,
) -> dict[str, Any]:
    """score (float): Where there are no heads; else it is the owner's."""
    if heads:
        score = next(iter(heads.values()))  # the owner's, see `score_of`
    return {
        "start": start,
        "end": end,
        "label": label,
        "text": doc.text[start:end],
        "score": None if score is None else round(score, 4),
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


def make_page(docs: list[Doc], style: str, groups: Groups) -> str:
    """A displaCy page with scores; of style "span", all groups and entities as one."""
    for doc in docs if style == "span" else ():
        rows = entities_of(doc, groups, groups)
        spans: Any = [
            doc.char_span(row["start"], row["end"], row["label"]) for row in rows
        ]
        scores = [math.nan if row["score"] is None else row["score"] for row in rows]
        attrs = {"scores": scores}
        doc.spans[PAGE_KEY] = SpanGroup(doc, spans=spans, attrs=attrs)
    return render_page(docs, style, key=PAGE_KEY, page=True)
