"""Train what `benchmarks/filter.py` measures: the filter, its ablations and a tagger.

    python benchmarks/filter_train.py ENCODER OUT [--data DATA] [--seed 0] [--seeds 3]

ENCODER is the trained pipeline whose encoder all start from. Each run is a `bioner
train` of its own, in OUT/ARM-SEED; the tagger has one seed. A run that is done, as its
file `done` says, is not made again; one that was interrupted goes on.

The settings are those of the recorded figures: configs/filter.cfg with a label table of
2,048 rows and not 8,192, and each run's last model.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

FULL, TAGGER = "full", "tagger"
LAST = "model-last"
FILTER = [
    *("configs/filter.cfg", "--components.candidate_filter.model.label_rows", "2048"),
]
_NEGATIVES = "--components.candidate_filter.negatives"
# What each way of training the filter changes.
ARMS: dict[str, list[str]] = {
    FULL: [],
    "no_contrastive": ["--components.candidate_filter.contrastive_weight", "0.0"],
    "no_boundary": [f"{_NEGATIVES}.boundary", "0", f"{_NEGATIVES}.nested", "0"],
    "no_wrong_type": [f"{_NEGATIVES}.wrong_type", "0"],
}
TAGGER_SETTINGS = [
    *("configs/gerbera_finetune.cfg", "--targets", "mtsamples"),
    *("--initialize.components.ner.warm_start", "null"),
    *("--initialize.before_init.rate", "0.1", "--training.batcher.size", "500"),
]


def find_runs(folder: Path) -> dict[str, list[Path]]:
    """The models of the runs that are done, those of each arm by seed; the tagger's
    among them."""
    found = {}
    for arm in (*ARMS, TAGGER):
        runs = {
            int(path.parent.name.rpartition("-")[2]): path.parent / LAST
            for path in folder.glob(f"{arm}-*/done")
        }
        found[arm] = [runs[seed] for seed in sorted(runs)]
    return found


def train(settings: list[str], output: Path, rest: list[str]) -> None:
    """One run, unless it is done."""
    if (output / "done").exists():
        print(f"{output} is done")
        return
    config, *overrides = settings
    command = [sys.executable, "-m", "spacy", "bioner", "train", config, str(output)]
    subprocess.run([*command, *overrides, *rest], check=True)
    for path in ("checkpoint", "model-best"):
        shutil.rmtree(output / path, ignore_errors=True)
    (output / "done").touch()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("encoder")
    parser.add_argument("output", type=Path)
    parser.add_argument("--data", default="corpus")
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", default="150")
    parser.add_argument("--gpu-id", default="-1")
    args = parser.parse_args()
    rest = [
        *("--steps", args.steps, "--paths.data", args.data),
        *("--paths.stage1", args.encoder, "--gpu-id", args.gpu_id),
    ]
    for seed in range(args.seed, args.seed + args.seeds):
        seeded = [*rest, "--system.seed", str(seed)]
        for arm, changes in ARMS.items():
            train([*FILTER, *changes], args.output / f"{arm}-{seed}", seeded)
        if seed == args.seed:
            train(TAGGER_SETTINGS, args.output / f"{TAGGER}-{seed}", seeded)


if __name__ == "__main__":
    main()
