"""README.md's tables of results, made from benchmarks/results/*.json.

    python benchmarks/tables.py            # rewrite what stands between the markers
    python benchmarks/tables.py --check    # fail if that would change anything

A marker is `<!-- table: NAME -->`; the table ends at `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from cells import NOTHING, ROWS, cell_of, table_of, values_of
from method_tables import instruct, method, probes
from published import PUBLISHED, PUBLISHED_ZH
from results import Records, read_records

README = Path(__file__).parent.parent / "README.md"

TOKENIZERS = ("spaCy default", "scispaCy 0.6.2", "spacy-bioner")


def accuracy(records: Records) -> str:
    """Test F1 of our systems, own head and doc.ents, beside the published ones."""
    values = values_of(records, "accuracy", "test")
    systems = list(dict.fromkeys(system for system, *_ in values))
    if not systems:
        return NOTHING
    header = ["corpus"]
    for system in systems:
        header += [f"`{system}`, own head", f"`{system}`, `doc.ents`"]
    rows = []
    for name, (corpus, label) in ROWS.items():
        suffix = f"/{label}" if label else ""
        ours = [
            values.get((system, corpus, f"{kind}_f{suffix}"))
            for system in systems
            for kind in ("own", "ents")
        ]
        rows.append([name, *ours, *(of.get(name) for of in PUBLISHED.values())])
    return table_of([*header, *PUBLISHED], rows)


def types(records: Records) -> str:
    """Test precision, recall and F of each type, by the head of each corpus."""
    values = values_of(records, "accuracy", "test")
    found = [
        (system, corpus, metric.partition("/")[2])
        for system, corpus, metric in values
        if metric.startswith("own_f/")
    ]
    if not found:
        return NOTHING
    rows = [
        [
            f"`{system}`",
            corpus,
            label,
            *(values[system, corpus, f"own_{k}/{label}"] for k in "prf"),
            values.get((system, corpus, f"ents_f/{label}")),
        ]
        for system, corpus, label in found
    ]
    return table_of(
        ["system", "corpus", "type", "P", "R", "F", "F in `doc.ents`"], rows
    )


def calibration(records: Records) -> str:
    """Expected calibration error of each head's scores, in points."""
    values = values_of(records, "accuracy", "test")
    rows = [
        [f"`{system}`", corpus, value]
        for (system, corpus, metric), value in values.items()
        if metric == "own_calibration_error"
    ]
    return table_of(["system", "corpus", "error"], rows) if rows else NOTHING


def tokenization(records: Records) -> str:
    """Share of gold mentions that begin and end at tokens, by tokenizer."""
    values = values_of(records, "tokenization", "all")
    corpora = dict.fromkeys(corpus for _, corpus, _ in values)
    rows = [
        [
            corpus,
            *(values.get((name, corpus, "aligned_percent")) for name in TOKENIZERS),
            values.get((TOKENIZERS[-1], corpus, "aligned_or_listed_percent")),
        ]
        for corpus in corpora
    ]
    header = ["corpus", *TOKENIZERS, "spacy-bioner, or listed as mid-word"]
    return table_of(header, rows) if rows else NOTHING


def any_tokenizer(records: Records) -> str:
    """F1 of each corpus's head under each tokenizer, and the share of gold mentions
    that its tokens can represent."""
    values = values_of(records, "any_tokenizer", "test")
    systems = list(dict.fromkeys(system for system, *_ in values))
    systems.sort(key=lambda system: system != TOKENIZERS[-1])  # ours first
    rows = []
    for name, (corpus, label) in ROWS.items():
        pairs = [
            (
                values.get((s, corpus, "own_f")),
                values.get((s, corpus, "aligned_percent")),
            )
            for s in systems
        ]
        if not label and any(f is not None for f, _ in pairs):
            rows.append([name, *(f"{f:.2f} ({share:.1f})" for f, share in pairs)])
    return table_of(["corpus", *systems], rows) if rows else NOTHING


def trials(records: Records) -> str:
    """What was tried on dev, kept or not."""
    rows = [
        [r["system"], r["corpus"], r["split"], r["metric"], r["value"], r["note"]]
        for r in records
        if r["benchmark"] in ("trial", "pretraining", "stages")
    ]
    header = ["what", "corpus", "split", "figure", "value", "remark"]
    return table_of(header, rows) if rows else NOTHING


