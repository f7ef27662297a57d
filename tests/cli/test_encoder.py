"""`spacy bioner encoder`: what it writes and refuses."""

from __future__ import annotations

import numpy as np
import pytest
import spacy
from typer.testing import CliRunner

from spacy_bioner.cli import app


def run(*args):
    return CliRunner().invoke(app, ["encoder", *map(str, args)])


def test_a_new_pipeline_starts_from_the_trained_encoder(tiny_trained, tmp_path):
    tiny_trained.to_disk(tmp_path / "trained")
    result = run(tmp_path / "trained", tmp_path / "encoder")
    assert result.exit_code == 0, result.output
    old = tiny_trained.get_pipe("transformer")
    model = {**tiny_trained.config["components"]["transformer"]["model"]}
    model["name"] = str(tmp_path / "encoder")
    nlp = spacy.blank("en")
    new = nlp.add_pipe("transformer", config={"model": model})
    nlp.initialize()
    docs = [nlp.make_doc("Renal cancer of BRCA1 carriers.")]
    one, two = (
        pipe.predict(docs).model_output.last_hidden_state for pipe in (old, new)
    )
    np.testing.assert_allclose(one, two, atol=1e-5)


@pytest.mark.parametrize("name", ["blank", "nowhere"])
def test_it_refuses_a_pipeline_without_one(tmp_path, name):
    spacy.blank("en").to_disk(tmp_path / "blank")
    result = run(tmp_path / name, tmp_path / "encoder")
    assert result.exit_code == 1
    assert ("B615" if name == "blank" else "B601") in result.output
    assert not (tmp_path / "encoder").exists()
