"""`tune-filter MODEL DEV.spacy`: what a `candidate_filter` settles on dev."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bioner.cli._util import friendly_errors, load_folder
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.candidate_filter import CandidateFilter
from spacy_bioner.pipeline.settings import update_config


@friendly_errors
def tune_filter_cli(
    model: Annotated[Path, typer.Argument(help="Pipeline; changed in place")],
    dev: Annotated[Path, typer.Argument(help="A .spacy file with gold spans")],
    simulate: Annotated[
        bool, typer.Option(help="Make candidates of gold where there are none")
    ] = True,
    seed: Annotated[int, typer.Option(help="Of the simulation")] = 0,
) -> None:
    """Make a trained filter's probabilities honest, and choose its threshold.

    On the candidates of the filter's span group in DEV, or on simulated ones.
    """
    from spacy_bioner.training.candidates import create_candidate_corpus
    from spacy_bioner.training.filter_tuning import tune_filter

    nlp = load_folder(model)
    named: list[tuple[str, Any]] = list(nlp.pipeline)
    pipes = [x for x in named if isinstance(x[1], CandidateFilter)]
    if not pipes:
        raise BionerError(Errors.B203.format(model=model, found=nlp.pipe_names))
    if not dev.is_file():
        raise BionerError(Errors.B605.format(task="dev", path=dev))
    for name, pipe in pipes:
        keys = pipe.cfg["candidates_key"], pipe.cfg["gold_key"]
        corpus = create_candidate_corpus({"dev": dev}, *keys, 0, simulate, seed)
        chosen = tune_filter(nlp, name, corpus(nlp))
        if not len(chosen.logits):
            raise BionerError(Errors.B204.format(path=dev, keys=keys))
        for setting in ("temperature", "offset", "threshold"):
            typer.echo(f"{name}: {setting} {pipe.cfg[setting]}")
    update_config(nlp)
    nlp.to_disk(model)