def speed(records: Records) -> str:
    """Words a second of every system, and how many times stock's speed that is."""
    kinds = ("sentences", "abstracts", "articles")
    rows = []
    for split in ("2 threads", "1 thread"):
        values = values_of(records, "speed", split)
        systems = dict.fromkeys(s for s, _, m in values if m == "words_per_second")
        for system in systems:
            speeds = [values.get((system, k, "words_per_second")) for k in kinds]
            slow = [values.get(("stock", k, "words_per_second")) for k in kinds]
            rows.append(
                [split, system]
                + [
                    f"{a:,.0f} ({a / b:.1f}x)"
                    for a, b in zip(speeds, slow, strict=True)
                ]
            )
    header = ["", "system", *kinds]
    return table_of(header, rows) if rows else NOTHING


def fidelity(records: Records) -> str:
    """F1 before and after compiling, and how far both find the same."""
    values, dev = (values_of(records, "fidelity", split) for split in ("test", "dev"))
    corpora = dict.fromkeys(corpus for _, corpus, _ in values)
    agreement = [f"agreement, {what}" for what in ("own", "all heads", "doc.ents")]
    rows = [
        [
            corpus,
            values["trainable, fp32", corpus, "own_f"],
            values["compiled", corpus, "own_f"],
            values["compiled", corpus, "own_f_difference"],
            cell_of(dev.get(("compiled", corpus, "own_f_difference"))),
            *(values["compiled", corpus, metric] for metric in agreement),
        ]
        for corpus in corpora
    ]
    forms = ["trainable, fp32", "compiled, int8"]
    header = ["corpus", *forms, "difference", "on dev", *agreement]
    return table_of(header, rows) if rows else NOTHING


def footprint(records: Records) -> str:
    """Memory, load time and installed size."""
    rows = [
        [record["metric"], record["value"]]
        for record in records
        if record["benchmark"] == "footprint"
    ]
    return table_of(["figure", "value"], rows) if rows else NOTHING


def abbreviations(records: Records) -> str:
    """F1 of `doc.ents` without and with `abbreviation_entities`."""
    values = values_of(records, "abbreviations", "test")
    plain, filled = "doc.ents", "doc.ents + abbreviations"
    rows = []
    for corpus in dict.fromkeys(corpus for _, corpus, _ in values):
        shown = []
        for metric in ("ents_p", "ents_r", "ents_f"):
            one, two = (values[system, corpus, metric] for system in (plain, filled))
            shown.append(f"{one:.2f} → {two:.2f}")
        rows.append([corpus, *shown])
    return table_of(["corpus", "P", "R", "F"], rows) if rows else NOTHING


def agreement(records: Records) -> str:
    """F1 of each head where places are read alone and where they decide together."""
    test, dev = (values_of(records, "agreement", split) for split in ("test", "dev"))
    alone, together = "each place alone", "places together"
    rows = []
    for name, (corpus, label) in ROWS.items():
        if label or (together, corpus, "own_f") not in test:
            continue
        shown = [
            f"{test[alone, corpus, key]:.2f} → {test[together, corpus, key]:.2f}"
            for key in ("own_p", "own_r", "own_f")
        ]
        gain, low, high = (
            test[together, corpus, key] for key in ("difference", "low", "high")
        )
        on_dev = dev[together, corpus, "difference"]
        change = f"{gain:+.2f} [{low:+.2f}, {high:+.2f}]"
        rows.append([name, *shown, change, f"{on_dev:+.2f}"])
    header = ["corpus", "P", "R", "F", "difference", "on dev"]
    return table_of(header, rows) if rows else NOTHING


def linking(records: Records) -> str:
    """Coverage and recall of identifiers, gold mentions given."""
    values = values_of(records, "linking", "test")
    metrics = {
        "linkable": "coverage",
        "R@1": "recall_at_1",
        "R@10": "recall_at_10",
        "R@1, linkable": "recall_at_1_linkable",
        "R@10, linkable": "recall_at_10_linkable",
        "P, threshold": "threshold_p",
        "R, threshold": "threshold_r",
    }
    systems = dict.fromkeys((corpus, system) for system, corpus, _ in values)
    rows = [
        [corpus, system, *(values.get((system, corpus, m)) for m in metrics.values())]
        for corpus, system in systems
    ]
    return table_of(["corpus", "names of", *metrics], rows) if rows else NOTHING


