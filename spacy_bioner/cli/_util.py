"""What the commands share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import spacy
import typer
from spacy.language import Language

from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.pipeline.nested_spancat import NestedSpancat


def friendly_errors(command: Callable) -> Callable:
    """Print a BionerError, or a file's error, as one line and leave with status 1."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        if hasattr(sys.stdout, "reconfigure"):  # may know fewer characters than texts
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            return command(*args, **kwargs)
        except click.ClickException as error:  # an override that `train` cannot read
            typer.secho(f"✘ {error.format_message()}", fg="red", err=True)
            raise typer.Exit(error.exit_code) from None
        except (BionerError, OSError) as error:
            reason: object = error
            if isinstance(error, OSError) and error.filename is not None:
                path = error.filename2 or error.filename  # what it was to be renamed
                reason = Errors.B618.format(path=path, error=error.strerror)
            elif isinstance(error, OSError) and not str(error).startswith("[E"):
                raise  # neither about a file of the user's nor a sentence of spaCy's
            typer.secho(f"✘ {reason}", fg="red", err=True)  # wasabi would wrap it
            raise typer.Exit(1) from None

    return run


def blank(lang: str) -> Language:
    """`spacy.blank` that says in one line what is wrong."""
    try:
        return spacy.blank(lang)
    except ImportError as error:
        reason = str(error).strip().partition("\n")[0]
        raise BionerError(Errors.B617.format(lang=lang, error=reason)) from None


def load_pipeline(model: str) -> Language:
    """`spacy.load` that says in one line what is wrong."""
    try:
        return spacy.load(model)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise BionerError(Errors.B601.format(model=model, error=reason)) from None


def load_folder(model: Path) -> Language:
    """A pipeline that is to be changed where it is."""
    if not model.is_dir():
        error = "what is changed in place must be a folder"
        raise BionerError(Errors.B601.format(model=model, error=error))
    return load_pipeline(str(model))


def prepare(path: Path) -> None:
    """Make the folder of a file that is to be written, or fail before the work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise BionerError(Errors.B618.format(path=path, error="it is a folder"))


def check_suffix(output: Path) -> None:
    """Raises BionerError for a file that other commands would not find."""
    if output.suffix != ".spacy":
        raise BionerError(Errors.B105.format(output=output))


def parse_pairs(values: list[str], option: str = "source") -> dict[str, Path]:
    """`["NAME=PATH", …]` -> {"NAME": Path("PATH")}."""
    pairs: dict[str, Path] = {}
    for value in values:
        name, _, path = value.partition("=")
        if not name or not path:
            raise BionerError(Errors.B604.format(option=option, value=value))
        if name in pairs:
            raise BionerError(Errors.B620.format(option=option, value=value, name=name))
        pairs[name] = Path(path)
    return pairs


def parse_names(value: str) -> list[str]:
    """`"a, b"` -> ["a", "b"]."""
    return [name.strip() for name in value.split(",") if name.strip()]


def tasks_of(nlp: Language) -> Iterator[str]:
    """The corpora that a pipeline was made for: the heads that are not general, and
    the tasks of its span categorizers that have one."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, GerberaNER):
            yield from (head for head in pipe.heads if head not in pipe.cfg["general"])
        elif isinstance(pipe, NestedSpancat) and pipe.cfg["task"]:
            yield pipe.cfg["task"]


def find_corpora(
    nlp: Language, named: list[str], targets: str, data: Path | None, split: str
) -> dict[str, Path]:
    """Task -> file: those named `NAME=FILE`, and the others at DATA/NAME/SPLIT.spacy.

    targets (str): The names in `data`; empty: the pipeline's own, see `tasks_of`.
    """
    files = parse_pairs(named)
    if data is not None:
        for task in parse_names(targets) or tasks_of(nlp):
            files.setdefault(task, data / task / f"{split}.spacy")
    if not files or (targets and data is None):
        raise BionerError(Errors.B607)
    for task, path in files.items():
        if not path.is_file():
            raise BionerError(Errors.B605.format(task=task, path=path))
    return files
