"""`spacy bioner calibrate`: what is settled on dev once a pipeline is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from spacy.language import Language

from spacy_bioner.cli._util import find_corpora, friendly_errors, load_folder
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.pipeline.nested_spancat import NestedSpancat
from spacy_bioner.pipeline.settings import update_config


@friendly_errors
def calibrate_cli(
    model: Annotated[Path, typer.Argument(help="Pipeline; changed in place")],
    source: Annotated[
        list[str] | None, typer.Option(help="TASK=dev.spacy; once a corpus")
    ] = None,
    targets: Annotated[str, typer.Option(help="Or names in --data: a,b")] = "",
    data: Annotated[Path | None, typer.Option(help="DATA/NAME/dev.spacy")] = None,
    component: Annotated[str, typer.Option(help="Only this one; empty: all")] = "",
    owners: Annotated[bool, typer.Option(help="Also choose each label's owner")] = True,
    beta: Annotated[
        float, typer.Option(help="Of nested spans: weight of recall, as in F-beta")
    ] = 1.0,
) -> None:
    """Make a trained pipeline's probabilities honest.

    Of a `gerbera_ner`: each head's temperature, and who owns each label. Of a
    `nested_spancat`: its temperature, and each label's threshold, so that F is best or,
    with another --beta, F-beta: with 2, recall matters twice as much as precision. It
    looks at the documents that have its span group, those of `convert --nested`.
    """
    from spacy_bioner.training.reader import MultiTaskCorpus

    if not beta > 0:
        raise BionerError(Errors.B616.format(beta=beta))
    nlp = load_folder(model)
    names = [component] if component else nlp.pipe_names
    if unknown := set(names) - set(nlp.pipe_names):
        raise BionerError(Errors.B614.format(name=unknown.pop(), known=nlp.pipe_names))
    files = find_corpora(nlp, source or [], targets, data, "dev")
    corpus = MultiTaskCorpus(files, {}, 0, 0, 0)
    done = False
    for name in names:
        pipe = nlp.get_pipe(name)
        if isinstance(pipe, GerberaNER):
            done |= calibrate_heads(nlp, name, pipe, corpus, owners)
        elif isinstance(pipe, NestedSpancat):
            done |= tune_spans(nlp, name, pipe, corpus, beta)
    if not done:
        raise BionerError(Errors.B613.format(tasks=list(files), names=names))
    update_config(nlp)
    nlp.to_disk(model)


def calibrate_heads(
    nlp: Language, name: str, ner: GerberaNER, corpus, owners: bool
) -> bool:
    """Fit a `gerbera_ner`. RETURNS (bool): Whether any corpus is one of its heads' and
    annotated."""
    from spacy_bioner.training.calibration import (
        choose_owners,
        fit_temperatures,
        score_heads_of,
    )

    if not ner.heads.keys() & corpus.sources.keys():
        return False
    annotated = (e for e in corpus(nlp) if e.reference.has_annotation("ENT_IOB"))
    scored = list(score_heads_of(nlp, name, annotated))
    if not scored:
        return False
    ner.cfg["temperatures"] |= fit_temperatures(ner, scored)
    typer.echo(f"{name}: temperatures {ner.cfg['temperatures']}")
    if owners:
        ner.cfg["owners"] = choose_owners(ner, scored)
        typer.echo(f"{name}: owners {ner.cfg['owners']}")
    return True


def tune_spans(
    nlp: Language, name: str, spancat: NestedSpancat, corpus, beta: float
) -> bool:
    """Fit a `nested_spancat`. RETURNS (bool): Whether any document is annotated for
    it."""
    from spacy_bioner.training.thresholds import tune

    if not any(spancat.learns_from(example) for example in corpus(nlp)):
        return False
    tune(nlp, name, corpus(nlp), beta)
    typer.echo(f"{name}: temperature {spancat.cfg['temperature']}")
    typer.echo(f"{name}: thresholds {spancat.cfg['thresholds']}")
    return True
