"""The tables of experiments over seeds: GERBERA's method, its probes, instructions."""

from __future__ import annotations

from collections import defaultdict

from cells import NOTHING, ROWS, table_of, values_of
from published import METHOD
from results import Records

SEEDS = 3  # of an experiment that is done


def method(records: Records) -> str:
    """Test F1 without and with a general corpus, mean and deviation over seeds, and
    the difference with its interval; the paper's figures beside them."""
    values = _method_values(records, "test")
    arms = list(dict.fromkeys(arm for arm, *_ in values))
    arms.sort(key=lambda arm: arm != "single task")
    rows = []
    for corpus, (name, single, best) in METHOD.items():
        cells = [_arm(values, arm, corpus) for arm in arms]
        if any(cells):
            rows.append([name, *cells, single, best])
    header = ["target", *arms, "paper, single task", "paper, best general corpus"]
    return table_of(header, rows) if rows else NOTHING


def _arm(values: dict[tuple[str, str, str], float], arm: str, corpus: str) -> str:
    """`78.10 ± 0.50; +1.20 [-0.30, 2.70]`, or as much of it as is known; where seeds
    are still to come, of how many it is."""

    def of(metric: str) -> str:
        seeds = value(metric)
        return "" if seeds in (None, SEEDS) else f" ({seeds} of {SEEDS} seeds)"

    def value(metric: str) -> float | None:
        return values.get((arm, corpus, metric))

    parts = [""]
    if (mean := value("mean_f")) is not None:
        parts = [f"{mean:.2f}"]
        if (deviation := value("deviation_f")) is not None:
            parts[0] += f" ± {deviation:.2f}"
        parts[0] += of("seeds")
    if (gain := value("difference")) is not None:
        interval = f"[{value('low'):+.2f}, {value('high'):+.2f}]"
        parts.append(f"{gain:+.2f} {interval}{of('seeds in common')}")
    return "; ".join(parts)


def _method_values(records: Records, split: str) -> dict[tuple[str, str, str], float]:
    """With how many seeds each arm has, and shares with the single task."""
    values = values_of(records, "gerbera_method", split)
    seeds = defaultdict(set)
    for record in records:
        kind = record["benchmark"], record["split"], record["metric"]
        if kind == ("gerbera_method", split, "own_f"):
            seeds[record["system"], record["corpus"]].add(record["seed"])
    for (arm, corpus), own in seeds.items():
        values[arm, corpus, "seeds"] = len(own)
        common = own & seeds.get(("single task", corpus), set())
        values[arm, corpus, "seeds in common"] = len(common)
    return values


def probes(records: Records) -> str:
    """Dev F1 of every arm on the targets where some arms, the probes, are seen on dev
    alone; mean and deviation over seeds."""
    dev, test = (_method_values(records, split) for split in ("dev", "test"))
    tested = {arm for arm, *_ in test}
    probed = {corpus for arm, corpus, _ in dev if arm not in tested}
    corpora = [corpus for corpus in METHOD if corpus in probed]
    arms = sorted({arm for arm, *_ in dev}, key=lambda arm: (arm not in tested, arm))
    arms.sort(key=lambda arm: arm != "single task")
    rows = []
    for arm in arms:
        cells = [_arm(dev, arm, corpus) for corpus in corpora]
        if any(cells):
            rows.append([arm, *cells])
    header = ["F1 on dev", *(METHOD[corpus][0] for corpus in corpora)]
    return table_of(header, rows) if rows else NOTHING


def instruct(records: Records) -> str:
    """`gerbera_ner` and `instruct_ner` without and with dense recognition, on what they
    were trained on and on what they were not; their cost."""
    values = values_of(records, "instruct", "test")
    arms = ("gerbera_ner", "instruct_ner", "instruct_ner, dense")
    names = {corpus: name for name, (corpus, label) in ROWS.items() if not label}
    rows = []
    for suffix, title in (("", ""), (", unseen", ", not trained on")):
        for corpus, name in names.items():
            cells = [_arm(values, arm + suffix, corpus) for arm in arms]
            if any(cells):
                rows.append([name + title, *cells])
    for metric in ("training, CPU minutes", "test, seconds"):
        cells = [values.get((arm, "all", metric)) for arm in arms]
        if any(cells):
            rows.append([metric, *cells])
    header = ["corpus", "`gerbera_ner`", "`instruct_ner`", "with dense recognition"]
    return table_of(header, rows) if rows else NOTHING
