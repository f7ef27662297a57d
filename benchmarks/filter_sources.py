"""`candidate_filter` on candidates of a dictionary and of a model with a low threshold.

    python benchmarks/filter_sources.py candidates CORPUS=KB,MODEL ... --data DATA OUT
    python benchmarks/filter_sources.py score CORPUS=FILTER ... OUT

`candidates` writes OUT/CORPUS/dev.spacy and test.spacy, the corpus with its candidates
as span groups. *Dictionary*: the names of KB, found in any case; those of less than
four characters as they are written. *Model*: MODEL's spans with its threshold lowered,
a `nested_spancat`'s to 0.05, or the head of CORPUS of a `gerbera_ner`, the logit of O
lowered by 3. *Both*: the two united.

`score` tunes each trained FILTER on the dev candidates of every source, with and
without repair, and scores those of test: exact (same characters and type) and relaxed
(any in common, and the type), against all gold mentions. Beside them the model's spans
at its own threshold. "repaired - raw" is the difference in exact F1, with the interval
of a paired bootstrap over documents.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import spacy
from bootstrap import compare
from filter import Spans, count, encode, find_filter, run_filter, score
from results import Records, save_records
from spacy.language import Language
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.util import filter_spans

from spacy_bioner.corpora.convert import GOLD_KEY, SPANS_KEY, write
from spacy_bioner.kb.base import KnowledgeBase
from spacy_bioner.layers.decoding import decode_spans
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.pipeline.nested_spancat import NestedSpancat
from spacy_bioner.tags import OUTSIDE
from spacy_bioner.task import set_task
from spacy_bioner.training.candidates import add_candidates
from spacy_bioner.training.filter_scorer import places
from spacy_bioner.training.filter_tuning import tune_filter

COMMAND = "python benchmarks/filter_sources.py score CORPUS=FILTER ... OUT"
SOURCES = ("dictionary", "model", "both")
OWN = "model, own threshold"
SHORT = 4  # characters of a name that is looked for in any case
LEAST, LOWERED = 0.05, 3.0
BATCH = 16


def gold_key(doc: Doc) -> str:
    """The span group that holds a document's gold spans."""
    return GOLD_KEY if GOLD_KEY in doc.spans else SPANS_KEY


class Dictionary:
    """Finds the names of a knowledge base, of some labels.

    nested (bool): Whether names within longer ones are found too.
    """

    def __init__(self, nlp: Language, path: Path, labels: set[str], nested: bool):
        self.nested = nested
        self.any_case = PhraseMatcher(nlp.vocab, attr="LOWER")
        self.as_written = PhraseMatcher(nlp.vocab, attr="ORTH")
        for name, entry in KnowledgeBase.from_disk(path).names():
            if entry.label in labels:
                short = len(name) < SHORT
                matcher = self.as_written if short else self.any_case
                matcher.add(entry.label, [nlp.make_doc(name)])

    def __call__(self, doc: Doc) -> list[Span]:
        matchers = self.any_case, self.as_written
        spans = {span for find in matchers for span in find(doc, as_spans=True)}
        ordered = sorted(spans, key=lambda span: (span.start, span.end, span.label_))
        return ordered if self.nested else filter_spans(ordered)


def find_model_spans(
    nlp: Language, corpus: str, texts: Sequence[str], low: bool
) -> Iterator[list[Span]]:
    """What the pipeline's model finds in each text, at its own threshold or a low one.

    The spans of a `gerbera_ner` are those of the head named `corpus`.
    """
    ((_, pipe),) = nlp.pipeline
    for begin in range(0, len(texts), BATCH):
        docs = [nlp.make_doc(text) for text in texts[begin : begin + BATCH]]
        if isinstance(pipe, GerberaNER):
            yield from head_spans(pipe, corpus, docs, LOWERED * low)
        elif isinstance(pipe, NestedSpancat):
            if low:
                pipe.cfg["thresholds"] = dict.fromkeys(pipe.labels, LEAST)
            pipe.set_annotations(docs, pipe.predict(docs))
            yield from (list(doc.spans[pipe.key]) for doc in docs)


def head_spans(
    pipe: GerberaNER, head: str, docs: list[Doc], lowered: float
) -> Iterator[list[Span]]:
    """The best path of one head, with the logit of O lowered."""
    for doc in docs:
        set_task(doc, head)
    logits = [x[head].copy() for x in pipe.predict(docs)]
    for x in logits:
        x[:, OUTSIDE] -= lowered
    labels = pipe.heads[head]
    found = decode_spans(logits, labels, pipe.temperature(head))
    for doc, spans in zip(docs, found, strict=True):
        yield [Span(doc, start, end, label) for start, end, label, _ in spans]


def put(doc: Doc, group: str, spans: Sequence[Span]) -> None:
    """Write spans of the same text as a group; its tokens are cut at gold borders, at
    most finer than the spans' own."""
    doc.spans[group] = [
        doc.char_span(s.start_char, s.end_char, s.label_, alignment_mode="expand")
        for s in spans
    ]


