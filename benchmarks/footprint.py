"""Memory, load time and installed size of a compiled pipeline.

    python benchmarks/footprint.py COMPILED DATA

Peak memory of a stream of 20,000 texts, watched at every thousand, and of one text of
5 MB; seconds from nothing to the first entity; megabytes on disk of a fresh virtual
environment with all the pipeline needs (--package, installed with pip). Each in a
process of its own.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import spacy
from results import peak, save_records
from spacy.tokens import DocBin

ROOT = Path(__file__).parent.parent
TEXTS, EVERY = 20_000, 1_000
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


def read_sentences(data: Path) -> list[str]:
    vocab = spacy.blank("en").vocab
    docs = DocBin().from_disk(data / "ncbi_disease" / "test.spacy").get_docs(vocab)
    return [sent.text for doc in docs for sent in doc.sents]


def varied(sentences: list[str]) -> Iterator[str]:
    """Texts of one to three sentences without end, each with five words never seen."""
    rng = random.Random(0)
    while True:
        words = " ".join(sentences[rng.randrange(len(sentences))].split()).split(" ")
        for _ in range(rng.randrange(3)):
            words += sentences[rng.randrange(len(sentences))].split()
        for _ in range(5):
            new = "".join(rng.choices(LETTERS, k=9))
            words.insert(rng.randrange(len(words)), new)
        yield " ".join(words)


def resident() -> float:
    """Megabytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def stream(model: str, sentences: list[str]) -> dict[str, float]:
    """As a service would: a memory zone for each thousand of texts."""
    nlp, texts, figures = spacy.load(model), varied(sentences), {}
    for done in range(EVERY, TEXTS + 1, EVERY):
        with nlp.memory_zone():
            for doc in nlp.pipe(islice(texts, EVERY)):
                len(doc.ents)
        if done in (EVERY, TEXTS // 2, TEXTS):
            figures[f"megabytes after {done} texts"] = resident()
        print(f"{done:6} texts  {resident():6.0f} MB", flush=True)
    return {**figures, f"peak megabytes, {TEXTS} texts": peak()}


def long_text(model: str, sentences: list[str]) -> dict[str, float]:
    nlp, size = spacy.load(model), 5_000_000
    pieces, texts, length = [], varied(sentences), 0
    while length < size:
        pieces.append(next(texts))
        length += len(pieces[-1]) + 1
    text = " ".join(pieces)[:size]
    nlp.max_length = size
    start = time.perf_counter()
    doc = nlp(text)
    seconds = time.perf_counter() - start
    last = doc.ents[-1].end_char / len(text)
    return {
        "peak megabytes, a text of 5 MB": peak(),
        "seconds, a text of 5 MB": seconds,
        "tokens, a text of 5 MB": len(doc),
        "entities, a text of 5 MB": len(doc.ents),
        "place of the last entity, of 1": last,
    }


def installed(package: str, sentences: list[str]) -> dict[str, float]:
    """A fresh environment's size (without pip, setuptools and wheel, which every one
    has), and there a fresh interpreter's way to its first entity, best of three."""
    name = Path(package).name
    code = (
        "import time; start = time.perf_counter(); import spacy; "
        "imported = time.perf_counter(); "
        f"nlp = spacy.load({name!r}); loaded = time.perf_counter(); "
        "nlp('Cystic fibrosis.'); "
        "print(imported - start, loaded - imported, time.perf_counter() - loaded)"
    )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([sys.executable, "-m", "venv", folder])
        empty = _megabytes(Path(folder))
        lock, python = ROOT / "requirements/lock-runtime.txt", f"{folder}/bin/python"
        pip = [python, "-m", "pip", "install", "--quiet"]
        subprocess.check_call([*pip, "--constraint", lock, ROOT, ROOT / package])
        size = _megabytes(Path(folder)) - empty
        command = [python, "-W", "ignore", "-c", code]
        runs = [subprocess.check_output(command, text=True).split() for _ in range(3)]
    best = min(([float(x) for x in run] for run in runs), key=sum)
    parts = ("import spacy", "spacy.load", "first text")
    seconds = {f"seconds, {part}": s for part, s in zip(parts, best, strict=True)}
    return {"megabytes installed": size, **seconds}


def _megabytes(folder: Path) -> float:
    files = [f for f in folder.rglob("*") if f.is_file() and not f.is_symlink()]
    return sum(f.stat().st_size for f in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("compiled")
    parser.add_argument("data", type=Path)
    parser.add_argument("--package", default="packages/en_bioner_gerbera")
    args = parser.parse_args()
    sentences, figures = read_sentences(args.data), {}
    context = get_context("spawn")
    for measure in (stream, long_text, installed):
        what = args.package if measure is installed else args.compiled
        with context.Pool(1) as pool:
            found = pool.apply(measure, (what, sentences))
        for name, value in found.items():
            print(f"{name:45} {value:12,.2f}", flush=True)
        figures.update(found)
    save_records(
        "footprint",
        [
            {
                "benchmark": "footprint",
                "system": "compiled",
                "corpus": "NCBI-disease's test sentences, varied",
                "split": "test",
                "metric": metric,
                "value": round(value, 2),
                "seed": 0,
                "command": "python benchmarks/footprint.py COMPILED DATA",
                "note": "",
            }
            for metric, value in figures.items()
        ],
    )


if __name__ == "__main__":
    main()
