"""Which settings win: those of the config, or those that were saved."""

from __future__ import annotations

import json

import pytest
import spacy
from toy import cnn_pipeline, toy_examples

from spacy_bioner.errors import BionerError
from spacy_bioner.pipeline.settings import settings_of, update_config

POLICY = {"components.ner.ents_policy": "keep"}


def policy_of(nlp):
    return nlp.get_pipe("ner").cfg["ents_policy"]


def test_a_setting_given_when_loading_wins(untrained, tmp_path):
    untrained.to_disk(tmp_path / "a")
    nlp = spacy.load(tmp_path / "a", config=POLICY)
    assert policy_of(nlp) == nlp.config["components"]["ner"]["ents_policy"] == "keep"
    assert nlp.get_pipe("ner").heads == untrained.get_pipe("ner").heads
    nlp.to_disk(tmp_path / "b")
    assert policy_of(spacy.load(tmp_path / "b")) == "keep"


def test_a_setting_changed_before_saving_stays(untrained, tmp_path):
    untrained.get_pipe("ner").cfg["ents_policy"] = "prefer"
    untrained.to_disk(tmp_path)
    key = {"components.ner.spans_key": "mine"}
    nlp = spacy.load(tmp_path, config=key)
    assert policy_of(nlp) == "prefer"
    assert nlp.get_pipe("ner").cfg["spans_key"] == "mine"
    copy = spacy.blank("en").from_config(untrained.config)
    assert policy_of(copy.from_bytes(untrained.to_bytes())) == "prefer"
    assert policy_of(spacy.load(tmp_path, config=POLICY)) == "keep"


def test_heads_made_general_when_loading_are_not_run(untrained, tmp_path):
    untrained.to_disk(tmp_path)
    general = {"components.ner.general": ["diseases"]}
    doc = spacy.load(tmp_path, config=general)("IL2 in asthma")
    assert "diseases" not in doc.spans["gerbera"].attrs["heads"]
    with pytest.raises(BionerError, match="B302"):
        spacy.load(tmp_path, config={"components.ner.owners": {"GENE": "no"}})


def test_pipelines_saved_before_settings_were_remembered_load(untrained, tmp_path):
    untrained.get_pipe("ner").cfg["ents_policy"] = "prefer"
    untrained.to_disk(tmp_path)
    path = tmp_path / "ner" / "cfg"
    saved = json.loads(path.read_text("utf8"))
    del saved["given"]
    path.write_text(json.dumps(saved), "utf8")
    assert policy_of(spacy.load(tmp_path)) == "prefer"


def test_the_config_can_say_what_is_in_force(tmp_path):
    nlp = cnn_pipeline(owners={"GENE": "genes"})
    nlp.initialize(lambda: toy_examples(nlp))
    ner = nlp.get_pipe("ner")
    ner.cfg["owners"] = {"DISEASE": "diseases"}
    update_config(nlp)
    assert nlp.config["components"]["ner"]["owners"] == {"DISEASE": "diseases"}
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path).get_pipe("ner")
    assert settings_of(loaded) == settings_of(ner)
    ner.cfg["owners"] = {"GENE": "genes"}  # and changed again, by hand
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("ner").cfg["owners"] == {"GENE": "genes"}


def test_a_threshold_given_when_loading_is_that_of_every_label():
    nlp = spacy.blank("en")
    spancat = nlp.add_pipe("nested_spancat")
    spancat.cfg.update(labels=["A", "B"], thresholds={"A": 0.7})
    data = spancat.to_bytes(exclude=["model"])
    again = spacy.blank("en").add_pipe("nested_spancat", config={"threshold": 0.9})
    again.from_bytes(data, exclude=["model"])
    assert again.thresholds == [0.9, 0.9]
    same = spacy.blank("en").add_pipe("nested_spancat")
    same.from_bytes(data, exclude=["model"])
    assert same.thresholds == pytest.approx([0.7, 0.5])
