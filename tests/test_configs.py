"""The committed configs are complete, and say what the command line makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from spacy.cli.init_config import fill_config
from spacy.util import load_config

from spacy_bioner.errors import BionerError
from spacy_bioner.training.tasks import choose_tasks, fit_schedule

ROOT = Path(__file__).parent.parent
# llm_data.cfg is no pipeline's
CONFIGS = sorted(
    set((ROOT / "configs").glob("*.cfg")) - {ROOT / "configs/llm_data.cfg"}
)
GERBERA = sorted((ROOT / "configs").glob("gerbera_*.cfg"))
FIGURES = {
    **{path.stem: "heads_f" for path in GERBERA},
    "nested": "spans_sc_f",
    "filter": "spans_filtered_f",
    "nested_zh": "spans_sc_f",
    "instruct": "instruct_f",
}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_fill_config_changes_nothing(path, tiny_trained, tmp_path):
    """As `spacy init fill-config` sees it; `source` needs a pipeline to be there."""
    source = tmp_path / "source"
    tiny_trained.to_disk(source)
    text = path.read_text("utf8").replace("training/stage1/model-best", str(source))
    (tmp_path / "in.cfg").write_text(text, "utf8")
    before, after = fill_config(tmp_path / "out.cfg", tmp_path / "in.cfg", silent=True)
    assert before == after
    assert before.to_str() == after.to_str()


@pytest.mark.parametrize("path", GERBERA, ids=lambda path: path.stem)
def test_tasks_and_schedule_from_outside(path):
    config = load_config(path)
    chosen = fit_schedule(choose_tasks(config, ["mine"], ["other"]), 200)
    assert set(chosen["corpora"]["train"]["sources"]) == {"mine", "other"}
    assert chosen["corpora"]["train"]["weights"] == {}
    assert chosen["components"]["ner"]["general"] == ["other"]
    rate = chosen["training"]["optimizer"]["learn_rate"]
    assert (rate["total_steps"], rate["warmup_steps"]) == (200, 10)
    assert "mine" not in config["corpora"]["train"]["sources"]  # left as it was
    final = chosen.interpolate()["corpora"]["dev"]["sources"]["mine"]
    assert final == "corpus/mine/dev.spacy"


@pytest.mark.parametrize("rate", [0.01, {"@schedules": "constant.v1", "rate": 0.01}])
def test_a_rate_of_no_given_length_is_no_schedule_to_fit(rate):
    config = load_config(GERBERA[0])
    config["training"]["optimizer"]["learn_rate"] = rate
    training = fit_schedule(config, 200)["training"]
    assert (training["max_steps"], training["optimizer"]["learn_rate"]) == (200, rate)


@pytest.mark.parametrize("name", ["nested", "filter", "nested_zh", "instruct"])
def test_tasks_from_outside_for_every_component(name):
    config = load_config(ROOT / "configs" / f"{name}.cfg")
    chosen = choose_tasks(config, ["mine"], []).interpolate()
    for split in ("train", "dev"):
        corpus = chosen["corpora"][split]
        assert corpus["sources"] == {"mine": f"corpus/mine/{split}.spacy"}
        assert not corpus.get("weights") and not corpus.get("types")
    settings = chosen["initialize"]["components"].values()
    assert not any(one.get("labels") for one in settings)
    with pytest.raises(BionerError, match="B404"):
        choose_tasks(config, ["mine"], ["other"])


def test_score_weights_name_the_figure_that_counts():
    for name, figure in FIGURES.items():
        config = load_config(ROOT / "configs" / f"{name}.cfg")
        assert config["training"]["score_weights"][figure] == 1.0


def test_both_stages_train_the_same_targets():
    stage1, stage2 = (
        load_config(ROOT / "configs" / f"gerbera_{name}.cfg")
        for name in ("multitask", "finetune")
    )
    general = set(stage1["components"]["ner"]["general"])
    for split in ("train", "dev"):
        first, second = (set(c["corpora"][split]["sources"]) for c in (stage1, stage2))
        assert first - general == second - general
