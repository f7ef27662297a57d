"""`spacy bioner train`: `spacy train` that goes on after an interruption."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from spacy.cli._util import (
    parse_config_overrides,
    setup_gpu,
    show_validation_error,
)
from spacy.util import load_config, load_config_from_str
from thinc.api import Config

from spacy_bioner.cli._util import friendly_errors, parse_names
from spacy_bioner.errors import BionerError, Errors


@friendly_errors
def train_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, typer.Argument(help="Training config", exists=True, dir_okay=False)
    ],
    output: Annotated[Path, typer.Argument(help="Folder for pipelines, checkpoint")],
    gpu_id: int = typer.Option(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU."),
    targets: str = typer.Option("", help="Other corpora than the config's: a,b."),
    general: str = typer.Option("", help="With --targets: general corpora: c,d."),
    steps: int = typer.Option(0, min=0, help="Fit the schedule to these; 0: as it is."),
    restart: bool = typer.Option(False, "--restart", help="Ignore a checkpoint."),
) -> None:
    """Train a pipeline; go on where an earlier run stopped.

    Overrides such as --training.max_steps 100 as in `spacy train`; they win over what
    --targets and --steps derive. The corpora of --targets and --general are at
    PATHS.DATA/NAME/train.spacy and dev.spacy.
    """
    from spacy_bioner.training.loop import train
    from spacy_bioner.training.tasks import choose_tasks, fit_schedule

    # thinc asks every tensor for its gradient, and torch remarks on it each time
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor")
    if general and not targets:
        raise BionerError(Errors.B621)
    try:
        setup_gpu(gpu_id)
    except ValueError as error:  # thinc's
        reason = str(error).rstrip(".")
        raise BionerError(Errors.B622.format(gpu=gpu_id, error=reason)) from None
    overrides = parse_config_overrides(ctx.args)
    with show_validation_error(config_path):
        config = load_config(config_path, interpolate=False)
        if targets:
            config = choose_tasks(config, parse_names(targets), parse_names(general))
        if steps:
            config = fit_schedule(config, steps)
        # Last, or a mixing weight of the user's went with those of the config.
        config = load_config_from_str(config.to_str(interpolate=False), overrides)
        check_modules(config)
        output.mkdir(parents=True, exist_ok=True)
        train(config, output, use_gpu=gpu_id, resume=not restart)


def check_modules(config: Config) -> None:
    """Raises BionerError where a transformer is to be trained, and nothing can."""
    if "transformer" in config["components"] and not find_spec("spacy_transformers"):
        need = {"what": "A transformer", "modules": "torch, spacy-transformers"}
        raise BionerError(Errors.BA02.format(**need, extra="train"))