def nested(records: Records) -> str:
    """Each way to find nested spans: F1, recall by nesting, time, speed, memory."""
    recalls = ("flat", "inner", "outer")
    training = {
        "training_steps": 1,
        "training_seconds": 1 / 60,
        "training_peak_megabytes": 1,
    }
    speeds = ("words_per_second", "words_per_second / spancat")
    test, train = (values_of(records, "nested", split) for split in ("test", "train"))
    seeds = {
        r["system"]: r["note"].split()[0]
        for r in records
        if r["benchmark"] == "nested" and r["metric"] == "mean nested_f"
    }
    rows = []
    for system in dict.fromkeys(system for system, *_ in [*train, *test]):
        f = test.get((system, "genia", "mean nested_f"))
        spread = test.get((system, "genia", "deviation nested_f"))
        named = f if spread is None or f is None else f"{f:.2f} ± {spread:.2f}"
        row = [system, seeds.get(system), named]
        for kind in recalls:
            row.append(test.get((system, "genia", f"mean nested_r/{kind}")))
        for metric, factor in training.items():
            value = train.get((system, "genia", metric))
            row.append(None if value is None else f"{value * factor:,.0f}")
        speed, ratio = (test.get((system, "genia", metric)) for metric in speeds)
        row.append(None if speed is None else f"{speed:,.0f} ({ratio:.1f}x)")
        rows.append(row)
    header = ["system", "seeds", "F", *(f"R, {kind}" for kind in recalls)]
    header += ["steps", "minutes", "MB", "words/s (times stock)"]
    return table_of(header, rows) if rows else NOTHING


def nested_accuracy(records: Records) -> str:
    """The packaged nested pipeline on test: all, by type, nesting and length."""
    values = values_of(records, "nested_accuracy", "test")
    parts: dict[tuple[str, str, str], dict[str, float]] = {}
    for (system, corpus, metric), value in values.items():
        figure, _, of = metric.removeprefix("nested_").partition("/")
        if figure in "prf" and corpus == "genia":
            parts.setdefault((system, corpus, of or "all"), {})[figure] = value
    rows = [
        [f"`{s}`", c, of, *map(prf.get, "prf")] for (s, c, of), prf in parts.items()
    ]
    header = ["system", "corpus", "of", "P", "R", "F"]
    return table_of(header, rows) if rows else NOTHING


def nested_zh(records: Records) -> str:
    """Chinese nested entities on test, beside figures of others on the first CMeEE."""
    values = values_of(records, "nested_accuracy", "test")
    metrics = ["p", "r", "f", *(f"r/{kind}" for kind in ("flat", "inner", "outer"))]
    rows: list[list[Any]] = [
        [
            system,
            "CMeEE-V2, 3,957",
            *(values.get((system, "cmeee", f"nested_{m}")) for m in metrics),
        ]
        for system in dict.fromkeys(s for s, corpus, _ in values if corpus == "cmeee")
    ]
    rows += [
        [system, None if system == "human" else "CMeEE, 15,000", None, None, f]
        for system, f in PUBLISHED_ZH.items()
    ]
    header = ["system", "trained on, texts", "P", "R", "F"]
    header += ["R, flat", "R, inner", "R, outer"]
    return table_of(header, [row + [None] * (len(header) - len(row)) for row in rows])


def nested_thresholds(records: Records) -> str:
    """What lower thresholds of the packaged nested pipeline give and take, on dev."""
    values = values_of(records, "nested_thresholds", "dev")
    rows = [
        [system.split()[1], *(values[system, "genia", f"nested_{k}"] for k in "prf")]
        + [values[system, "genia", "nested_r/inner"]]
        for system in dict.fromkeys(system for system, *_ in values)
    ]
    header = ["thresholds", "P", "R", "F", "R of inner mentions"]
    return table_of(header, rows) if rows else NOTHING


