"""`llm-data`, `llm-train`, `llm-generate`: a language model of one's own that tags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.cli._util import parse_config_overrides, show_validation_error
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, Span
from spacy.util import load_config
from wasabi import msg

from spacy_bioner.cli._util import friendly_errors
from spacy_bioner.corpora.convert import attrs_of, write
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.llm.cache import PromptCache
from spacy_bioner.llm.data import (
    Counts,
    Source,
    blank,
    make_rows,
    mix,
    read_docs,
    read_sources,
)

Arg, Opt = typer.Argument, typer.Option
THREADS = "Of the CPU; 0: as torch decides. A tiny model is fastest with 1"


@friendly_errors
def llm_data_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, Arg(metavar="CONFIG", help="Sources and their tasks", exists=True)
    ],
    output: Annotated[Path, Arg(metavar="OUT", help="The .jsonl file to write")],
):
    """Write a corpus as chats for `llm-train`: prompts of a task, and their answers.

    Overrides such as --data.sources.mine.weight 2 as in `spacy train`.
    """
    config, sources = read_config(config_path, ctx)
    drop_types = share(config, "drop_types", 0.0)
    empty = share(config, "empty", 1.0)
    seed = int(config["data"].get("seed", 0))
    made = {
        name: make_rows(source, drop_types=drop_types, empty=empty, seed=seed)
        for name, source in sources.items()
    }
    rows = mix([rows for rows, _ in made.values()], seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(output, rows)
    print_counts({name: counts for name, (_, counts) in made.items()})
    msg.good(f"{len(rows)} chats in {output}")


def read_config(
    path: Path, ctx: typer.Context
) -> tuple[dict[str, Any], dict[str, Source]]:
    """A config with the overrides of the command line, and its sources."""
    overrides = parse_config_overrides(ctx.args)
    with show_validation_error(path, hint_fill=False):
        config = load_config(path, overrides=overrides, interpolate=True)
        return config, read_sources(config, path)


def share(config: dict[str, Any], name: str, default: float) -> float:
    """A setting of [data] between 0 and 1."""
    value = config["data"].get(name, default)
    if not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise BionerError(Errors.B709.format(name=name, value=value, expected="0 to 1"))
    return float(value)


def print_counts(counts: dict[str, Counts]) -> None:
    columns = ("documents", "not annotated", "chats", "without mention", "mentions")
    table = [
        (name, c.documents, c.skipped, c.rows, c.nothing, c.written, c.lost)
        for name, c in counts.items()
    ]
    header = ("source", *columns, "lost")
    msg.table(table, header=header, divider=True, aligns=("l", *"rrrrrr"))


@friendly_errors
def llm_train_cli(
    base: Annotated[str, Arg(metavar="BASE", help="Folder or name of a causal model")],
    train: Annotated[Path, Arg(metavar="CHATS", help="What `llm-data` wrote")],
    output: Annotated[Path, Arg(metavar="OUT", help="Folder of the new model")],
    dev: Annotated[Path | None, Opt(help="Chats that choose the best model")] = None,
    rank: Annotated[int, Opt(min=0, help="Of the adapters; 0: learn all weights")] = 16,
    alpha: Annotated[int, Opt(help="Adapters count for alpha / rank")] = 32,
    dropout: Annotated[float, Opt(help="Before the adapters")] = 0.05,
    four_bit: Annotated[bool, Opt("--4bit", help="Hold BASE in 4 bits")] = False,
    epochs: Annotated[float, Opt(help="How often each chat is seen")] = 2.0,
    batch: Annotated[int, Opt(min=1, help="Chats a step")] = 16,
    at_once: Annotated[int, Opt(min=1, help="Chats in memory at a time")] = 4,
    learn_rate: Annotated[float, Opt(help="The highest learning rate")] = 1e-4,
    max_tokens: Annotated[int, Opt(min=1, help="Longer chats are left out")] = 2048,
    recompute: Annotated[
        bool, Opt("--recompute", help="Slower, in far less memory")
    ] = False,
    device: Annotated[str, Opt(help="auto, cpu, cuda:0, …")] = "auto",
    dtype: Annotated[str, Opt(help="bfloat16 or float32")] = "bfloat16",
    save_every: Annotated[int, Opt(min=1, help="Steps between checkpoints")] = 200,
    threads: Annotated[int, Opt(min=0, help=THREADS)] = 0,
    seed: Annotated[int, Opt(help="Of adapters, order and dropout")] = 0,
    restart: Annotated[bool, Opt("--restart", help="Ignore a checkpoint")] = False,
):
    """Fine-tune a language model on chats, the loss on the answers only.

    The same command goes on where an earlier run stopped.
    """
    from spacy_bioner.llm.finetune import Settings, finetune

    use_threads(threads)
    settings = Settings(
        base=base,
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        four_bit=four_bit,
        epochs=epochs,
        batch=batch,
        at_once=at_once,
        learn_rate=learn_rate,
        max_tokens=max_tokens,
        recompute=recompute,
        device=device,
        dtype=dtype,
        save_every=save_every,
        seed=seed,
    )
    model = finetune(
        settings, train, output, dev=dev, resume=not restart, log=typer.echo
    )
    msg.good(f"Model in {model}")


@friendly_errors
def llm_generate_cli(
    ctx: typer.Context,
    config_path: Annotated[
        Path, Arg(metavar="CONFIG", help="Sources and their tasks", exists=True)
    ],
    model: Annotated[str, Arg(metavar="MODEL", help="Folder or name of a model")],
    path: Annotated[Path, Arg(metavar="IN", help="The .spacy file to read")],
    output: Annotated[Path, Arg(metavar="OUT", help="The .spacy file to write")],
    source_name: Annotated[
        str, Opt("--source", help="Whose task; needed if there are several")
    ] = "",
    max_new_tokens: Annotated[int, Opt(min=1, help="The longest answer")] = 1024,
    batch_size: Annotated[int, Opt(min=1, help="Prompts at a time")] = 8,
    keep_cut: Annotated[
        bool, Opt("--keep-cut", help="Take answers that do not end as they are")
    ] = False,
    device: Annotated[str, Opt(help="auto, cpu, cuda:0, …")] = "auto",
    dtype: Annotated[str, Opt(help="bfloat16 or float32")] = "bfloat16",
    four_bit: Annotated[bool, Opt("--4bit", help="Hold MODEL in 4 bits")] = False,
    threads: Annotated[int, Opt(min=0, help=THREADS)] = 0,
    pipeline: Annotated[
        Path | None, Opt(help="Also save the pipeline, for spacy.load")
    ] = None,
    at_least: Annotated[
        float, Opt(help="Fail if F1 against the documents' own mentions is less")
    ] = 0.0,
):
    """Write documents with the model's mentions in the task's span group.

    The documents keep what they have; where that is mentions, the model's are measured
    against them, by exact place and type. Until OUT is written the answers are kept
    beside it, in OUT.answers.jsonl: the same command goes on where it stopped.
    """
    _, sources = read_config(config_path, ctx)
    source = choose(sources, source_name, config_path)
    if source.spans_key == source.task.spans_key:
        text = Errors.B723.format(name=source.name, key=source.spans_key)
        raise BionerError(text)
    use_threads(threads)
    nlp = make_pipeline(
        source,
        name=model,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        keep_cut=keep_cut,
        device=device,
        dtype=dtype,
        four_bit=four_bit,
    )
    answers = output.with_name(f"{output.name}.answers.jsonl")
    llm: Any = nlp.get_pipe("llm")
    llm._model.cache = PromptCache(answers)  # of this run: it is not in the config
    docs = list(nlp.pipe(read_docs(path, blank(source.lang))))
    write(docs, output, attrs_of(docs))
    answers.unlink(missing_ok=True)
    if pipeline:
        nlp.to_disk(pipeline)
    print_report(docs, source.task.spans_key)
    score = measure(docs, source)
    if score:
        p, r, f = score.precision, score.recall, score.fscore
        typer.echo(f"precision {p:.4f}  recall {r:.4f}  F1 {f:.4f}")
    msg.good(f"{len(docs)} documents in {output}")
    if at_least and (not score or score.fscore < at_least):
        found = score.fscore if score else 0.0
        raise BionerError(Errors.B721.format(score=found, wanted=at_least))


def use_threads(count: int) -> None:
    """How many threads torch computes with from now on; 0 leaves it as it is."""
    if count:
        import torch

        torch.set_num_threads(count)


def choose(sources: dict[str, Source], name: str, path: Path) -> Source:
    """The source of that name, or the only one."""
    if not name and len(sources) == 1:
        return next(iter(sources.values()))
    if name not in sources:
        known = ", ".join(sources)
        raise BionerError(Errors.B711.format(name=name, path=path, known=known))
    return sources[name]


def make_pipeline(source: Source, **settings) -> Language:
    """A pipeline that asks a local model the questions of a source's task."""
    nlp = blank(source.lang)
    model = {"@llm_models": "spacy-bioner.LocalCausal.v1", **settings}
    nlp.add_pipe("llm", config={"task": source.task_config, "model": model})
    return nlp


def print_report(docs: Iterable[Doc], key: str) -> None:
    """What the answers were like, added up; see `Report`."""
    counts: Counter[str] = Counter()
    for doc in docs:
        for name, value in doc.spans[key].attrs["report"].items():
            parts = value if isinstance(value, dict) else {"": value}
            counts.update({f"{name} {k}".strip(): n for k, n in parts.items()})
        counts["mentions"] += len(doc.spans[key])
    msg.table(sorted(counts.items()), header=("answers", "count"), divider=True)


def measure(docs: Iterable[Doc], source: Source) -> PRFScore | None:
    """Against the mentions of documents that have annotation; None if none has any."""
    score, key = PRFScore(), source.task.spans_key
    for doc in filter(source.is_annotated, docs):
        score.score_set(places(doc.spans[key]), places(source.gold(doc)))
    return score if score.tp + score.fn else None


def places(spans: Iterable[Span]) -> set[tuple[int, int, str]]:
    return {(span.start, span.end, span.label_) for span in spans}
