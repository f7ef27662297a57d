"""`unpack FOLDER OUT`: corpora from a local folder of archives."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Annotated, Any

import typer
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors
from spacy_bioner.errors import BionerError, Errors

Arg = typer.Argument
# Python before 3.11.4 and 3.10.12 has no filter for what archives may write.
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
OPEN: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}


@friendly_errors
def unpack_cli(
    archives: Annotated[Path, Arg(help="Folder of .tar.xz, .tar.gz, .tgz, .xz, .gz")],
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
        try:
            unpack(path, output)
        except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, zlib.error) as e:
            if isinstance(e, OSError) and e.filename:  # what could not be written
                raise
            raise BionerError(Errors.B603.format(path=path, error=e)) from None
        msg.good(path.name)


def unpack(path: Path, output: Path) -> None:
    """An archive's files, or the one file that was compressed: all of them or none."""
    if ".tar" in path.suffixes or path.suffix == ".tgz":
        with (
            tempfile.TemporaryDirectory(prefix=".unpack-", dir=output) as folder,
            tarfile.open(path) as archive,
        ):
            archive.extractall(folder, **SAFELY)
            shutil.copytree(
                folder,
                output,
                symlinks=True,
                copy_function=os.replace,
                dirs_exist_ok=True,
            )
    else:
        partial = output / f".{path.stem}.partial"
        try:
            with OPEN[path.suffix](path) as source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
            partial.replace(output / path.stem)
        finally:
            partial.unlink(missing_ok=True)
