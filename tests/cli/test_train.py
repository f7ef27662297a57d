"""`spacy bioner train`: what it makes of its arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
from thinc.api import ConfigValidationError
from typer.testing import CliRunner

from spacy_bioner.cli import app
from spacy_bioner.training import loop

CONFIG = Path(__file__).parent.parent.parent / "configs" / "gerbera_multitask.cfg"


@pytest.fixture()
def configs(monkeypatch) -> list:
    """What training would have begun with."""
    seen: list = []
    monkeypatch.setattr(loop, "train", lambda config, *_, **__: seen.append(config))
    return seen


def test_a_bad_setting_is_shown_as_spacy_shows_it(tmp_path):
    arguments = ["train", str(CONFIG), str(tmp_path), "--training.dropout", "abc"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert not isinstance(result.exception, ConfigValidationError)


def test_what_is_said_outright_wins_over_what_is_derived(configs, tmp_path):
    arguments = ["--targets", "mine", "--general", "other", "--steps", "600"]
    overrides = [
        *("--paths.data", "elsewhere", "--training.eval_frequency", "7"),
        *("--corpora.train.weights.other", "0.25"),
    ]
    result = CliRunner().invoke(
        app, ["train", str(CONFIG), str(tmp_path / "out"), *arguments, *overrides]
    )
    assert result.exit_code == 0, result.output
    (config,) = configs
    config = config.interpolate()
    corpus, training = config["corpora"]["train"], config["training"]
    assert corpus["weights"] == {"other": 0.25}
    assert corpus["sources"]["mine"] == "elsewhere/mine/train.spacy"
    assert (training["max_steps"], training["eval_frequency"]) == (600, 7)
    assert training["optimizer"]["learn_rate"]["total_steps"] == 600


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--general", "gum"], 1, "B621"),
        (["--gpu-id", "0"], 1, "B622"),
        (["--foo", "3"], 2, "--foo"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    configs, tmp_path, monkeypatch, arguments, status, message
):
    monkeypatch.setattr("spacy.cli._util.require_gpu", no_gpu)
    arguments = ["train", str(CONFIG), str(tmp_path / "out"), *arguments]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == status and message in result.output
    assert len(result.output.splitlines()) < 4 and not configs


def no_gpu(*_):
    raise ValueError("Cannot use GPU, CuPy is not installed")


def test_a_transformer_needs_spacy_transformers(configs, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_bioner.cli.train.find_spec", lambda name: None)
    result = CliRunner().invoke(app, ["train", str(CONFIG), str(tmp_path / "out")])
    assert result.exit_code == 1 and "BA02" in result.output and not configs


def test_a_pipeline_that_is_not_there(tmp_path):
    config = CONFIG.with_name("gerbera_finetune.cfg")
    arguments = ["--paths.stage1", str(tmp_path / "nosuch")]
    result = CliRunner().invoke(
        app, ["train", str(config), str(tmp_path / "out"), *arguments]
    )
    assert result.exit_code == 1 and "E050" in result.output
    assert len(result.output.splitlines()) < 6
