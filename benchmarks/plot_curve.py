"""docs/learning_curve.png: what a general corpus gives on less and less training data,
from benchmarks/results/gerbera_method.json.

pip install matplotlib
python benchmarks/plot_curve.py
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

import matplotlib.pyplot as plt
from gerbera import CURVE_ARMS, CURVE_TARGET, NAME, PERCENTS, Run
from results import Records, read_records

PAGE = Path(__file__).parent.parent / "docs" / "learning_curve.png"
COLOURS = {"single task": "#4292c6", "+ GUM-Time": "#d94801"}


def read_curve(records: Records) -> dict[str, dict[int, list[float]]]:
    """Arm -> percent of the training sentences -> test F1 of each seed."""
    shares = {
        Run(CURVE_TARGET, CURVE_ARMS[0], 0, percent).corpus: percent
        for percent in sorted(PERCENTS)
    }
    curve: dict[str, dict[int, list[float]]] = {arm: {} for arm in COLOURS}
    for record in records:
        if (
            record["benchmark"] == NAME
            and record["system"] in curve
            and record["corpus"] in shares
            and (record["metric"], record["split"]) == ("own_f", "test")
        ):
            of_arm = curve[record["system"]]
            of_arm.setdefault(shares[record["corpus"]], []).append(record["value"])
    return curve


def main() -> None:
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for arm, scores in read_curve(read_records()).items():
        percents = sorted(scores)
        means = [fmean(scores[percent]) for percent in percents]
        axes.plot(percents, means, label=f"{arm}, mean of seeds", color=COLOURS[arm])
        dots = [(percent, f) for percent in percents for f in scores[percent]]
        if dots:
            axes.scatter(*zip(*dots, strict=True), s=14, color=COLOURS[arm])
    axes.set_xscale("log")
    axes.set_xticks(sorted(PERCENTS), [f"{percent}%" for percent in sorted(PERCENTS)])
    axes.minorticks_off()
    axes.set_xlabel("of NCBI-disease's training sentences")
    axes.set_ylabel("test F1; a dot is a seed")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(PAGE, dpi=120)


if __name__ == "__main__":
    main()