def candidates(records: Records) -> str:
    """Language models' answers as they are and filtered: means over prompts, seeds."""
    chosen = [record for record in records if record["benchmark"] == "filter"]
    groups = {"GPT-3.5": "mtsamples, GPT-3.5", "GPT-4": "mtsamples, GPT-4"}
    metrics = {"exact": "exact_f", "relaxed": "relaxed_f"}
    values: dict[tuple[str, str, str], list[float]] = {}
    for record in chosen:
        key = record["system"], record["corpus"], record["metric"]
        values.setdefault(key, []).append(record["value"])
    rows = []
    for system in dict.fromkeys(r["system"] for r in chosen):
        cells = [
            values.get((system, corpus, metric), [])
            for corpus in groups.values()
            for metric in metrics.values()
        ]
        if all(cells):
            rows.append([system, *(sum(cell) / len(cell) for cell in cells)])
    header = ["", *(f"{g}, {m}" for g in groups for m in metrics)]
    return table_of(header, rows) if rows else NOTHING


def filter_sources(records: Records) -> str:
    """Candidates of dictionaries and models, raw and filtered: exact P / R / F1, and
    what filter and repair add to F1."""
    values = values_of(records, "filter_sources", "test")
    sources = dict.fromkeys(
        (corpus, system.removesuffix(": raw"))
        for system, corpus, _ in values
        if system.endswith(": raw")
    )

    def shares(system: str, corpus: str) -> str:
        parts = (values.get((system, corpus, f"exact_{k}")) for k in "prf")
        return " / ".join(cell_of(part) for part in parts)

    rows: list[list[str]] = []
    for corpus, source in sources:
        if all(corpus != row[0] for row in rows):
            own = "model, own threshold"
            rows.append([corpus, own, shares(own, corpus), "", "", ""])
        kinds = (f"{source}: {kind}" for kind in ("raw", "filtered", "repaired"))
        difference, low, high = (
            values[f"{source}: repaired - raw", corpus, f"exact_f_{part}"]
            for part in ("difference", "low", "high")
        )
        gain = f"{difference:+.2f} ({low:+.2f} to {high:+.2f})"
        rows.append([corpus, source, *(shares(kind, corpus) for kind in kinds), gain])
    header = ["corpus", "candidates", "raw", "filtered", "and repaired", "F1 gained"]
    return table_of(header, rows) if rows else NOTHING


def ablation(records: Records) -> str:
    """What each part of the filter adds, with 95% of a paired bootstrap."""
    values = {
        (r["system"], r["corpus"], r["metric"]): r["value"]
        for r in records
        if r["benchmark"] == "filter" and r["system"].endswith(" - full")
    }
    rows = []
    for system in dict.fromkeys(system for system, _, _ in values):
        row: list[Any] = [system.removesuffix(" - full").replace("_", " ")]
        for model in ("GPT-3.5", "GPT-4"):
            difference, low, high = (
                values[system, f"mtsamples, {model}", f"exact_f_{part}"]
                for part in ("difference", "low", "high")
            )
            row.append(f"{difference:+.2f} ({low:+.2f} to {high:+.2f})")
        rows.append(row)
    return table_of(["without", "GPT-3.5", "GPT-4"], rows) if rows else NOTHING


TABLES = {
    "accuracy": accuracy,
    "types": types,
    "calibration": calibration,
    "tokenization": tokenization,
    "any_tokenizer": any_tokenizer,
    "speed": speed,
    "fidelity": fidelity,
    "footprint": footprint,
    "nested": nested,
    "nested_accuracy": nested_accuracy,
    "nested_thresholds": nested_thresholds,
    "nested_zh": nested_zh,
    "abbreviations": abbreviations,
    "agreement": agreement,
    "linking": linking,
    "candidates": candidates,
    "filter_sources": filter_sources,
    "ablation": ablation,
    "method": method,
    "probes": probes,
    "instruct": instruct,
    "trials": trials,
}


def render(text: str, records: Records) -> str:
    """The text with every table made anew."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]](records)}\n{match[3]}"

    pattern = r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)"
    return re.sub(pattern, replace, text, flags=re.DOTALL)


def main() -> None:
    old = README.read_text("utf8")
    new = render(old, read_records())
    if "--check" in sys.argv:
        sys.exit("README.md: run benchmarks/tables.py" if new != old else 0)
    README.write_text(new, "utf8")


if __name__ == "__main__":
    main()
