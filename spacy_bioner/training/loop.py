"""spaCy's training, able to stop and go on.

The steps are spaCy's own (`train_while_improving`); what is added is a checkpoint at
the end of each epoch that holds everything the next epoch depends on: weights,
optimizer moments, place in the schedules, random state. A run that was interrupted
ends with the weights of one that was not, and is evaluated at the same steps (but
`patience` counts anew, and on a GPU the dropout of thinc's layers is drawn anew).
"""

from __future__ import annotations

import pickle
import random
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.training.initialize import init_nlp
from spacy.training.loop import (
    clean_output_dir,
    create_before_to_disk_callback,
    create_evaluation_callback,
    train_while_improving,
    update_meta,
)
from spacy.util import load_config, registry, resolve_dot_names
from thinc.api import Config, Optimizer, fix_random_seed

from ..errors import BionerError, Errors
from .memory import bound_memory, give_back

MEMORY = ("mom1", "mom2", "nr_update", "averages")  # of thinc's optimizers
CHECKPOINT, PREVIOUS = "checkpoint", "checkpoint.old"
TIDY = 100  # steps between two tidyings of the memory


@dataclass
class Progress:
    """Where a run stands at the start of an epoch."""

    epoch: int = 0
    step: int = 0
    best: float = -1.0
    optimizer: dict[str, Any] = field(default_factory=dict)
    randomness: dict[str, Any] = field(default_factory=dict)
    data: dict[str, str] | None = None  # of the corpora; None in older checkpoints


def train(
    config: Config, output: Path, *, use_gpu: int = -1, resume: bool = True
) -> Language:
    """Train a pipeline as `spacy train` does, writing `model-best`, `model-last` and
    a checkpoint under `output`; go on from the checkpoint if there is one.

    The settings are those of `config`, also when it goes on.

    RETURNS (Language): The pipeline after the last step.
    Raises BionerError for the checkpoint of another training.
    """
    bound_memory()
    output.mkdir(parents=True, exist_ok=True)
    saved = [output / CHECKPOINT, output / PREVIOUS]
    if not resume:
        for checkpoint in saved:
            shutil.rmtree(checkpoint, ignore_errors=True)
    nlp = init_nlp(config, use_gpu=use_gpu)
    progress, config = Progress(), nlp.config.copy()
    found = [path for path in saved if path.exists()]
    if not found:
        clean_output_dir(output)
    for checkpoint in found[:1]:
        _check_is_of(checkpoint, config)
        settings, labels = _settings(nlp), _labels(nlp)
        nlp.from_disk(checkpoint / "pipeline")
        if _labels(nlp) != labels:
            raise BionerError(Errors.B403.format(path=checkpoint, what="labels"))
        nlp.config = config  # the checkpoint's own may be older
        for name, values in settings.items():
            _cfg(nlp.get_pipe(name)).update(values)
        progress = pickle.loads((checkpoint / "progress.pkl").read_bytes())
        if isinstance(config["training"]["batcher"].get("size"), dict):
            warnings.warn(Errors.B407.format(path=checkpoint), stacklevel=2)
    config = config.interpolate()
    data = _digests(config)
    if progress.data not in (None, data):
        differ = sorted(k for k in data if data[k] != (progress.data or {}).get(k))
        what = f"what is in {', '.join(differ)}"
        raise BionerError(Errors.B403.format(path=found[0], what=what))
    progress.data = data
    settings = registry.resolve(config["training"], schema=ConfigSchemaTraining)
    _Run(nlp, config, settings, progress, output).go()
    return nlp


def _check_is_of(checkpoint: Path, config: Config) -> None:
    """Steps, rates and the like may be others than before; what is trained may not."""
    saved = load_config(checkpoint / "pipeline" / "config.cfg")
    before, now = _identity(saved), _identity(config)
    if differ := [what for what in now if now[what] != before[what]]:
        raise BionerError(Errors.B403.format(path=checkpoint, what=", ".join(differ)))


def _identity(config: Config) -> dict[str, Any]:
    """What makes two trainings the same; paths do not. Settings of a model are in it:
    one that is there already does not take others."""
    values = config.interpolate()  # a seed is mostly written as ${system.seed}
    training, components = values["training"], values["components"]
    return {
        "seed": training["seed"],
        "optimizer": training["optimizer"].get("@optimizers"),
        "models": {
            name: _without_names(settings.get("model"))
            for name, settings in components.items()
        },
        "components": {
            name: settings.get("factory") for name, settings in components.items()
        },
        "corpora": {
            name: sorted(reader.get("sources", ()))
            for name, reader in config["corpora"].items()
        },
        "start": config["initialize"],
    }


