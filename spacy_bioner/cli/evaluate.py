"""`evaluate MODEL --source NAME=FILE.spacy`: exact scores of a pipeline on corpora."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer
from spacy.language import Language
from spacy.scorer import PRFScore
from spacy.tokens import Doc, DocBin
from wasabi import msg

from spacy_bioner.cli._util import find_corpora, friendly_errors, load_pipeline
from spacy_bioner.corpora.convert import GOLD_KEY
from spacy_bioner.errors import BionerError, Errors
from spacy_bioner.pipeline.gerbera_ner import GerberaNER
from spacy_bioner.task import set_task

Arg, Opt = typer.Argument, typer.Option
BINS = 10
Spans = set[tuple[int, int, str]]  # first character, end (exclusive), label


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
    batch_size: Annotated[int, Opt(help="Documents a batch")] = 64,
):
    """Score by exact characters and type, against all gold mentions.

    Two figures a corpus: its own head, and `doc.ents`, where other heads may own a
    label; with them each head's expected calibration error.
    """
    nlp = load_pipeline(model)
    tagger = find_tagger(nlp, model)
    files = find_corpora(tagger, source or [], targets, data, split)
    metrics = {
        task: evaluate(nlp, tagger, task, path, batch_size)
        for task, path in files.items()
    }
    print_metrics(metrics)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_json(output, metrics)
    if records:
        origin = {"system": system or nlp.meta["name"], "seed": seed, "note": note}
        write_records(records, make_records(metrics, files, origin, model))


def find_tagger(nlp: Language, model: str) -> GerberaNER:
    """The pipeline's first `gerbera_ner`."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, GerberaNER):
            return pipe
    raise BionerError(Errors.B606.format(model=model))


@dataclass
class Figures:
    """Precision, recall and F, overall and by type."""

    overall: PRFScore = field(default_factory=PRFScore)
    per_type: dict[str, PRFScore] = field(default_factory=lambda: defaultdict(PRFScore))

    def add(self, found: Spans, gold: Spans) -> None:
        """Count one document."""
        self.overall.score_set(found, gold)
        for label in {label for *_, label in found | gold}:
            self.per_type[label].score_set(_only(found, {label}), _only(gold, {label}))

    def to_json(self) -> dict[str, Any]:
        """Shares, and the counts behind the overall ones."""
        counts = {
            "gold": self.overall.tp + self.overall.fn,
            "found": self.overall.tp + self.overall.fp,
            "correct": self.overall.tp,
        }
        per_type = {k: v.to_dict() for k, v in sorted(self.per_type.items())}
        return {**self.overall.to_dict(), **counts, "per_type": per_type}


def evaluate(
    nlp: Language, tagger: GerberaNER, task: str, path: Path, batch_size: int = 64
) -> dict[str, Any]:
    """Measure a pipeline on one corpus, document by document.

    RETURNS (dict): `own`, the figures of the head named `task`, and `calibration`,
        the expected calibration error of its scores, where there is such a head;
        `ents`, those of `doc.ents` on the labels that both `doc.ents` and the corpus
        know.
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
        found = {_place(span): float(score) for span, h, score in rows if h == task}
        own.add(set(found), _only(gold, head_labels))
        scored += [(score, place in gold) for place, score in found.items()]
        merged.add(_only(map(_place, doc.ents), shared), _only(gold, shared))
    result: dict[str, Any] = {}
    if head_labels:
        result["own"] = own.to_json()
        result["calibration"] = calibration_error(scored)
    if not is_general:
        result["ents"] = merged.to_json()
    return result


def list_gold(
    nlp: Language, path: Path, task: str | None
) -> Iterator[tuple[Doc, Spans]]:
    """Every document as raw text through the pipeline's tokenizer, and its gold: all
    mentions, overlapping ones too, where `convert` kept them."""
    for reference in DocBin().from_disk(path).get_docs(nlp.vocab):
        gold = reference.spans.get(GOLD_KEY, reference.ents)
        doc = nlp.make_doc(reference.text)
        set_task(doc, task)
        yield doc, set(map(_place, gold))


def gold_labels(nlp: Language, path: Path) -> set[str]:
    """The labels of a corpus."""
    return {label for _, gold in list_gold(nlp, path, None) for *_, label in gold}


def calibration_error(scored: list[tuple[float, bool]]) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015): how far scores are from
    the share of correct spans, averaged over the spans in bins of equal width."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for score, correct in scored:
        bins[min(int(score * BINS), BINS - 1)].append((score, correct))
    gaps = (abs(sum(score - right for score, right in bin_)) for bin_ in bins.values())
    return sum(gaps) / max(len(scored), 1)


def print_metrics(metrics: dict[str, Any]) -> None:
    """One table of all corpora, a row a figure."""
    rows = []
    for task, result in metrics.items():
        for kind in ("own", "ents"):
            if figures := result.get(kind):
                parts = [(" all", figures), *figures["per_type"].items()]
                for label, prf in parts[: 1 if len(parts) == 2 else None]:
                    shares = (f"{100 * prf[k]:.2f}" for k in "prf")
                    rows.append((task, kind, label.strip(), *shares))
    msg.table(
        rows, header=("corpus", "figure", "type", "P", "R", "F"), divider=True,
        aligns=("l", "l", "l", "r", "r", "r"),
    )  # fmt: skip
    for task, result in metrics.items():
        if "calibration" in result:
            msg.text(f"{task}: expected calibration error {result['calibration']:.3f}")


def make_records(
    metrics: dict[str, Any], files: dict[str, Path], origin: dict[str, Any], model: str
) -> Iterator[dict[str, Any]]:
    """One flat record a figure: `own_f`, `ents_f/GENE`, `own_calibration`…, in
    percent."""
    for task, result in metrics.items():
        values: dict[str, float] = {}
        for kind in (k for k in ("own", "ents") if k in result):
            figures = result[kind]
            values |= {f"{kind}_{k}": 100 * figures[k] for k in "prf"}
            for label, prf in figures["per_type"].items():
                values |= {f"{kind}_{k}/{label}": 100 * prf[k] for k in "prf"}
        if "calibration" in result:
            values["own_calibration_error"] = 100 * result["calibration"]
        source = f"{task}={shown(files[task])}"
        command = f"python -m spacy bioner evaluate {shown(model)} --source {source}"
        for metric, value in values.items():
            yield {
                "benchmark": "accuracy",
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
    path.parent.mkdir(parents=True, exist_ok=True)
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


def _place(span) -> tuple[int, int, str]:
    return span.start_char, span.end_char, span.label_


def _only(spans: Iterable[tuple[int, int, str]], labels: Iterable[str]) -> Spans:
    return {span for span in spans if span[2] in labels}
