"""Which corpora a config trains on, chosen from outside it."""

from __future__ import annotations

from thinc.api import Config

from ..errors import BionerError, Errors


def choose_tasks(config: Config, targets: list[str], general: list[str]) -> Config:
    """Put other corpora in the place of those that a config names.

    config (Config): Not interpolated; not changed.
    targets (list[str]): Tasks to learn; their corpora are at
        `${paths.data}/TASK/train.spacy` and `dev.spacy`.
    general (list[str]): General-domain tasks: they train the encoder only.
    RETURNS (Config): The same with these tasks. Mixing weights, label owners and lists
        of types are gone: they were chosen for the other mix.
    Raises BionerError for general tasks where no component has heads.
    """
    config = config.copy()
    components = config["components"]
    if general and "ner" not in components:
        raise BionerError(Errors.B404.format(components=list(components)))
    for split in ("train", "dev"):
        corpus = config["corpora"][split]
        corpus.update({key: {} for key in ("weights", "types") if key in corpus})
        corpus["sources"] = {
            task: f"${{paths.data}}/{task}/{split}.spacy" for task in targets + general
        }
    if "ner" in components:
        components["ner"].update(general=general, owners={})
    for settings in config["initialize"]["components"].values():
        settings.update({"labels": None} if "labels" in settings else {})
    return config


def fit_schedule(config: Config, steps: int) -> Config:
    """Make a training `steps` long: 5% of them warm-up, then linearly down to 0; six
    evaluations. A learning rate that is no schedule of so many steps stays as it is.

    config (Config): Not interpolated; not changed.
    """
    config = config.copy()
    config["training"]["max_steps"] = steps
    config["training"]["eval_frequency"] = max(steps // 6, 1)
    rate = config["training"]["optimizer"]["learn_rate"]
    if isinstance(rate, dict) and "total_steps" in rate:
        rate.update(total_steps=steps, warmup_steps=max(steps // 20, 1))
    return config
