"""Nested entities three ways on one encoder and the same data: GENIA.

    python benchmarks/nested.py ENCODER DATA

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
evaluations, so that neither interruptions nor neighbours count.

Everything is kept under --output as soon as it is known, and what is there is not done
again: stop it whenever you like, and the same command goes on. --runs does some only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from results import peak, save_records

ROOT = Path(__file__).parent.parent
OUTPUT = ROOT / "training" / "benchmark-nested"
OURS, STOCK, FLAT = "nested_spancat", "spancat", "flat heads"
EQUAL = ", equal time"
RUNS = [OURS, STOCK + EQUAL, FLAT + EQUAL, STOCK, FLAT]
TYPES = ["CELL_LINE", "CELL_TYPE", "DNA", "PROTEIN", "RNA"]
THRESHOLDS = [n / 20 for n in range(1, 20)]
KEYS = {OURS: "sc", STOCK: "sc", FLAT: "gerbera"}


# What is trained


def make_config(args, way: str, steps: int):
    """configs/nested.cfg with another component on its encoder."""
    from spacy.util import load_config

    from spacy_bioner.training.tasks import fit_schedule

    overrides = {
        "paths.data": str(args.data),
        "paths.encoder": args.encoder,
        "system.seed": args.seed,
        "training.batcher.size": args.batch,
        "components.spancat.model.max_width": args.width,
    }
    path = ROOT / "configs" / "nested.cfg"
    config = load_config(path, overrides=overrides, interpolate=False)
    config["training"]["optimizer"]["learn_rate"]["initial_rate"] = args.rate
    config["corpora"]["dev"]["limit"] = args.limit
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
    return args.output / "flat" / label / f"{split}.spacy"


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


def train(args, run: str, steps: int) -> dict[str, float]:
    """Train, or go on; thresholds on dev; figures of the best model on test."""
    import spacy

    from spacy_bioner.cli._nested import measure_nested, nested_values
    from spacy_bioner.training.loop import train as train_pipeline

    way = run.removesuffix(EQUAL)
    folder = args.output / run
    if not (folder / "model-last").exists() or (folder / "checkpoint").exists():
        train_pipeline(make_config(args, way, steps), folder)
    nlp = spacy.load(folder / "model-best")
    settle(args, nlp, way)
    nlp.to_disk(folder / "tuned")
    result = measure_nested(nlp.pipe(pairs(args, nlp), as_tuples=True), KEYS[way])
    values = nested_values(result["nested"])
    return values | {"nested_calibration_error": 100 * result["calibration"]}


def settle(args, nlp, way: str) -> None:
    """The thresholds, on dev: ours by `calibrate`, stock's one by the same aim, F."""
    from spacy_bioner.cli._figures import place_of
    from spacy_bioner.training.reader import MultiTaskCorpus
    from spacy_bioner.training.thresholds import tune

    if way == OURS:
        path = args.data / "genia" / "dev.spacy"
        tune(
            nlp, "spancat", MultiTaskCorpus({"genia": path}, {}, args.limit, 0, 0)(nlp)
        )
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
    for doc in islice(docs, args.limit or None):
        yield nlp.make_doc(doc.text), set(map(place_of, doc.spans["sc"]))


def load_for_speed(args, system: str):
    """The trained pipeline, or, where there is none yet, an untrained one that finds
    next to nothing: the work is the same but for the spans that are written."""
    import spacy
    from spacy.training.initialize import init_nlp

    if system == OURS + ", compiled":
        from spacy_bioner.pipeline.export import compile_pipeline

        return compile_pipeline(load_for_speed(args, OURS))
    if (path := args.output / system / "tuned").exists():
        nlp = spacy.load(path)
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
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))[: args.limit or None]
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


def once(args, name: str, function: Callable, *rest) -> Any:
    """What a file under --output says; if there is none, the function's answer."""
    path = args.output / "figures" / f"{name}.json"
    if not path.exists():
        print(f"{name} …", flush=True)
        value = apart(function, args, *rest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1), "utf8")
    return json.loads(path.read_text("utf8"))


def steps_of(args, run: str, paces: dict[str, dict[str, float]]) -> int:
    way = run.removesuffix(EQUAL)
    if run != way:
        second = {w: p["training_seconds_per_step"] for w, p in paces.items()}
        return max(round(args.steps * second[OURS] / second[way]), 1)
    return args.steps * (len(TYPES) if way == FLAT else 1)


def make_records(args, figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    command = f"python benchmarks/nested.py ENCODER DATA --steps {args.steps}"
    command += f" --batch {args.batch} --width {args.width} --rate {args.rate}"
    return [
        {
            "benchmark": "nested",
            "system": system,
            "corpus": "genia",
            "split": "train" if metric.startswith("training") else "test",
            "metric": metric,
            "value": round(value, 3),
            "seed": args.seed,
            "command": command,
            "note": "",
        }
        for system, values in figures.items()
        for metric, value in values.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder")
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--runs", nargs="*", choices=RUNS, default=RUNS)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=1000, help="words a step")
    parser.add_argument("--rate", type=float, default=0.0003)
    parser.add_argument("--width", type=int, default=10, help="longest span, in tokens")
    parser.add_argument("--pace-steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--limit",
        type=int,
        default=0,
        help="documents to measure on; then nothing is saved",
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    args.output.mkdir(parents=True, exist_ok=True)
    if not flat_file(args, TYPES[-1], "dev").exists():
        write_flat(args)
    figures: dict[str, dict[str, float]] = {}
    paces = {way: once(args, f"pace {way}", measure_pace, way) for way in KEYS}
    for run in args.runs:
        way, steps = run.removesuffix(EQUAL), steps_of(args, run, paces)
        figures[run] = once(args, run, train, run, steps) | paces[way]
        seconds = steps * paces[way]["training_seconds_per_step"]
        figures[run] |= {"training_steps": steps, "training_seconds": seconds}
    speeds = once(args, "speed", measure_speed)
    for system, values in speeds.items():
        figures[system] = figures.get(system, paces.get(system, {})) | values
    if not args.limit:
        save_records("nested", make_records(args, figures))
    for system, values in figures.items():
        shown = (
            f"{name} {values[name]:.2f}" for name in sorted(values) if "/l" not in name
        )
        print(f"{system}: {', '.join(shown)}")


if __name__ == "__main__":
    main()