def _digests(config: Config) -> dict[str, str]:
    """What the corpora hold, wherever they are: others make another training."""
    digests = {}
    for name, reader in config["corpora"].items():
        path = reader.get("path")
        sources = reader.get("sources") or ({"path": path} if path else {})
        for source, path in sources.items():
            place, digest = Path(path), sha256()
            files = sorted(place.rglob("*.spacy")) if place.is_dir() else [place]
            for file in files:
                digest.update(file.read_bytes() if file.is_file() else b"")
            digests[f"{name}.{source}"] = digest.hexdigest()
    return digests


def _without_names(block: Any) -> Any:
    """A config's block without what names a folder or a model on the hub."""
    if not isinstance(block, dict):
        return block
    return {k: _without_names(v) for k, v in block.items() if k != "name"}


def _labels(nlp: Language) -> dict[str, Any]:
    return {name: getattr(pipe, "label_data", None) for name, pipe in nlp.pipeline}


def _settings(nlp: Language) -> dict[str, dict[str, Any]]:
    """What the config says of each component; not what it found in the data."""
    return {
        name: {k: v for k, v in _cfg(pipe).items() if k in nlp.get_pipe_config(name)}
        for name, pipe in nlp.pipeline
    }


def _cfg(pipe: Any) -> dict[str, Any]:
    found = getattr(pipe, "cfg", None)
    return found if isinstance(found, dict) else {}


class _Evaluations:
    """When to evaluate, for spaCy's loop, which counts from the resumption and asks
    whether `step % eval_frequency` is 0. It evaluates its first step whatever that is:
    the answer is then the best score so far, and `due` says that it is none."""

    def __init__(self, evaluate: Callable, first: int, frequency: int, best: float):
        self.evaluate, self.first, self.frequency = evaluate, first, frequency
        self.best, self.due = best, True

    def __rmod__(self, step: int) -> int:
        self.due = (self.first + step) % self.frequency == 0
        return int(step > 0 and not self.due)

    def __call__(self) -> tuple[float, dict[str, Any]]:
        return self.evaluate() if self.due else (self.best, {})


