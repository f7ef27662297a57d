"""`pretrain ENCODER OUT TEXTS…`: an encoder reads on in the user's own field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spacy_bioner.cli._util import friendly_errors

Arg, Opt = typer.Argument, typer.Option


@friendly_errors
def pretrain_cli(
    encoder: Annotated[str, Arg(metavar="ENCODER", help="Name or folder of a BERT")],
    output: Annotated[Path, Arg(metavar="OUT", help="Folder of the new encoder")],
    paths: Annotated[
        list[Path], Arg(metavar="TEXTS", help=".txt, one text a line, or .spacy files")
    ],
    minutes: Annotated[float, Opt(help="Length of the run")] = 30.0,
    learn_rate: Annotated[float, Opt(help="The highest learning rate")] = 3e-4,
    window: Annotated[int, Opt(help="Word pieces the encoder sees at once")] = 128,
    seed: Annotated[int, Opt(help="Of masks and order")] = 0,
):
    """Continue the masked-language training of an encoder on raw texts.

    Test sets must not be among them, nor their raw texts.
    """
    from spacy_bioner.training.masked_lm import pretrain
    from spacy_bioner.training.texts import read_texts

    pretrain(
        list(read_texts(paths)),
        encoder,
        output,
        minutes=minutes,
        learn_rate=learn_rate,
        window=window,
        seed=seed,
    )
