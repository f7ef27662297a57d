"""A component's settings: what its config says, and what became of them since."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import TrainablePipe

GIVEN = "given"


def make_cfg(given: dict[str, Any], **learnt: Any) -> dict[str, Any]:
    """A component's `cfg`.

    given (dict): What its config says. A copy stands under "given", for settings may
        change: calibration and users set them in `cfg`.
    learnt: What else is saved with it, to begin with.
    """
    return {**given, **learnt, GIVEN: copy.deepcopy(given)}


def take_cfg(target: Any, source: Any, **changes: Any) -> None:
    """Set a component as another of its class is, but for `changes`."""
    given = target.cfg[GIVEN]
    target.cfg.update(copy.deepcopy(source.cfg), **{**changes, GIVEN: given})


def settings_of(pipe: Any) -> dict[str, Any]:
    """What a component's config would have to say for its settings to be these."""
    return {key: copy.deepcopy(pipe.cfg[key]) for key in pipe.cfg[GIVEN]}


def update_config(nlp: Language) -> None:
    """Let a pipeline's config say what is in force."""
    for name, pipe in nlp.components:
        if isinstance(pipe, Configured):
            nlp.get_pipe_config(name).update(settings_of(pipe))
            pipe.cfg[GIVEN] = settings_of(pipe)  # or a later change would be undone


class Configured(TrainablePipe):
    """A component that keeps its settings in a `cfg` of `make_cfg`.

    spaCy builds a component by its config and then loads `cfg` over that, so that a
    setting in `spacy.load(path, config=...)` would be lost without a word. Here one
    that the config says otherwise than when the component was saved wins.
    """

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()):
        """Load what `to_disk` wrote, but for settings that are given anew."""
        given = self.cfg[GIVEN]
        super().from_disk(path, exclude=exclude)
        self._prefer(given)
        return self

    def from_bytes(self, bytes_data: bytes, *, exclude: Iterable[str] = ()):
        """Load what `to_bytes` gave, but for settings that are given anew."""
        given = self.cfg[GIVEN]
        super().from_bytes(bytes_data, exclude=exclude)
        self._prefer(given)
        return self

    def _prefer(self, given: dict[str, Any]) -> None:
        before = self.cfg[GIVEN]
        anew = {k: v for k, v in given.items() if v != before.get(k, v)}
        self.cfg |= copy.deepcopy(anew)
        self.cfg[GIVEN] = given
        if anew:
            self._settings_changed(anew)

    def _settings_changed(self, anew: Iterable[str]) -> None:
        """For what depends on settings; `anew` names those that are others now."""