class _Run:
    def __init__(self, nlp, config, settings, progress: Progress, output: Path):
        self.nlp, self.T, self.progress, self.output = nlp, settings, progress, output
        names = [settings["train_corpus"], settings["dev_corpus"]]
        self.corpus, self.dev = resolve_dot_names(config, names)
        self.optimizer: Optimizer = settings["optimizer"]
        self.prepare: Callable = create_before_to_disk_callback(
            settings["before_to_disk"]
        )
        if settings["seed"] is not None:
            fix_random_seed(settings["seed"])
        if progress.epoch:
            restore_optimizer(self.optimizer, nlp, progress.optimizer, progress.step)
            restore_randomness(progress.randomness)
        if hasattr(self.corpus, "epoch"):
            self.corpus.epoch = progress.epoch
        self.step = progress.step

    def go(self) -> None:
        T, first = self.T, self.progress.step
        evaluate = create_evaluation_callback(self.nlp, self.dev, T["score_weights"])
        evaluations: Any = _Evaluations(
            evaluate, first, T["eval_frequency"], self.progress.best
        )
        steps = train_while_improving(
            self.nlp,
            self.optimizer,
            self.batches(),
            evaluations,
            dropout=T["dropout"],
            accumulate_gradient=T["accumulate_gradient"],
            patience=T["patience"],
            max_steps=0,  # seen to below: this loop counts from the resumption
            eval_frequency=evaluations,
            exclude=T["frozen_components"],
            annotating_components=T["annotating_components"],
            before_update=self.before_update(first),
        )
        with self.trained():
            log, finish = T["logger"](self.nlp, sys.stdout, sys.stderr)
        for _, info, _ in steps:
            self.step = info["step"] = first + info["step"]
            if self.step % TIDY == 0:
                give_back()
            if evaluations.due:
                self.keep(info)
            log(info if evaluations.due else None)
            if T["max_steps"] and self.step >= T["max_steps"]:
                break
        finish()
        self.write(self.output / "model-last")

    def trained(self) -> AbstractContextManager:
        """The pipeline without its frozen components."""
        return self.nlp.select_pipes(disable=self.T["frozen_components"])

    def write(self, path: Path) -> None:
        """The pipeline as it was evaluated: with averaged weights, if any."""
        with self.nlp.use_params(self.optimizer.averages or {}):
            self.prepare(self.nlp).to_disk(path)

    def before_update(self, first: int) -> Callable | None:
        """The config's own, told how many steps there were in all."""
        own = self.T["before_update"]
        if own is None:
            return None
        return lambda nlp, args: own(nlp, {**args, "step": first + args["step"]})

    def keep(self, info: dict[str, Any]) -> None:
        """Save the pipeline, also as the best when it is."""
        wanted = [name for name, w in self.T["score_weights"].items() if w]
        if wanted and not set(wanted) & set(info["other_scores"]):
            raise BionerError(Errors.B405.format(wanted=", ".join(wanted)))
        with self.trained():
            update_meta(self.T, self.nlp, info)
        last, best = self.output / "model-last", self.output / "model-best"
        self.write(last)
        if info["score"] >= self.progress.best:  # of equals the last, as in spaCy
            self.progress.best = info["score"]
            shutil.rmtree(best, ignore_errors=True)
            shutil.copytree(last, best)

    def batches(self) -> Iterator[tuple[int, list]]:
        """The batches of every epoch; a checkpoint between epochs.

        A `max_epochs` of 0 or -1 sets no end; -1 streams, as in spaCy.
        """
        T, epoch = self.T, self.progress.epoch
        while T["max_epochs"] < 1 or epoch < T["max_epochs"]:
            if epoch > self.progress.epoch:
                self.save(epoch)
            examples = self.corpus(self.nlp)
            if T["max_epochs"] >= 0:
                examples = list(examples)
                random.shuffle(examples)
            for batch in T["batcher"](examples):
                yield epoch, batch
            epoch += 1

    def save(self, epoch: int) -> None:
        """Write a checkpoint beside the old one, then swap: whenever the run stops,
        a whole one is there."""
        state = Progress(
            epoch,
            self.step + 1,
            self.progress.best,
            optimizer_state(self.optimizer, self.nlp),
            randomness(),
            self.progress.data,
        )
        new, current, old = (
            self.output / name for name in ("checkpoint.new", CHECKPOINT, PREVIOUS)
        )
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        self.nlp.to_disk(new / "pipeline")
        (new / "progress.pkl").write_bytes(pickle.dumps(state))
        if current.exists():
            shutil.rmtree(old, ignore_errors=True)
            current.rename(old)
        new.rename(current)
        shutil.rmtree(old, ignore_errors=True)


def _nodes(nlp: Language) -> list[Any]:
    """Every thinc node and shim of a pipeline, always in the same order."""
    models = [pipe.model for _, pipe in nlp.pipeline if hasattr(pipe, "model")]
    nodes = [n for m in models if hasattr(m, "walk") for n in m.walk()]
    return [part for node in nodes for part in (node, *node.shims)]


def optimizer_state(optimizer: Optimizer, nlp: Language) -> dict[str, Any]:
    """The optimizer's memory, keyed by place: thinc's own keys differ by process."""
    places = {node.id: i for i, node in enumerate(_nodes(nlp))}
    return {
        name: {
            (places[node_id], param): value
            for (node_id, param), value in getattr(optimizer, name).items()
            if node_id in places
        }
        for name in MEMORY
        if getattr(optimizer, name) is not None
    }


def restore_optimizer(
    optimizer: Optimizer, nlp: Language, state: dict[str, Any], step: int
) -> None:
    """Put the memory back and wind the schedules forward to `step`."""
    nodes = _nodes(nlp)
    for name, values in state.items():
        for (place, param), value in values.items():
            if (memory := getattr(optimizer, name)) is not None:
                memory[nodes[place].id, param] = value
    for _ in range(step):
        optimizer.step_schedules()


def randomness() -> dict[str, Any]:
    """The state of every generator that training draws from."""
    state = {"python": random.getstate(), "numpy": np.random.get_state()}
    if torch := sys.modules.get("torch"):
        state["torch"] = torch.get_rng_state()
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_randomness(state: dict[str, Any]) -> None:
    """Go on drawing where `randomness` was called."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    if "torch" in state:
        import torch

        torch.set_rng_state(state["torch"])
        torch.cuda.set_rng_state_all(state.get("cuda", []))
