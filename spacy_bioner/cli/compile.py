"""`compile TRAINED OUT`: a trained pipeline as ONNX, without torch."""

from __future__ import annotations

import math
import shutil
import time
from itertools import chain
from pathlib import Path
from typing import Annotated

import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_config
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors, load_pipeline
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.sample import SENTENCES
from spacy_bioner.training.texts import read_texts

Arg, Opt = typer.Argument, typer.Option
MOST = 100  # texts of a sample, evenly drawn; more tell nothing new


@friendly_errors
def compile_cli(
    trained: Annotated[Path, Arg(metavar="TRAINED", help="A trained pipeline")],
    output: Annotated[Path, Arg(metavar="OUT", help="The folder to write")],
    quantize: Annotated[str, Opt(help="Weights as 'int8', or 'none': fp32")] = "int8",
    name: Annotated[str, Opt(help="Name of the compiled pipeline")] = "",
    sample: Annotated[Path | None, Opt(help="Text like yours: .txt or .spacy")] = None,
):
    """Compile encoder and entity heads into one ONNX graph that needs no torch.

    Sample text shows how large the encoder's activations get, and then both pipelines
    are compared on it: the entities they find, size and speed. Fifty abstracts do
    better than our few sentences, and more than a hundred texts are not read. An
    earlier compiled pipeline in OUT is replaced.
    """
    texts = read_sample(sample)
    check_output(output)
    source = load_pipeline(str(trained))
    from spacy_bioner.pipeline.export import compile_pipeline, full_precision

    msg.info(f"Compiling {trained}")
    compiled = compile_pipeline(source, quantize, name, texts, print_step)
    remove_components(output)
    compiled.to_disk(output)
    msg.good(f"Compiled pipeline: {output}")
    msg.info(f"Comparing both on {len(texts)} texts")
    compiled = spacy.load(output)
    with full_precision(source):
        print_agreement(list(source.pipe(texts)), list(compiled.pipe(texts)))
    rows = [
        (title, f"{megabytes(path):.1f}", f"{words_per_second(nlp, texts):,.0f}")
        for title, path, nlp in [
            ("source", trained, source),
            ("compiled", output, compiled),
        ]
    ]
    header = ("pipeline", "MB", "words/s")
    msg.table(rows, header=header, aligns=("l", "r", "r"), divider=True)


def print_step(step: str) -> None:
    msg.text(f"  {step} …")


def check_output(path: Path) -> None:
    """Only an empty place or an earlier output may be written to."""
    config = path / "config.cfg"
    if path.exists() and (
        not path.is_dir()
        or (any(path.iterdir()) and not config.exists())
        or (config.exists() and "spacy-bioner.OnnxGraph.v1" not in config.read_text())
    ):
        raise BionerError(Errors.B509.format(path=path))


def remove_components(path: Path) -> None:
    """Take an earlier pipeline's components away, which the new one may not have, and
    nothing else: other files may be the user's."""
    if (path / "config.cfg").exists():
        for name in load_config(path / "config.cfg")["components"]:
            shutil.rmtree(path / name, ignore_errors=True)


def read_sample(path: Path | None) -> list[str]:
    """At most MOST texts of a file, evenly drawn; without one our own sentences, alone
    and together."""
    if path is None:
        return [*SENTENCES, " ".join(SENTENCES)]
    try:
        texts = list(read_texts([path]))
    except UnicodeDecodeError:
        texts = []
    if not texts:
        raise BionerError(Errors.B511.format(path=path))
    return texts[:: math.ceil(len(texts) / MOST)]


def print_agreement(expected: list[Doc], found: list[Doc]) -> None:
    """How many spans both have: in `doc.ents`, and of every head."""
    for what, spans_of in [
        ("entities", lambda doc: doc.ents),
        ("spans of all heads", lambda doc: chain.from_iterable(doc.spans.values())),
    ]:
        ours, theirs = (
            {
                (i, span.start_char, span.end_char, span.label_)
                for i, doc in enumerate(docs)
                for span in spans_of(doc)
            }
            for docs in (expected, found)
        )
        f1 = 2 * len(ours & theirs) / (len(ours) + len(theirs) or 1)
        share = f"{f1:.1%}" if ours or theirs else "none found"
        counts = f"source {len(ours)}, compiled {len(theirs)}"
        msg.text(f"Agreement of {what} (F1): {share} ({counts})")


def megabytes(path: Path) -> float:
    """The size of all files below a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / 1e6


def words_per_second(nlp: Language, texts: list[str]) -> float:
    """spaCy tokens a second through `nlp.pipe`, the best of three runs."""
    speeds = []
    for _ in range(3):
        start = time.perf_counter()
        words = sum(len(doc) for doc in nlp.pipe(texts))
        speeds.append(words / (time.perf_counter() - start))
    return max(speeds)
