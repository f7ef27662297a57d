"""How well `term_linker` finds the MeSH and OMIM identifiers of diseases.

    python benchmarks/linking.py KB DATA
    python benchmarks/linking.py KB DATA --split dev --no-save

KB is the folder of the Disease Ontology's files, DATA that of the converted corpora.
Gold mentions are given. The knowledge base is that archive, with the names and
identifiers of the corpus's train split before it, and without them; where scispaCy is
installed, short forms are also looked up as their long forms.

A mention is linkable if the knowledge base has one of its identifiers. A mention of
several things is right by any of them; one that the corpus gives no identifier is never
right. Recall at 1 and at 10 has no threshold; precision, recall and F have the default.
Seconds are of one processor, other work on the machine not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import spacy
from footprint import resident
from results import save_records
from spacy.tokens import Doc, DocBin

from spacy_bioner.confidence import place_of
from spacy_bioner.kb.entry import identifiers
from spacy_bioner.kb.load import load
from spacy_bioner.links import links_of

CORPORA = {"ncbi_disease": "NCBI-disease", "bc5cdr": "BC5CDR, diseases"}
LABEL, GROUP, K = "DISEASE", "mentions", 10
PREFIXES = ["MESH", "OMIM"]
WITHOUT, TRAIN, LONG = "archive", "archive and train names", "and long forms"


def archive_files(folder: Path) -> list[Path]:
    """All of the archive's terms of diseases, files with cross-references first."""
    found = [*folder.rglob("*.obo"), *folder.rglob("DOreports/*.tsv")]
    return sorted(found, key=lambda path: (path.suffix, path.name))


def make_kb(sources: list[Path], output: Path) -> Path:
    """As `bioner kb SOURCES OUTPUT --labels DOID=DISEASE --only-mapped` does."""
    kb, _ = load(sources, {"DOID": LABEL}, only_mapped=True)
    kb.to_disk(output)
    return output


def make_pipeline(kb: Path, long_forms: bool, **settings: Any) -> spacy.Language:
    """Only what linking takes: scispaCy's detector of abbreviations, and the linker."""
    nlp = spacy.blank("en")
    if long_forms:
        import scispacy.abbreviation  # noqa: F401  (registers the component)

        nlp.add_pipe("abbreviation_detector")
    linker = nlp.add_pipe("term_linker", config={"prefixes": PREFIXES, **settings})
    linker.set_kb(kb)  # type: ignore[attr-defined]
    return nlp


def read_docs(path: Path, nlp: spacy.Language) -> Iterator[tuple[Doc, list[list[str]]]]:
    """Documents whose only spans are the mentions, and the identifiers of each."""
    for gold in DocBin().from_disk(path).get_docs(nlp.vocab):
        spans = [span for span in gold.spans["gold"] if span.label_ == LABEL]
        wanted = [identifiers(span.kb_id_) for span in spans]
        for span in spans:
            span.kb_id_ = ""
        gold.set_ents([])
        gold.spans.clear()
        gold.spans[GROUP] = spans
        yield gold, wanted


def measure(kb: Path, path: Path, long_forms: bool) -> dict[str, float]:
    """Figures of one knowledge base on one split."""
    nlp = make_pipeline(kb, long_forms, ents=False, groups=[GROUP], candidates=K)
    linker: Any = nlp.get_pipe("term_linker")
    known = set(linker.index.ids)
    read = list(read_docs(path, nlp))
    for name, pipe in nlp.pipeline:
        if name != "term_linker":
            read = [(pipe(doc), wanted) for doc, wanted in read]
    start = time.process_time()
    docs = list(linker.pipe(doc for doc, _ in read))
    seconds = time.process_time() - start
    mentions = linkable = first = among = given = right = 0
    for doc, (_, gold) in zip(docs, read, strict=True):
        links = links_of(doc)
        for span, wanted in zip(doc.spans[GROUP], gold, strict=True):
            found = [candidate.id for candidate in links[place_of(span)]]
            mentions += 1
            linkable += not known.isdisjoint(wanted)
            first += bool(found) and found[0] in wanted
            among += not set(found).isdisjoint(wanted)
            given += bool(span.kb_id_)
            right += span.kb_id_ in wanted
    return {
        "mentions": mentions,
        "coverage": 100 * linkable / mentions,
        "recall_at_1": 100 * first / mentions,
        "recall_at_10": 100 * among / mentions,
        "recall_at_1_linkable": 100 * first / linkable,
        "recall_at_10_linkable": 100 * among / linkable,
        "threshold_p": 100 * right / given,
        "threshold_r": 100 * right / mentions,
        "threshold_f": 200 * right / (given + mentions),
        "mentions_per_second": mentions / seconds,
    }


def measure_load(folder: Path) -> dict[str, float]:
    """Of a saved pipeline, in a process of its own that has loaded spaCy before."""
    spacy.blank("en")
    before = resident()
    start = time.process_time()
    nlp = spacy.load(folder)
    seconds = time.process_time() - start
    nlp("Cystic fibrosis.")
    linker: Any = nlp.get_pipe("term_linker")
    size = sum(f.stat().st_size for f in (folder / "term_linker").iterdir()) / 1e6
    return {
        "names": sum(1 for _ in linker.kb.names()),
        "load_seconds": seconds,
        "megabytes_memory": resident() - before,
        "megabytes_disk": size,
    }


def run(args: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Every record."""
    archive = archive_files(args.kb)
    for corpus in CORPORA:
        data = args.data / corpus
        systems = {WITHOUT: archive, TRAIN: [data / "train.spacy", *archive]}
        for system, sources in systems.items():
            kb = make_kb(sources, folder / f"{corpus}-{len(sources)}.jsonl.gz")
            rows = {system: measure(kb, data / f"{args.split}.spacy", False)}
            if find_spec("scispacy") is not None:
                more = measure(kb, data / f"{args.split}.spacy", True)
                rows[f"{system}, {LONG}"] = more
            make_pipeline(kb, False).to_disk(folder / "saved")
            with get_context("spawn").Pool(1) as pool:
                rows[system].update(pool.apply(measure_load, (folder / "saved",)))
            for name, figures in rows.items():
                for metric, value in figures.items():
                    print(f"{corpus:14}{name:42}{metric:28}{value:12,.2f}", flush=True)
                    yield {
                        "benchmark": "linking",
                        "system": name,
                        "corpus": CORPORA[corpus],
                        "split": args.split,
                        "metric": metric,
                        "value": round(value, 2),
                        "seed": 0,
                        "command": "python benchmarks/linking.py KB DATA",
                        "note": "",
                    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kb", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="test", choices=("dev", "test"))
    parser.add_argument("--no-save", action="store_true")
    args = parser.parse_args()
    if args.split != "test" and not args.no_save:
        parser.error("only figures of test are kept: give --no-save too")
    with tempfile.TemporaryDirectory() as folder:
        records = list(run(args, Path(folder)))
    if not args.no_save:
        save_records("linking", records)


if __name__ == "__main__":
    main()
