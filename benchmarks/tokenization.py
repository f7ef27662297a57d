"""How many gold mentions begin and end at token boundaries, tokenizer by tokenizer.

    pip install --no-deps scispacy==0.6.2     # for its column; left out if missing
    python benchmarks/tokenization.py CORPORA

CORPORA is the folder of unpacked corpora, as their distributors pack them. Prints a
table and writes `benchmarks/results/tokenization.json`. Mentions with an end between
two letters or digits, which no rule on punctuation can align, are listed in
`assets/splits/mid-word-CORPUS.txt` (corpus, document, start, end; no text). With
--write-lists those files are made anew; without it a misaligned mention that they do
not list counts as missed.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import spacy
from spacy.language import Language, create_tokenizer
from spacy.tokens import Doc

from spacy_bioner.corpora import SourceDocument, get_reader
from spacy_bioner.corpora.convert import Report, drop_duplicates
from spacy_bioner.tokenizer import create_bioner_tokenizer

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "tokenization.json"
LISTS = ROOT / "assets" / "splits"
ON_DISK = {"train": "train", "dev": "devel", "test": "test"}
BC5CDR_TRAIN_DOCUMENTS = 500  # the first of the TrainDev file, the rest is dev

Tokenize = Callable[[str], Doc]
MakeTokenizer = Callable[[Language], Tokenize]
Key = tuple[str, str, int, int]  # corpus, document, start, end
Splits = Iterator[tuple[str, Iterable[SourceDocument]]]


@dataclass
class Count:
    """What one tokenizer does to one split."""

    mentions: int = 0
    misaligned: int = 0
    unlisted: int = 0  # misaligned and not in the list of mid-word gold
    documents: int = 0
    tokens: int = 0
    characters: int = 0

    def __add__(self, other: Count) -> Count:
        mine, theirs = asdict(self), asdict(other)
        return Count(**{name: mine[name] + theirs[name] for name in mine})

    def metrics(self) -> dict[str, float]:
        return {
            "mentions": self.mentions,
            "misaligned": self.misaligned,
            "aligned_percent": percent(self.mentions - self.misaligned, self.mentions),
            "aligned_or_listed_percent": percent(
                self.mentions - self.unlisted, self.mentions
            ),
            "tokens_per_1000_characters": round(
                1000 * self.tokens / self.characters, 1
            ),
            "tokens_per_document": round(self.tokens / self.documents, 1),
        }


def percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 3)


def ncbi_disease(folder: Path) -> Splits:
    for split, name in ON_DISK.items():
        yield split, get_reader("pubtator")(folder / "original-data" / name)


def bc5cdr(folder: Path) -> Splits:
    read = get_reader("pubtator")
    documents = read(folder / "pubtator_aioner" / "BC5CDR_TrainDev.PubTator")
    yield "train", islice(documents, BC5CDR_TRAIN_DOCUMENTS)
    yield "dev", documents
    yield "test", read(folder / "pubtator_aioner" / "BC5CDR_Test.PubTator")


def bc2gm(folder: Path) -> Splits:
    read = get_reader("bc2gm")
    yield "train", read(folder / "devel-split" / "train")
    yield "dev", read(folder / "devel-split" / "devel")
    yield "test", read(folder / "original-data" / "test")


def jnlpba(folder: Path) -> Splits:
    read = get_reader("brat")
    documents = list(read(folder / "standoff" / "train"))
    dev = set((LISTS / "jnlpba-dev.txt").read_text().split())
    yield "train", [document for document in documents if document.id not in dev]
    yield "dev", [document for document in documents if document.id in dev]
    yield "test", read(folder / "standoff" / "test")


def linnaeus(folder: Path) -> Splits:
    documents = get_reader("linnaeus")(folder / "original-1.0-data")
    yield from by_id(documents, lists_on_disk(folder / "spyysalo" / "split"))


def species800(folder: Path) -> Splits:
    read = get_reader("pubtator")
    files = sorted((folder / "pubtator_aioner").glob("*.PubTator"))
    documents = [document for file in files for document in read(file)]
    yield from by_id(documents, lists_on_disk(folder / "spyysalo" / "split"))


def anatem(folder: Path) -> Splits:
    for split, name in ON_DISK.items():
        yield split, get_reader("brat")(folder / "original-data" / "standoff" / name)


def genia(folder: Path) -> Splits:
    """All classes of terms, nested ones too."""
    documents = get_reader("genia")(folder / "original-data" / "GENIAcorpus_event")
    yield from by_id(documents, {s: LISTS / f"genia-{s}.txt" for s in ON_DISK})


def by_id(documents: Iterable[SourceDocument], lists: dict[str, Path]) -> Splits:
    """Group documents by the list of ids of each split."""
    by_name = {document.id: document for document in documents}
    for split, file in lists.items():
        ids = file.read_text().split()
        yield split, [by_name[id] for id in ids if id in by_name]


def lists_on_disk(folder: Path) -> dict[str, Path]:
    return {split: folder / f"{name}.txt" for split, name in ON_DISK.items()}


CORPORA: dict[str, tuple[str, Callable[[Path], Splits]]] = {
    "ncbi_disease": ("ncbi-disease", ncbi_disease),
    "bc5cdr": ("bc5cdr", bc5cdr),
    "bc2gm": ("bc2gm", bc2gm),
    "jnlpba": ("jnlpba", jnlpba),
    "linnaeus": ("linnaeus", linnaeus),
    "species800": ("species800", species800),
    "anatem": ("anatem", anatem),
    "genia": ("genia-event", genia),
}


def tokenizers() -> dict[str, MakeTokenizer]:
    """The systems to compare, by name; those of packages that are not installed are
    left out."""
    systems: dict[str, MakeTokenizer] = {"spaCy default": create_tokenizer()}
    if find_spec("scispacy"):
        from scispacy.custom_tokenizer import combined_rule_tokenizer

        systems["scispaCy 0.6.2"] = combined_rule_tokenizer
    if find_spec("medspacy"):  # with spaCy 3.8 on Python 3.12 only
        from medspacy.custom_tokenizer import create_medspacy_tokenizer

        systems["medspaCy 1.3.1"] = create_medspacy_tokenizer
    systems["spacy-bioner"] = create_bioner_tokenizer()
    return systems


def misaligned(doc: Doc, source: SourceDocument) -> Iterator[tuple[int, int]]:
    """The mentions of which an end is no token boundary."""
    starts = {token.idx for token in doc}
    ends = {token.idx + len(token) for token in doc}
    for mention in source.mentions:
        if mention.start not in starts or mention.end not in ends:
            yield mention.start, mention.end


def is_mid_word(text: str, start: int, end: int) -> bool:
    """Whether an end of the span lies between two letters or digits."""
    cuts = [at for at in (start, end) if 0 < at < len(text)]
    return any(text[at - 1 : at + 1].isalnum() for at in cuts)


def measure(
    tokenize: Tokenize,
    corpus: str,
    documents: list[SourceDocument],
    listed: set[Key],
    found: set[Key],
) -> Count:
    """Count over one split; mid-word gold that is misaligned is added to `found`."""
    count = Count(documents=len(documents))
    for source in documents:
        doc = tokenize(source.text)
        count.tokens += len(doc)
        count.characters += len(source.text)
        count.mentions += len(source.mentions)
        for start, end in misaligned(doc, source):
            key = (corpus, source.id, start, end)
            count.misaligned += 1
            count.unlisted += key not in listed
            if is_mid_word(source.text, start, end):
                found.add(key)
    return count


def read_lists() -> set[Key]:
    """The committed lists of mid-word gold."""
    listed: set[Key] = set()
    for file in sorted(LISTS.glob("mid-word-*.txt")):
        with file.open(newline="") as lines:
            for corpus, id, start, end in csv.reader(lines, delimiter="\t"):
                listed.add((corpus, id, int(start), int(end)))
    return listed


def write_lists(found: set[Key]) -> None:
    for corpus in CORPORA:
        keys = sorted(key for key in found if key[0] == corpus)
        lines = ["\t".join(map(str, key)) + "\n" for key in keys]
        if lines:
            (LISTS / f"mid-word-{corpus}.txt").write_text("".join(lines))


def records(system: str, corpus: str, split: str, count: Count) -> list[dict]:
    return [
        {
            "benchmark": "tokenization",
            "system": system,
            "corpus": corpus,
            "split": split,
            "metric": metric,
            "value": value,
            "seed": None,
            "command": "python benchmarks/tokenization.py CORPORA",
            "note": "gold mentions of the original distribution",
        }
        for metric, value in count.metrics().items()
    ]


def show(system: str, corpus: str, count: Count) -> None:
    m = count.metrics()
    print(
        f"{corpus:13}{system:15}{m['mentions']:8}{m['misaligned']:7}"
        f"{m['aligned_percent']:10.3f}{m['aligned_or_listed_percent']:10.3f}"
        f"{m['tokens_per_1000_characters']:9.1f}{m['tokens_per_document']:9.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpora", type=Path, help="folder of unpacked corpora")
    parser.add_argument("--write-lists", action="store_true")
    arguments = parser.parse_args()
    listed = set() if arguments.write_lists else read_lists()
    systems = {name: make(spacy.blank("en")) for name, make in tokenizers().items()}
    rows, found = [], {name: set() for name in systems}
    print(
        f"{'corpus':13}{'system':15}{'mentions':>8}{'missed':>7}{'aligned %':>10}"
        f"{'or listed':>10}{'tok/1000':>9}{'tok/doc':>9}"
    )
    for corpus, (folder, read) in CORPORA.items():
        splits = {
            split: list(drop_duplicates(documents, Report()))
            for split, documents in read(arguments.corpora / folder)
        }
        for system, tokenize in systems.items():
            total = Count()
            for split, documents in splits.items():
                count = measure(tokenize, corpus, documents, listed, found[system])
                rows += records(system, corpus, split, count)
                total += count
            rows += records(system, corpus, "all", total) if len(splits) > 1 else []
            show(system, corpus, total)
    if arguments.write_lists:
        write_lists(found["spacy-bioner"])
    else:
        lines = ",\n".join(json.dumps(row) for row in rows)
        RESULTS.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
