"""Memory, load time and installed size of a compiled pipeline, where it is at home.

    python benchmarks/footprint.py PACKAGE DATA

PACKAGE, such as packages/en_bioner_gerbera, is installed with pip, with all it needs
and nothing else, in a fresh virtual environment. Its megabytes on disk; in there, in a
process of its own each: seconds from nothing to the first entity; peak memory of a
stream of 20,000 texts, watched at every thousand, and of one text of 5 MB.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
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


@contextmanager
def home(package: Path) -> Iterator[tuple[str, float]]:
    """A fresh environment with the package in it.

    YIELDS (tuple): Its python, and the megabytes that it takes without pip, setuptools
        and wheel, which every one has.
    """
    lock = ROOT / "requirements/lock-runtime.txt"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.check_call([sys.executable, "-m", "venv", folder])
        python = f"{folder}/bin/python"
        pip = [python, "-m", "pip", "install", "--quiet"]
        empty = _megabytes(Path(folder))
        subprocess.check_call([*pip, "--constraint", lock, ROOT, package])
        yield python, _megabytes(Path(folder)) - empty


def start(python: str, model: str) -> dict[str, float]:
    """A fresh interpreter's way to its first entity, best of three."""
    code = (
        "import time; start = time.perf_counter(); import spacy; "
        "imported = time.perf_counter(); "
        f"nlp = spacy.load({model!r}); loaded = time.perf_counter(); "
        "nlp('Cystic fibrosis.'); "
        "print(imported - start, loaded - imported, time.perf_counter() - loaded)"
    )
    command = [python, "-W", "ignore", "-c", code]
    runs = [subprocess.check_output(command, text=True).split() for _ in range(3)]
    best = min(([float(x) for x in run] for run in runs), key=sum)
    parts = ("import spacy", "spacy.load", "first text")
    return {f"seconds, {part}": s for part, s in zip(parts, best, strict=True)}


def _megabytes(folder: Path) -> float:
    files = [f for f in folder.rglob("*") if f.is_file() and not f.is_symlink()]
    return sum(f.stat().st_size for f in files) / 1e6


MEASURES = {"stream": stream, "long text": long_text}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--measure", choices=MEASURES, help="here, and print as JSON")
    args = parser.parse_args()
    model = args.package.resolve().name
    if args.measure:
        figures = MEASURES[args.measure](model, read_sentences(args.data))
        print(json.dumps(figures))
        return
    with home(args.package.resolve()) as (python, size):
        figures = {"megabytes installed": size, **start(python, model)}
        for name in MEASURES:
            command = [python, __file__, args.package, args.data, "--measure", name]
            out = subprocess.check_output([str(part) for part in command], text=True)
            figures.update(json.loads(out))
    for name, value in figures.items():
        print(f"{name:45} {value:12,.2f}")
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
                "command": "python benchmarks/footprint.py PACKAGE DATA",
                "note": "",
            }
            for metric, value in figures.items()
        ],
    )


if __name__ == "__main__":
    main()
