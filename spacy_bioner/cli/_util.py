"""What the commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable

import typer

from spacy_bioner.errors import BionerError


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
