"""`encoder PIPELINE OUT`: a trained encoder, to start other trainings from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors, load_pipeline
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.parts import find_transformer

Arg = typer.Argument


@friendly_errors
def encoder_cli(
    model: Annotated[str, Arg(metavar="PIPELINE", help="A trained pipeline's name")],
    output: Annotated[Path, Arg(metavar="OUT", help="Folder of the encoder")],
):
    """Save the encoder of a trained pipeline with its tokenizer, as Hugging Face's
    libraries read it: what a config's `paths.encoder` takes.
    """
    nlp = load_pipeline(model)
    name = find_transformer(nlp)
    transformer: Any = nlp.get_pipe(name) if name else None
    if transformer is None or not transformer.model.attrs["has_transformer"]:
        raise BionerError(Errors.B615.format(model=model, names=nlp.pipe_names))
    output.mkdir(parents=True, exist_ok=True)
    transformer.model.transformer.save_pretrained(output)
    transformer.model.tokenizer.save_pretrained(output)
    msg.good(f"Encoder in {output}")
