"""What the commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import spacy
import typer
from spacy.language import Language

from spacy_bioner.errors import BionerError, Errors


def friendly_errors(command: Callable) -> Callable:
    """Print a BionerError as one line and leave with status 1."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except BionerError as error:
            typer.secho(f"✘ {error}", fg="red", err=True)  # wasabi would wrap it
            raise typer.Exit(1) from None

    return run


def load_pipeline(model: str) -> Language:
    """`spacy.load` that says in one line what is wrong."""
    try:
        return spacy.load(model)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BionerError(Errors.B601.format(model=model, error=reason)) from None


def parse_pairs(values: list[str]) -> dict[str, Path]:
    """`["NAME=FILE", …]` -> {"NAME": Path("FILE")}."""
    pairs = {}
    for value in values:
        name, _, path = value.partition("=")
        if not name or not path:
            raise BionerError(Errors.B604.format(value=value))
        pairs[name] = Path(path)
    return pairs


def parse_names(value: str) -> list[str]:
    """`"a, b"` -> ["a", "b"]."""
    return [name.strip() for name in value.split(",") if name.strip()]
