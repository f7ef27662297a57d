"""What `candidate_filter` makes of language models' answers, on MTSamples' test set.

    python benchmarks/filter.py DATA RUNS

DATA holds mtsamples/dev.spacy and mtsamples/candidates.spacy, the test set with the
answers of each model and prompt as a span group `MODEL/PROMPT`. RUNS is the folder of
`filter_train.py`: several ways of training the filter (arms), several seeds of each.
Every filter is tuned on dev, on simulated candidates: no answer of a language model
takes part before test.

Of every group: the answers as they are, those that the filter keeps, those that it
keeps and repairs; the tagger alone; and both, "A + B" being A and what of B touches
none of it. Exact: the same characters and type. Relaxed: any in common, and the type.
Arms are compared with `full` by a paired bootstrap over sentences of the mean F1 over
groups and seeds; "no repair" is `full` itself with its repair switched off.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from bootstrap import compare
from filter_train import FULL, TAGGER, find_runs
from results import Records, save_records
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_bioner.pipeline.candidate_filter import CandidateFilter
from spacy_bioner.training.candidates import add_candidates, create_candidate_corpus
from spacy_bioner.training.filter_scorer import Counts, Place, places
from spacy_bioner.training.filter_tuning import tune_filter

COMMAND = "python benchmarks/filter.py DATA RUNS"
GOLD, NO_REPAIR = "gold", "no repair"
Spans = list[set[Place]]  # of each sentence
Found = dict[str, Spans]  # of each group of answers


def read_test(data: Path) -> tuple[list[Doc], Found]:
    """The test sentences, and the raw answers of each group."""
    file = DocBin().from_disk(data / "mtsamples" / "candidates.spacy")
    docs = list(file.get_docs(spacy.blank("en").vocab))
    groups = [key for key in docs[0].spans if key != GOLD]
    return docs, {key: [places(doc.spans[key]) for doc in docs] for key in groups}


def find_filter(nlp: Language) -> tuple[str, CandidateFilter]:
    """The pipeline's filter and its name."""
    pipes = [x for x in nlp.pipeline if isinstance(x[1], CandidateFilter)]
    return pipes[0]  # type: ignore[return-value]


def tune(nlp: Language, data: Path) -> None:
    """Fit a filter on dev, on simulated candidates."""
    name, pipe = find_filter(nlp)
    corpus = create_candidate_corpus(
        {"mtsamples": data / "mtsamples" / "dev.spacy"}, pipe.cfg["candidates_key"]
    )
    tune_filter(nlp, name, corpus(nlp))


def encode(nlp: Language, docs: Sequence[Doc]) -> list[Doc]:
    """The test sentences as raw text, as they come to the filter."""
    name, _ = find_filter(nlp)
    before = nlp.pipe_names[: nlp.pipe_names.index(name)]
    with nlp.select_pipes(enable=before):
        return list(nlp.pipe([doc.text for doc in docs]))


def run_filter(
    nlp: Language, texts: Sequence[Doc], docs: Sequence[Doc], groups: Sequence[str]
) -> Found:
    """What the filter makes of each group of answers.

    texts (sequence): Of `encode`.
    docs (sequence): The test sentences with the answers.
    """
    _, pipe = find_filter(nlp)
    key = pipe.cfg["candidates_key"]
    found = {}
    for group in groups:
        for text, doc in zip(texts, docs, strict=True):
            doc.spans[key] = list(doc.spans[group])
            add_candidates(Example(text, doc), key, GOLD, simulate=False, seed=0)
        pipe.set_annotations(texts, pipe.predict(texts))
        found[group] = [places(text.spans[pipe.cfg["spans_key"]]) for text in texts]
    return found


def run_tagger(path: Path, docs: Sequence[Doc]) -> Spans:
    """The entities of a tagger."""
    nlp = spacy.load(path)
    return [places(doc.ents) for doc in nlp.pipe([doc.text for doc in docs])]


def united(first: Spans, second: Spans) -> Spans:
    """The first's spans, and the second's that touch none of them."""
    return [
        ours | {b for b in theirs if not any(a[0] < b[1] and b[0] < a[1] for a in ours)}
        for ours, theirs in zip(first, second, strict=True)
    ]


def score(found: Spans, gold: Spans) -> dict[str, float]:
    """Exact and relaxed precision, recall and F1, in percent."""
    counts = Counts()
    for ours, wanted in zip(found, gold, strict=True):
        counts.add(ours, wanted)
    exact = counts.exact
    values = {"p": exact.precision, "r": exact.recall, "f": exact.fscore}
    named = {f"exact_{k}": v for k, v in values.items()}
    named |= {f"relaxed_{k}": v for k, v in counts.relaxed().items()}
    return {k: round(100 * v, 2) for k, v in named.items()}


