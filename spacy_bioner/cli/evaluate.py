"""`evaluate MODEL --source NAME=FILE.spacy`: exact scores of a pipeline on corpora."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from spacy_bioner.cli._figures import (
    Figures,
    Spans,
    calibration_error,
    only,
    place_of,
)
from spacy_bioner.cli._nested import measure_nested, nested_values
from spacy_bioner.cli._util import (
    find_corpora,
    friendly_errors,
    load_pipeline,
    prepare,
)
from spacy_bioner.corpora.convert import GOLD_KEY
from spacy_bioner.docbin import read_docs
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.pipeline.nested_spancat import NestedSpancat
from spacy_bioner.task import set_task

Arg, Opt = typer.Argument, typer.Option
KINDS = ("own", "ents", "nested")
Measured = GerberaNER | NestedSpancat


@friendly_errors
def evaluate_cli(
    model: Annotated[str, Arg(metavar="MODEL", help="Package or folder of a pipeline")],
    source: Annotated[
        list[str] | None, Opt(metavar="NAME=FILE", help="A corpus and its head's name")
    ] = None,
    targets: Annotated[
        str, Opt(help="Or corpora by name: a,b; empty: the model's own")
    ] = "",
    data: Annotated[
        Path | None, Opt(help="Their folder: DATA/NAME/SPLIT.spacy")
    ] = None,
    split: Annotated[str, Opt(help="Which split of --targets")] = "test",
    output: Annotated[Path | None, Opt(help="Save all figures as JSON")] = None,
    records: Annotated[
        Path | None, Opt(help="Save flat records (benchmarks/results/)")
    ] = None,
    system: Annotated[str, Opt(help="The system's name in records")] = "",
    seed: Annotated[int | None, Opt(help="Seed of the training, in records")] = None,
    note: Annotated[str, Opt(help="A remark, in records")] = "",
    batch_size: Annotated[int, Opt(min=1, help="Documents a batch")] = 64,
):
    """Score by exact characters and type, against all gold mentions.

    Two figures a corpus: its own head, and `doc.ents`, where other heads may own a
    label; with them each head's expected calibration error. A corpus of nested
    mentions (`convert --nested`) measures the pipeline's `nested_spancat`.
    """
    for path in filter(None, (output, records)):
        prepare(path)
    nlp = load_pipeline(model)
    if not any(isinstance(pipe, Measured) for _, pipe in nlp.pipeline):
        raise BionerError(Errors.B606.format(model=model))
    files = find_corpora(nlp, source or [], targets, data, split)
    nlp.max_length = 10**9  # `convert` takes any text, and so must this
    metrics = {}
    for task, path in files.items():
        if spancat := find_spancat(nlp, path):
            metrics[task] = evaluate_nested(nlp, spancat.key, path, batch_size)
        else:
            tagger = find_tagger(nlp, model)
            metrics[task] = evaluate(nlp, tagger, task, path, batch_size)
        if not metrics[task]:
            labels = ", ".join(sorted(gold_labels(nlp, path))) or "none"
            values = {"model": model, "task": task, "labels": labels}
            raise BionerError(Errors.B619.format(**values))
    print_metrics(metrics)
    if output:
        srsly.write_json(output, metrics)
    if records:
        origin = {"system": system or nlp.meta["name"], "seed": seed, "note": note}
        write_records(records, make_records(metrics, files, origin, model))


def find_spancat(nlp: Language, path: Path) -> NestedSpancat | None:
    """The pipeline's `nested_spancat` whose span group a corpus annotates."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, NestedSpancat):
            docs = read_docs(path, nlp.vocab)
            if any(pipe.key in doc.spans for doc in docs):
                return pipe
    return None


def evaluate_nested(
    nlp: Language, key: str, path: Path, batch_size: int = 64
) -> dict[str, Any]:
    """Measure a pipeline's `doc.spans[key]` on one corpus, see `measure_nested`;
    documents without the group are not annotated and do not count."""
    references = read_docs(path, nlp.vocab)
    pairs = (
        (nlp.make_doc(reference.text), set(map(place_of, reference.spans[key])))
        for reference in references
        if key in reference.spans
    )
    return measure_nested(nlp.pipe(pairs, as_tuples=True, batch_size=batch_size), key)


