"""`inspect FILE.spacy …`: what converted corpora hold, lose and share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from wasabi import msg

from spacy_bioner.cli._util import blank, friendly_errors
from spacy_bioner.corpora.convert import LOST
from spacy_bioner.corpora.overview import PERCENTILES, Overview, shared, survey
from spacy_bioner.docbin import read_docs
from spacy_bioner.errors import BionerError, Errors

Arg, Opt = typer.Argument, typer.Option


@friendly_errors
def inspect_cli(
    paths: Annotated[list[Path], Arg(help="Files of `convert`, or folders of them")],
    encoder: Annotated[
        str | None, Opt(help="Encoder whose word pieces to count")
    ] = None,
    min_chars: Annotated[int, Opt(help="Shortest sentence to compare")] = 40,
    lang: Annotated[str, Opt(help="Language of the text")] = "en",
    report_path: Annotated[Path | None, Opt("--report", help="Save as JSON")] = None,
):
    """Show labels, lengths, nesting and lost mentions of every file, and the
    documents and sentences that any two files share.

    The encoder is a folder with a tokenizer.json, such a file, or a name on the hub.
    """
    count_pieces = load_pieces(encoder) if encoder else None
    vocab = blank(lang).vocab
    corpora: dict[str, Overview] = {}
    for path, name in name_files(find_files(paths)).items():
        docs = read_docs(path, vocab)
        corpora[name] = survey(docs, count_pieces, min_chars)
    report = {
        "corpora": {name: overview.to_json() for name, overview in corpora.items()},
        "shared": shared(corpora),
    }
    if report_path:
        report_path.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_json(report_path, report)
    print_overview(report)


def find_files(paths: list[Path]) -> list[Path]:
    """The `.spacy` files named, or below the folders named."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.spacy")) if path.is_dir() else [path]
        if not found or not all(file.is_file() for file in found):
            raise BionerError(Errors.B108.format(path=path))
        files += found
    return list(dict.fromkeys(files))


def name_files(paths: list[Path]) -> dict[Path, str]:
    """Each file's folder and name, or where two files share these, its whole path."""
    names = {path: f"{path.parent.name}/{path.stem}" for path in paths}
    count = Counter(names.values())
    return {
        path: name if count[name] == 1 else str(path.with_suffix(""))
        for path, name in names.items()
    }


def load_pieces(encoder: str) -> Callable[[str], int]:
    """A function that counts the word pieces of a text, special ones aside."""
    from tokenizers import Tokenizer

    path = Path(encoder)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        tokenizer = (
            Tokenizer.from_file(str(file))
            if file.exists()
            else Tokenizer.from_pretrained(encoder)
        )
    except Exception as error:  # tokenizers raises bare Exceptions
        raise BionerError(Errors.B109.format(encoder=encoder, error=error)) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def print_overview(report: dict[str, Any]) -> None:
    """One table of contents and losses, one of labels, one of what is shared."""
    corpora = report["corpora"]
    _table("Corpora", [_summary_row(name, data) for name, data in corpora.items()])
    _table("Labels", [_label_row(name, data) for name, data in corpora.items()])
    _table("Shared", report["shared"])
    if not report["shared"]:
        msg.text("Nothing is shared between these files.")


def _summary_row(name: str, data: dict[str, Any]) -> dict[str, Any]:
    mentions = data["mentions"]
    row = {
        "corpus": name,
        "documents": data["documents"],
        "mentions": mentions.get("mentions", sum(data["labels"].values())),
        "lost": sum(mentions.get(reason, 0) for reason in LOST),
        "mid-token": mentions.get("mid-token", 0),
        "by depth": "/".join(str(n) for n in data["depths"].values()),
    }
    for unit in ("tokens", "pieces"):
        lengths = data[f"sentence_{unit}"]
        if lengths:
            shown = "/".join(f"p{p}" if p < 100 else "max" for p in PERCENTILES)
            row[f"{unit} {shown}"] = "/".join(str(n) for n in lengths.values())
    return row


def _label_row(name: str, data: dict[str, Any]) -> dict[str, Any]:
    counts = ", ".join(f"{label} {n:,}" for label, n in data["labels"].items())
    return {"corpus": name, "labels": counts}


def _table(title: str, rows: list[dict[str, Any]]) -> None:
    msg.divider(title)
    if rows:
        header = list(dict.fromkeys(key for row in rows for key in row))
        body = [[row.get(key, "") for key in header] for row in rows]
        msg.table(body, header=header, divider=True, max_col=100)