def write_candidates(
    corpus: str, kb: Path, model: Path, data: Path, output: Path
) -> None:
    """Dev and test sets with the candidates of every source."""
    plain, lowered = spacy.load(model), spacy.load(model)
    for split in ("dev", "test"):
        file = DocBin().from_disk(data / corpus / f"{split}.spacy")
        docs = list(file.get_docs(plain.vocab))
        gold = [span for doc in docs for span in doc.spans[gold_key(doc)]]
        nested = gold_key(docs[0]) == SPANS_KEY
        if split == "dev":  # the types of a corpus are no secret of its test set
            find = Dictionary(plain, kb, {span.label_ for span in gold}, nested)
        texts = [doc.text for doc in docs]
        own = find_model_spans(plain, corpus, texts, low=False)
        low = find_model_spans(lowered, corpus, texts, low=True)
        for doc, at_own, at_low in zip(docs, own, low, strict=True):
            put(doc, OWN, at_own)
            put(doc, "model", at_low)
            put(doc, "dictionary", find(plain.make_doc(doc.text)))
            both = {*doc.spans["model"], *doc.spans["dictionary"]}
            doc.spans["both"] = sorted(both)
        write(docs, output / corpus / f"{split}.spacy")


def read(path: Path) -> list[Doc]:
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


def tune(nlp: Language, texts: Sequence[Doc], docs: Sequence[Doc], group: str) -> None:
    """Fit a filter on the candidates of one source.

    texts (sequence): Of `encode`: the encoder does not run again.
    """
    name, pipe = find_filter(nlp)
    key, gold = pipe.cfg["candidates_key"], pipe.cfg["gold_key"]
    states = [text._.trf_data for text in texts]

    def examples() -> Iterator[Example]:
        for text, doc in zip(texts, docs, strict=True):
            doc.spans[key] = list(doc.spans[group])
            example = Example(text, doc)
            add_candidates(example, key, gold, simulate=False, seed=0)
            yield example

    with nlp.select_pipes(enable=name):
        tune_filter(nlp, name, examples())
    for text, state in zip(texts, states, strict=True):
        text._.trf_data = state  # tuning lets go of it


def record(system: str, corpus: str, metric: str, value: float) -> dict[str, Any]:
    return {
        "benchmark": "filter_sources",
        "system": system,
        "corpus": corpus,
        "split": "test",
        "metric": metric,
        "value": round(value, 2),
        "seed": 0,
        "command": COMMAND,
        "note": "",
    }


def measure(corpus: str, path: Path, candidates: Path) -> Records:
    """Raw, filtered and repaired candidates of every source."""
    nlp = spacy.load(path)
    _, pipe = find_filter(nlp)
    dev, test = (read(candidates / corpus / f"{s}.spacy") for s in ("dev", "test"))
    gold = [places(doc.spans[pipe.cfg["gold_key"]]) for doc in test]
    records: Records = []

    def add(system: str, found: Spans) -> None:
        for metric, value in score(found, gold).items():
            records.append(record(system, corpus, metric, value))

    add(OWN, [places(doc.spans[OWN]) for doc in test])
    dev_texts, texts = encode(nlp, dev), encode(nlp, test)
    for source in SOURCES:
        raw = [places(doc.spans[source]) for doc in test]
        add(f"{source}: raw", raw)
        for repair, kind in (False, "filtered"), (True, "repaired"):
            pipe.cfg["repair"] = repair
            tune(nlp, dev_texts, dev, source)
            found = run_filter(nlp, texts, test, [source])[source]
            add(f"{source}: {kind}", found)
        gain = compare([count(found, gold)], [count(raw, gold)])
        for part in ("difference", "low", "high"):
            value = getattr(gain, part)
            system = f"{source}: repaired - raw"
            records.append(record(system, corpus, f"exact_f_{part}", value))
    return records


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("candidates", "score"))
    parser.add_argument("corpora", nargs="+", help="CORPUS=KB,MODEL or CORPUS=FILTER")
    parser.add_argument("folder", type=Path, help="of the candidates")
    parser.add_argument("--data", type=Path, default=Path("corpus"))
    parser.add_argument("--note", default="", help="how the filters were trained")
    args = parser.parse_args()
    given = dict(corpus.split("=", 1) for corpus in args.corpora)
    if args.what == "candidates":
        for corpus, paths in given.items():
            kb, model = map(Path, paths.split(",", 1))
            write_candidates(corpus, kb, model, args.data, args.folder)
        return
    records: Records = []
    for corpus, path in given.items():
        for row in measure(corpus, Path(path), args.folder):
            records.append({**row, "note": args.note})
            print(f"{corpus:14} {row['system']:32} {row['metric']:18} {row['value']}")
    save_records("filter_sources", records)


if __name__ == "__main__":
    main()
