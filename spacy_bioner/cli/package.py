"""`package MODEL OUT`: a pipeline as a folder that `pip install` takes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.language import Language
from thinc.api import Config
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors, load_pipeline
from spacy_bioner.cli.evaluate import KINDS
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.parts import find_transformer

Arg, Opt = typer.Argument, typer.Option
# `spacy package` finds the packages of registered functions, not what those need.
OURS = ("spacy_bioner.", "spacy_transformers.")
TRANSFORMER_NEEDS = ["torch>=2.6", "transformers>=4.51,<=4.53.2"]


@friendly_errors
def package_cli(
    model: Annotated[Path, Arg(metavar="MODEL", help="Folder of a pipeline")],
    output: Annotated[Path, Arg(metavar="OUT", help="Such as packages/en_NAME")],
    meta_path: Annotated[
        Path | None, Opt("--meta", help="meta.json: description, sources, licence")
    ] = None,
    metrics: Annotated[
        Path | None, Opt(help="What `evaluate --output` saved, for the model card")
    ] = None,
    version: Annotated[str, Opt(help="Instead of that of --meta")] = "",
    half: Annotated[
        bool, Opt("--half", help="Encoder in half precision: half the size")
    ] = False,
):
    """Write an installable source package with the weights inside, so that
    `pip install OUT` and `spacy.load("en_NAME")` need no network. An earlier package
    in OUT is replaced."""
    from spacy.cli.package import package

    if output.exists() and not list(output.glob(f"{output.name}/*/config.cfg")):
        raise BionerError(Errors.B610.format(path=output))
    lang, _, name = output.name.partition("_")
    nlp = load_pipeline(str(model))
    if lang != nlp.lang or not name.isidentifier():
        raise BionerError(Errors.B611.format(path=output, lang=nlp.lang))
    meta = make_meta(nlp.meta, meta_path, metrics)
    if find_transformer(nlp):
        meta["requirements"] = [*meta.get("requirements", []), *TRANSFORMER_NEEDS]
    with tempfile.TemporaryDirectory() as folder:
        srsly.write_json(Path(folder) / "meta.json", meta)
        if half:
            halve(nlp)
        save_clean(nlp, Path(folder) / "pipeline")
        package(
            Path(folder) / "pipeline",
            Path(folder),
            meta_path=Path(folder) / "meta.json",
            name=name,
            version=version or None,
            create_sdist=False,
        )
        (made,) = Path(folder).glob(f"{output.name}-*")
        (inside,) = (made / output.name).glob(f"{output.name}-*")
        shutil.copy(made / "meta.json", inside)  # `nlp.meta` is read from there
        shutil.rmtree(output, ignore_errors=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, output)
    place = output.as_posix() if output.is_absolute() else f"./{output.as_posix()}"
    msg.good(f"Install it with: pip install {place}")


def halve(nlp: Language) -> None:
    """Put a trainable pipeline's encoder in half precision; it is single again once
    it was saved and loaded.

    Raises BionerError if the pipeline has no transformer.
    """
    name = find_transformer(nlp)
    if not name:
        raise BionerError(Errors.B612.format(components=nlp.component_names))
    encoder: Any = nlp.get_pipe(name)
    encoder.model.transformer.half()


def save_clean(nlp: Language, output: Path) -> None:
    """Write a pipeline without what it remembers of the place and the texts of its
    training: absolute paths in its config keep their last part only, and of its
    vocabulary's words the labels stay. No component of ours looks up others; where
    one of another maker may (the trees of an edit-tree lemmatizer do), all stay."""
    nlp.to_disk(output)
    if all(type(p).__module__.startswith(OURS) for _, p in nlp.components):
        labels = {label for names in nlp.pipe_labels.values() for label in names}
        srsly.write_json(output / "vocab" / "strings.json", sorted(labels))
    config = Config().from_disk(output / "config.cfg", interpolate=False)
    for name in ("paths", "components", "corpora", "initialize"):
        shorten_paths(config.get(name, {}))
    config.to_disk(output / "config.cfg")


def shorten_paths(section: dict[str, Any]) -> None:
    """Leave of absolute paths their last part."""
    for key, value in section.items():
        if isinstance(value, dict):
            shorten_paths(value)
        elif isinstance(value, str) and Path(value).is_absolute():
            section[key] = Path(value).name


def make_meta(
    own: dict[str, Any], meta_path: Path | None, metrics: Path | None
) -> dict[str, Any]:
    """The pipeline's own meta data under what a file says; measured scores, or none,
    replace those of the training, which saw dev only."""
    meta = {**own, "performance": {}}
    if meta_path:
        meta |= read_object(meta_path)
    if metrics:
        meta["performance"] = {
            f"{task}_{kind}_{figure}": result[kind][figure]
            for task, result in read_object(metrics).items()
            for kind in KINDS
            if kind in result
            for figure in "prf"
        }
    return meta


def read_object(path: Path) -> dict[str, Any]:
    """Of a JSON file."""
    try:
        found = srsly.json_loads(path.read_text("utf8"))
    except ValueError as error:
        raise BionerError(Errors.B603.format(path=path, error=error)) from None
    if not isinstance(found, dict):
        raise BionerError(Errors.B603.format(path=path, error="it is no JSON object"))
    return found
