"""docs/speed.png: words a second of every system, from benchmarks/results/speed.json.

pip install matplotlib
python benchmarks/plot.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from results import read_records

PAGE = Path(__file__).parent.parent / "docs" / "speed.png"
KINDS = {"sentences": "#9ecae1", "abstracts": "#4292c6", "articles": "#08519c"}
SPLIT = "2 threads"


def main() -> None:
    values = {
        (record["system"], record["corpus"]): record["value"]
        for record in read_records()
        if record["benchmark"] == "speed"
        and record["metric"] == "words_per_second"
        and record["split"] == SPLIT
    }
    systems = sorted(
        dict.fromkeys(system for system, _ in values),
        key=lambda system: values[system, "abstracts"],
    )
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for i, (kind, colour) in enumerate(KINDS.items()):
        places = [row + (1 - i) * 0.27 for row in range(len(systems))]
        speeds = [values[system, kind] for system in systems]
        bars = axes.barh(places, speeds, 0.27, label=kind, color=colour)
        axes.bar_label(bars, fmt="{:,.0f}", padding=2, fontsize=7)
    axes.set_yticks(range(len(systems)), systems)
    axes.set_xlabel(f"words a second on a CPU, {SPLIT}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    PAGE.parent.mkdir(exist_ok=True)
    figure.savefig(PAGE, dpi=120)


if __name__ == "__main__":
    main()
