"""`spacy bioner calibrate`: fit temperatures and label owners on dev."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bioner.cli._util import find_corpora, friendly_errors, load_pipeline


@friendly_errors
def calibrate_cli(
    model: Annotated[Path, typer.Argument(help="Pipeline; changed in place")],
    source: Annotated[
        list[str] | None, typer.Option(help="TASK=dev.spacy; once a corpus")
    ] = None,
    targets: Annotated[str, typer.Option(help="Or names in --data: a,b")] = "",
    data: Annotated[Path | None, typer.Option(help="DATA/NAME/dev.spacy")] = None,
    component: Annotated[str, typer.Option(help="Name of the gerbera_ner")] = "ner",
    owners: Annotated[bool, typer.Option(help="Also choose each label's owner")] = True,
) -> None:
    """Make a trained pipeline's probabilities honest, and say who owns each label."""
    from spacy_bioner.training.calibration import (
        choose_owners,
        fit_temperatures,
        score_heads_of,
    )
    from spacy_bioner.training.reader import MultiTaskCorpus

    nlp = load_pipeline(str(model))
    ner: Any = nlp.get_pipe(component)
    files = find_corpora(ner, source or [], targets, data, "dev")
    corpus = MultiTaskCorpus(files, {}, 0, 0, 0)
    scored = list(score_heads_of(nlp, component, corpus(nlp)))
    ner.cfg["temperatures"] = fit_temperatures(ner, scored)
    typer.echo(f"temperatures {ner.cfg['temperatures']}")
    if owners:
        ner.cfg["owners"] = choose_owners(ner, scored)
        typer.echo(f"owners {ner.cfg['owners']}")
    nlp.to_disk(model)
