"""Which corpora a config trains on, chosen from outside it."""

from __future__ import annotations

from thinc.api import Config


def choose_tasks(config: Config, targets: list[str], general: list[str]) -> Config:
    """Put other corpora in the place of those that a config names.

    config (Config): Not interpolated; not changed.
    targets (list[str]): Tasks to learn; their corpora are at
        `${paths.data}/TASK/train.spacy` and `dev.spacy`.
    general (list[str]): General-domain tasks: they train the encoder only.
    RETURNS (Config): The same with these tasks. Mixing weights and label owners are
        gone: they were chosen for the other mix.
    """
    config = config.copy()
    for split in ("train", "dev"):
        corpus = config["corpora"][split]
        corpus["weights"] = {}
        corpus["sources"] = {
            task: f"${{paths.data}}/{task}/{split}.spacy" for task in targets + general
        }
    config["components"]["ner"].update(general=general, owners={})
    return config


def fit_schedule(config: Config, steps: int) -> Config:
    """Make a training `steps` long: 5% of them warm-up, then linearly down to 0; six
    evaluations.

    config (Config): Not interpolated; not changed.
    """
    config = config.copy()
    config["training"]["max_steps"] = steps
    config["training"]["eval_frequency"] = max(steps // 6, 1)
    config["training"]["optimizer"]["learn_rate"].update(
        total_steps=steps, warmup_steps=max(steps // 20, 1)
    )
    return config
