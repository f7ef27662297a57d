"""`spacy bioner train`: `spacy train` that goes on after an interruption."""

from __future__ import annotations

from pathlib import Path

import typer
from spacy.cli._util import parse_config_overrides, setup_gpu
from spacy.util import load_config

from spacy_bioner.cli._util import friendly_errors


@friendly_errors
def train_cli(
    ctx: typer.Context,
    config_path: Path = typer.Argument(..., help="The training config.", exists=True),
    output: Path = typer.Argument(..., help="Folder for pipelines and checkpoint."),
    gpu_id: int = typer.Option(-1, "--gpu-id", "-g", help="GPU, or -1 for CPU."),
    restart: bool = typer.Option(False, "--restart", help="Ignore a checkpoint."),
) -> None:
    """Train a pipeline; overrides such as --training.max_steps 100 as in spacy train."""
    from spacy_bioner.training.loop import train

    setup_gpu(gpu_id)
    overrides = parse_config_overrides(ctx.args)
    config = load_config(config_path, overrides=overrides, interpolate=False)
    output.mkdir(parents=True, exist_ok=True)
    train(config, output, use_gpu=gpu_id, resume=not restart)
