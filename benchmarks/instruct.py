"""`instruct_ner`: what dense recognition brings, on what it saw and on what it did not.

    python benchmarks/instruct.py            # the whole queue
    python benchmarks/instruct.py --list     # what is done, what is not
    python benchmarks/instruct.py --arms mixed gerbera --seeds 0 --minutes 60
    python benchmarks/instruct.py --model training/instruct/model-best

Every arm trains on the same drawn sentences of each corpus, from the same encoder, for
as many epochs; the checkpoint is chosen on drawn sentences of the dev sets, and all
sentences of the test sets are read once, scored by exact characters and type against
all gold mentions. `gerbera` is the universal `gerbera_ner`, each corpus by its own
head. The `unseen` arms train on no corpus of species and not on NCBI-disease, and are
tested on those alone: a type, and a corpus, that training did not see. Dense
recognition reads the names of terminologies (`--terms`) and of the drawn sentences that
are trained on; what is held out is not in them.

The runs go `--jobs` at a time and share the cores. What a finished one found is kept
at once, so the same command goes on where an earlier one stopped, also within a run.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import spacy
from bootstrap import RESAMPLES, compare, prf
from gerbera import ENCODER, ROOT, read_sentences
from results import RESULTS, save_records, write_whole
from runs import alone, work_off
from runs import train as run_training
from spacy.language import Language
from spacy.util import load_config, registry
from thinc.api import Config

from spacy_bioner.cli.evaluate import find_tagger, list_gold
from spacy_bioner.corpora.convert import write
from spacy_bioner.instruction import set_types
from spacy_bioner.kb.load import load
from spacy_bioner.pipeline.instruct_ner import InstructNER
from spacy_bioner.task import set_task
from spacy_bioner.tokenizer import make_tokenizer
from spacy_bioner.training.tasks import choose_tasks, fit_schedule

NAME = "instruct"
COMMAND = "python benchmarks/instruct.py"
TYPES = {
    "ncbi_disease": ["DISEASE"],
    "bc5cdr": ["CHEMICAL", "DISEASE"],
    "bc2gm": ["GENE"],
    "jnlpba": ["CELL_LINE", "CELL_TYPE", "DNA", "PROTEIN", "RNA"],
    "linnaeus": ["SPECIES"],
    "species800": ["SPECIES"],
}
# All arms take 2.5 core-hours a seed with these; JNLPBA has as many types as they.
CORPORA = ["ncbi_disease", "bc5cdr", "bc2gm", "species800"]
TERMS = (
    ROOT / "assets" / "kb-disease-ontology" / "DOreports" / "HumanDO.tsv",
    ROOT / "assets" / "kb-cell-ontology" / "src" / "ontology" / "cl-edit.owl",
)
LABELS = {"DOID": "DISEASE", "CL": "CELL_TYPE"}  # of the terminologies' identifiers
UNSEEN = ("linnaeus", "species800", "ncbi_disease")


@dataclass(frozen=True)
class Arm:
    """How to train, and on what not; held-out corpora alone are tested then."""

    title: str
    dense: bool = False
    without: tuple[str, ...] = ()
    base: str = ""  # the arm to compare with
    config: str = "instruct.cfg"


ARMS = {
    "gerbera": Arm("gerbera_ner", config="gerbera_multitask.cfg"),
    "mixed": Arm("instruct_ner", base="gerbera"),
    "dense": Arm("instruct_ner, dense", dense=True, base="mixed"),
    "mixed_unseen": Arm("instruct_ner, unseen", without=UNSEEN),
    "dense_unseen": Arm("instruct_ner, dense, unseen", True, UNSEEN, "mixed_unseen"),
}
# Set before the first run and tuned on nothing.
RATE, WORDS, DROPOUT = 2e-4, 1000, 0.1
DEV_SENTENCES = 200


@dataclass(frozen=True)
class Run:
    """One training."""

    arm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.arm}-{self.seed}"


@dataclass(frozen=True)
class Size:
    """How much of which corpora is read, and how often."""

    corpora: list[str]
    sentences: int
    epochs: int

    @property
    def note(self) -> str:
        return f"{self.sentences} sentences a corpus, {self.epochs} epochs"

    @property
    def command(self) -> str:
        """What computes the records anew."""
        return (
            f"{COMMAND} --corpora {' '.join(self.corpora)}"
            f" --sentences {self.sentences} --epochs {self.epochs}"
        )


@dataclass(frozen=True)
class Result:
    """What a run found.

    dev_f: The mean F1 of the corpora on dev, of the checkpoint that dev chose.
    minutes: Processor time of its training; None if it was interrupted.
    test_seconds: A clock's, for annotating all test sets.
    counts: By corpus, for each sentence: mentions that are correct, spurious, missed.
    """

    run: Run
    dev_f: float
    minutes: float | None
    test_seconds: float
    counts: dict[str, list[list[int]]]


def draw(data: Path, work: Path, size: Size) -> Path:
    """The sentences that every run reads; of test sets all.

    RETURNS (Path): They are in FOLDER/TASK/SPLIT.spacy.
    """
    folder = work / f"corpus_{size.sentences}"
    limits = {"train": size.sentences, "dev": DEV_SENTENCES, "test": None}
    for task in size.corpora:
        for split, limit in limits.items():
            output = folder / task / f"{split}.spacy"
            if not output.exists():
                sentences = list(read_sentences(data / task / f"{split}.spacy"))
                random.Random(f"draw:{task}").shuffle(sentences)
                write(sentences[:limit], output)
    return folder


def make_names(tasks: list[str], corpora: Path, terms: list[Path], out: Path) -> None:
    """The knowledge base for some training corpora."""
    sources = [*terms, *(corpora / task / "train.spacy" for task in tasks)]
    kb, _ = load(sources, LABELS, only_mapped=False)
    kb.to_disk(out)


def make_config(run: Run, size: Size, data: Path, names: Path, encoder: str) -> Config:
    """A run's whole training, but for its length.

    data, names (Path): The drawn corpora, and the knowledge base of a dense arm.
    """
    arm = ARMS[run.arm]
    tasks = [task for task in size.corpora if task not in arm.without]
    config = load_config(ROOT / "configs" / arm.config)
    config["paths"].update(data=str(data), encoder=encoder)
    config["system"]["seed"] = run.seed
    config["training"]["batcher"]["size"] = WORDS
    config["training"]["dropout"] = DROPOUT
    config["training"]["optimizer"]["learn_rate"]["initial_rate"] = RATE
    config["corpora"]["dev"]["limit"] = 0
    if arm.config == "instruct.cfg":
        for split in ("train", "dev"):
            corpus = config["corpora"][split]
            corpus["weights"] = {}
            corpus["types"] = {task: TYPES[task] for task in tasks}
            corpus["sources"] = {
                task: f"${{paths.data}}/{task}/{split}.spacy" for task in tasks
            }
        labels = {label for task in tasks for label in TYPES[task]}
        config["initialize"]["components"]["instruct"]["labels"] = sorted(labels)
        if arm.dense:
            config["paths"]["kb"] = str(names)
        return config
    config["components"]["ner"]["consistent"] = False  # as `instruct_ner` decodes
    return choose_tasks(config, tasks, [])


def count_steps(config: Config, epochs: int) -> int:
    """How many batches so many epochs are."""
    nlp = spacy.blank("en")
    nlp.tokenizer = make_tokenizer(nlp.vocab)
    final = config.interpolate()
    corpus = registry.resolve({"corpus": final["corpora"]["train"]})["corpus"]
    batcher = registry.resolve({"batcher": final["training"]["batcher"]})["batcher"]
    examples = list(corpus(nlp))
    random.Random(0).shuffle(examples)
    return epochs * sum(1 for _ in batcher(examples))


def train(run: Run, size: Size, data: Path, args: argparse.Namespace) -> float | None:
    """Write the run's config and train; what was interrupted goes on.

    RETURNS (float): Minutes of processor time; None if it was interrupted.
    """
    folder = args.work / str(run)
    path, names, arm = folder / "config.cfg", folder / "names.jsonl", ARMS[run.arm]
    if not path.exists():
        tasks = [task for task in size.corpora if task not in arm.without]
        if arm.dense:
            make_names(tasks, data, args.terms, names)
        config = make_config(run, size, data, names, args.encoder)
        config = fit_schedule(config, count_steps(config, size.epochs))
        folder.mkdir(parents=True, exist_ok=True)
        config.to_disk(path)
    begun = (folder / "checkpoint").exists()
    minutes = run_training([path, folder, "--gpu-id", args.gpu_id], args.jobs)
    return None if begun else round(minutes, 1)


def annotate(nlp: Language, path: Path, task: str, known: bool) -> Iterator[tuple]:
    """What was found in each document of a test set, and its gold.

    known (bool): Whether training saw the corpus; its name is in the instruction then.
    """
    pairs = list(list_gold(nlp, path, None))
    pipes = [p for _, p in nlp.pipeline if isinstance(p, InstructNER)]
    for doc, _ in pairs if pipes else ():
        set_types(doc, TYPES[task])
        set_task(doc, task if known else None)
    key = (pipes[0] if pipes else find_tagger(nlp, str(path))).cfg["spans_key"]
    for doc, gold in nlp.pipe(pairs, as_tuples=True, batch_size=32):
        group = doc.spans[key]
        heads = group.attrs.get("heads", [task] * len(group))
        yield {_place(s) for s, h in zip(group, heads, strict=True) if h == task}, gold


def count(nlp: Language, data: Path, task: str, known: bool) -> list[list[int]]:
    """Correct, spurious and missed mentions in each text of a test set."""
    return [
        [len(found & gold), len(found - gold), len(gold - found)]
        for found, gold in annotate(nlp, data / task / "test.spacy", task, known)
    ]


def test_model(model: str, data: Path, corpora: list[str]) -> Iterator[dict[str, Any]]:
    """Records of a pipeline that `spacy project run instruct` trained."""
    nlp = spacy.load(model)
    for corpus in corpora:
        scores = prf(count(nlp, data, corpus, known=True))
        print(f"{corpus:14} P {scores[0]:.2f}  R {scores[1]:.2f}  F {scores[2]:.2f}")
        for metric, value in zip("prf", scores, strict=True):
            row = record("dense", corpus, f"test_{metric}", value, 0, "full corpora")
            yield {**row, "command": f"{COMMAND} --model MODEL"}


def _place(span) -> tuple[int, int, str]:
    return span.start_char, span.end_char, span.label_


def execute(run: Run, size: Size, data: Path, args: argparse.Namespace) -> Result:
    """A run from its sentences to its counts; its models are deleted."""
    arm = ARMS[run.arm]
    minutes = train(run, size, data, args)
    nlp = spacy.load(args.work / str(run) / "model-best")
    tested = [t for t in size.corpora if t in arm.without] or size.corpora
    start = time.monotonic()
    counts = {t: count(nlp, data, t, t not in arm.without) for t in tested}
    seconds = time.monotonic() - start
    scores = nlp.meta["performance"]
    dev_f = 100 * (scores.get("instruct_f") or scores.get("heads_f") or 0.0)
    shutil.rmtree(args.work / str(run))
    return Result(run, round(dev_f, 2), minutes, round(seconds, 1), counts)


def load_results(path: Path, size: Size) -> list[Result]:
    """What finished runs found. Ends the program if they read other data."""
    if not path.exists():
        return []
    saved = json.loads(path.read_text("utf8"))
    if saved["size"] != asdict(size):
        sys.exit(f"{path} is of {Size(**saved['size']).command}: name another --output")
    return [Result(Run(**row.pop("run")), **row) for row in saved["results"]]


def save_results(path: Path, size: Size, results: list[Result]) -> None:
    """The counts of each run, one a line."""
    lines = ",\n".join(json.dumps(asdict(result)) for result in results)
    head = f'{{"size": {json.dumps(asdict(size))}, "results": [\n'
    write_whole(path, f"{head}{lines}\n]}}\n")


def make_records(results: list[Result], note: str) -> Iterator[dict[str, Any]]:
    """Flat records: each run, each arm over its seeds, each arm against its base."""
    found: dict[tuple[str, str], dict[int, Any]] = defaultdict(dict)
    first = min((result.run.seed for result in results), default=0)
    for result in results:
        arm, seed = result.run.arm, result.run.seed
        yield record(arm, "all", "dev_f", result.dev_f, seed, note)
        if seed == first:  # others may be another machine's
            costs = f"seed {seed}; {note}"
            if result.minutes is not None:
                name = "training, CPU minutes"
                yield record(arm, "all", name, result.minutes, None, costs)
            yield record(arm, "all", "test, seconds", result.test_seconds, None, costs)
        for corpus, counts in result.counts.items():
            found[arm, corpus][seed] = counts
            for metric, value in zip("prf", prf(counts), strict=True):
                yield record(arm, corpus, f"test_{metric}", value, seed, note)
    for (arm, corpus), seeds in found.items():
        scores = [prf(counts)[2] for counts in seeds.values()]
        many = f"{len(scores)} seeds; {note}"
        yield record(arm, corpus, "mean_f", statistics.fmean(scores), None, many)
        if len(scores) > 1:
            spread = statistics.stdev(scores)
            yield record(arm, corpus, "deviation_f", spread, None, many)
        base = found.get((ARMS[arm].base, corpus), {})
        if common := sorted(base.keys() & seeds.keys()):
            gain = compare([seeds[s] for s in common], [base[s] for s in common])
            text = f"against {ARMS[ARMS[arm].base].title}; {len(common)} seeds"
            text += f"; paired bootstrap, {RESAMPLES} resamples; {note}"
            for metric, value in asdict(gain).items():
                yield record(arm, corpus, metric, value, None, text)


def record(arm, corpus, metric, value, seed, note) -> dict[str, Any]:
    return {
        "benchmark": NAME,
        "system": ARMS[arm].title,
        "corpus": corpus,
        "split": "dev" if metric == "dev_f" else "test",
        "metric": metric,
        "value": round(value, 3),
        "seed": seed,
        "command": COMMAND,
        "note": note,
    }


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default=str(ENCODER), help="its folder or name")
    parser.add_argument("--data", type=Path, default=ROOT / "corpus")
    parser.add_argument("--work", type=Path, default=ROOT / "training" / NAME)
    terms = [path for path in TERMS if path.exists()]
    parser.add_argument("--terms", type=Path, nargs="*", default=terms)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--corpora", nargs="+", choices=TYPES, default=CORPORA)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sentences", type=int, default=500, help="of each corpus")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--minutes", type=float, default=0, help="then begin no run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--gpu-id", type=int, default=-1)
    parser.add_argument("--list", action="store_true", help="show the queue, run none")
    parser.add_argument("--model", help="train nothing, test this pipeline")
    parser.add_argument("--output", default=NAME, help="name of the records")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.model:
        records = list(test_model(args.model, args.data, args.corpora))
        save_records(f"{args.output}_full", records)
        return
    size = Size(args.corpora, args.sentences, args.epochs)
    queue = [Run(arm, seed) for seed in args.seeds for arm in args.arms]
    path = RESULTS / "runs" / f"{args.output}.json"
    results = load_results(path, size)
    done = {result.run for result in results}
    if args.list:
        print("\n".join(f"{r!s:24} {'done' if r in done else '-'}" for r in queue))
        return

    def keep(result: Result) -> None:
        results.append(result)
        save_results(path, size, results)
        records = make_records(results, size.note)
        save_records(args.output, [{**r, "command": size.command} for r in records])
        figures = {k: round(prf(v)[2], 2) for k, v in result.counts.items()}
        print(f"{result.run}: test F1 {figures}", flush=True)

    with alone(args.work):
        data = draw(args.data, args.work, size)

        def start(run: Run) -> Result:
            return execute(run, size, data, args)

        work_off(queue, done, start, keep, args.minutes, args.jobs)


if __name__ == "__main__":
    main()