def count(found: Spans, gold: Spans) -> list[list[int]]:
    """Of each sentence the correct, spurious and missed mentions."""
    return [
        [len(ours & wanted), len(ours - wanted), len(wanted - ours)]
        for ours, wanted in zip(found, gold, strict=True)
    ]


def record(system: str, corpus: str, metric: str, value: float, **more) -> dict:
    return {
        "benchmark": "filter",
        "system": system,
        "corpus": corpus,
        "split": "test",
        "metric": metric,
        "value": round(value, 2),
        "seed": None,
        "command": COMMAND,
        "note": "",
        **more,
    }


def table(system: str, found: Found, gold: Spans, **more: Any) -> Iterator[dict]:
    """The scores of each group, and the mean over the prompts of each model."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    for group, spans in found.items():
        for metric, value in score(spans, gold).items():
            yield record(system, f"mtsamples, {group}", metric, value, **more)
            sums[group.partition("/")[0], metric].append(value)
    for (model, metric), values in sums.items():
        mean, note = float(np.mean(values)), f"mean of {len(values)} prompts"
        yield record(
            system, f"mtsamples, {model}", metric, mean, **{**more, "note": note}
        )


def ablation(arms: dict[str, list[Found]], gold: Spans) -> Iterator[dict]:
    """Exact F1 of each arm less that of `full`, with its interval, for each model."""
    for name, runs in arms.items():
        if name == FULL:
            continue
        for model in dict.fromkeys(group.partition("/")[0] for group in runs[0]):
            ours, theirs = (
                [
                    count(spans, gold)
                    for run in of
                    for group, spans in run.items()
                    if group.startswith(f"{model}/")
                ]
                for of in (runs, arms[FULL])
            )
            result = compare(ours, theirs)
            note = f"{len(runs)} and {len(arms[FULL])} seeds; 95% over sentences"
            for metric in ("difference", "low", "high"):
                yield record(
                    f"{name} - {FULL}",
                    f"mtsamples, {model}",
                    f"exact_f_{metric}",
                    getattr(result, metric),
                    note=note,
                )


def measure(args: argparse.Namespace) -> Records:
    docs, raw = read_test(args.data)
    gold = [places(doc.spans[GOLD]) for doc in docs]
    records = list(table("raw", raw, gold))
    arms: dict[str, list[Found]] = defaultdict(list)
    runs = find_runs(args.runs)
    taggers = runs.pop(TAGGER)
    if not runs[FULL]:
        raise SystemExit(f"No run of {args.runs} is done: start filter_train.py first.")
    for name, path in ((name, path) for name, paths in runs.items() for path in paths):
        nlp = spacy.load(path)
        texts = encode(nlp, docs)
        for repair in (True, False) if name == FULL else (True,):
            find_filter(nlp)[1].cfg["repair"] = repair
            tune(nlp, args.data)
            found = run_filter(nlp, texts, docs, list(raw))
            arm = name if repair else NO_REPAIR
            seed = int(path.parent.name.rpartition("-")[2])
            arms[arm].append(found)
            kind = "filtered, repaired" if repair else "filtered"
            system = kind if name == FULL else f"{kind}, {name}"
            records += table(system, found, gold, seed=seed)
    for path in taggers[:1]:
        tagged = run_tagger(path, docs)
        tables = {"tagger": dict.fromkeys(raw, tagged)}
        for system, found in ("raw", raw), ("filtered, repaired", arms[FULL][0]):
            for group, spans in found.items():
                first, second = f"tagger + {system}", f"{system} + tagger"
                tables.setdefault(first, {})[group] = united(tagged, spans)
                tables.setdefault(second, {})[group] = united(spans, tagged)
        for system, found in tables.items():
            records += table(system, found, gold, seed=0)
    return records + list(ablation(arms, gold))


def show(records: Records) -> None:
    """The means over prompts, and the comparisons."""
    for r in records:
        if "/" not in r["corpus"] and r["metric"].startswith(("exact_f", "relaxed_f")):
            seed = "" if r["seed"] is None else f" (seed {r['seed']})"
            name = f"{r['corpus']}: {r['system']}{seed}"
            print(f"{name:60} {r['metric']:20} {r['value']:6.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--note", default="", help="how the arms were trained")
    parser.add_argument("--name", default="filter", help="of the file of results")
    args = parser.parse_args()
    records = measure(args)
    for row in records:
        if row["system"] != "raw":
            row["note"] = "; ".join(filter(None, (row["note"], args.note)))
    show(records)
    save_records(args.name, records)


if __name__ == "__main__":
    main()
