"""`unpack FOLDER OUT`: corpora from a local folder of archives."""

from __future__ import annotations

import lzma
import shutil
import tarfile
from pathlib import Path
from typing import Annotated

import typer
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors
from spacy_bioner.errors import BionerError, Errors

Arg = typer.Argument


@friendly_errors
def unpack_cli(
    archives: Annotated[Path, Arg(help="Folder of .tar.xz, .tar.gz and .txt.xz")],
    output: Annotated[Path, Arg(metavar="OUT", help="Where the corpora go")],
):
    """Unpack every archive of a folder: for machines without a network."""
    found = sorted(
        p for p in archives.glob("*.*z") if p.suffix in (".xz", ".gz", ".tgz")
    )
    if not found:
        raise BionerError(Errors.B609.format(path=archives))
    output.mkdir(parents=True, exist_ok=True)
    for path in found:
        if ".tar" in path.suffixes or path.suffix == ".tgz":
            with tarfile.open(path) as archive:
                archive.extractall(output, filter="data")
        elif path.suffix == ".xz":
            with lzma.open(path) as source, (output / path.stem).open("wb") as target:
                shutil.copyfileobj(source, target)
        msg.good(path.name)