def find_tagger(nlp: Language, model: str) -> GerberaNER:
    """The pipeline's first `gerbera_ner`."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, GerberaNER):
            return pipe
    raise BionerError(Errors.B606.format(model=model))


def evaluate(
    nlp: Language, tagger: GerberaNER, task: str, path: Path, batch_size: int = 64
) -> dict[str, Any]:
    """Measure a pipeline on one corpus, document by document.

    RETURNS (dict): `own`, the figures of the head named `task`, and `calibration`,
        the expected calibration error of its scores, where there is such a head;
        `ents`, those of `doc.ents` on the labels that both `doc.ents` and the corpus
        know, if any.
    """
    is_general = task in tagger.cfg["general"]
    key, head_labels = tagger.cfg["spans_key"], set(tagger.heads.get(task, ()))
    pairs = list_gold(nlp, path, task if is_general else None)
    shared = (head_labels or gold_labels(nlp, path)) & set(tagger.owners)
    own, merged = Figures(), Figures()
    scored: list[tuple[float, bool]] = []
    for doc, gold in nlp.pipe(pairs, as_tuples=True, batch_size=batch_size):
        group = doc.spans[key]
        rows = zip(group, group.attrs["heads"], group.attrs["scores"], strict=True)
        found = {place_of(span): float(score) for span, h, score in rows if h == task}
        own.add(set(found), gold)
        scored += [(score, place in gold) for place, score in found.items()]
        merged.add(only(map(place_of, doc.ents), shared), only(gold, shared))
    result: dict[str, Any] = {}
    if head_labels:
        result["own"] = own.to_json()
        result["calibration"] = calibration_error(scored)
    if shared and not is_general:
        result["ents"] = merged.to_json()
    return result


def list_gold(
    nlp: Language, path: Path, task: str | None
) -> Iterator[tuple[Doc, Spans]]:
    """Every annotated document as raw text through the pipeline's tokenizer, and its
    gold: all mentions, overlapping ones too, where `convert` kept them."""
    for reference in read_docs(path, nlp.vocab):
        if GOLD_KEY not in reference.spans and not reference.has_annotation("ENT_IOB"):
            continue
        gold = reference.spans.get(GOLD_KEY, reference.ents)
        doc = nlp.make_doc(reference.text)
        set_task(doc, task)
        yield doc, set(map(place_of, gold))


def gold_labels(nlp: Language, path: Path) -> set[str]:
    """The labels of a corpus."""
    return {label for _, gold in list_gold(nlp, path, None) for *_, label in gold}


def print_metrics(metrics: dict[str, Any]) -> None:
    """One table of all corpora, a row a figure."""
    rows = []
    for task, result in metrics.items():
        for kind in KINDS:
            if figures := result.get(kind):
                parts = [("all", figures), *figures["per_type"].items()]
                parts = parts[: 1 if len(parts) == 2 else None]
                parts += figures.get("recall", {}).items()
                lengths = figures.get("lengths", {}).items()
                parts += [(f"length {length}", prf) for length, prf in lengths]
                for part, prf in parts:
                    shares = (f"{100 * prf[k]:.2f}" if k in prf else "" for k in "prf")
                    rows.append((task, kind, part, *shares))
    msg.table(
        rows, header=("corpus", "figure", "of", "P", "R", "F"), divider=True,
        aligns=("l", "l", "l", "r", "r", "r"),
    )  # fmt: skip
    for task, result in metrics.items():
        if "calibration" in result:
            msg.text(f"{task}: expected calibration error {result['calibration']:.3f}")


def make_records(
    metrics: dict[str, Any], files: dict[str, Path], origin: dict[str, Any], model: str
) -> Iterator[dict[str, Any]]:
    """One flat record a figure: `own_f`, `ents_f/GENE`, `own_calibration_error`…, in
    percent; of nested spans see `nested_values`."""
    for task, result in metrics.items():
        values: dict[str, float] = {}
        for kind in (k for k in ("own", "ents") if k in result):
            figures = result[kind]
            values |= {f"{kind}_{k}": 100 * figures[k] for k in "prf"}
            for label, prf in figures["per_type"].items():
                values |= {f"{kind}_{k}/{label}": 100 * prf[k] for k in "prf"}
        if "nested" in result:
            values |= nested_values(result["nested"])
        if "calibration" in result:
            kind = "nested" if "nested" in result else "own"
            values[f"{kind}_calibration_error"] = 100 * result["calibration"]
        source = f"{task}={shown(files[task])}"
        command = f"python -m spacy bioner evaluate {shown(model)} --source {source}"
        for metric, value in values.items():
            yield {
                "benchmark": "nested_accuracy" if "nested" in result else "accuracy",
                "system": origin["system"],
                "corpus": task,
                "split": files[task].stem,
                "metric": metric,
                "value": round(value, 2),
                "seed": origin["seed"],
                "command": command,
                "note": origin["note"],
            }


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """A JSON list, one record a line."""
    lines = ",\n".join(srsly.json_dumps(record) for record in records)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def shown(path: str | Path) -> str:
    """A path as others may write it: what is outside this folder loses its head."""
    path = Path(path)
    if not path.is_absolute():
        return path.as_posix()
    if path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd()).as_posix()
    return "/".join(path.parts[-3:])
