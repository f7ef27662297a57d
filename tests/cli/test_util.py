"""What the commands share."""

from pathlib import Path

import pytest
import spacy
from toy import cnn_pipeline

from spacy_bioner.cli._util import check_suffix, find_corpora, load_folder
from spacy_bioner.errors import BionerError


def test_a_named_file_stands_for_the_corpus_in_the_folder(tmp_path):
    for folder in ("a", "b", "nests"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dev.spacy").touch()
    held = tmp_path / "a/held.spacy"
    held.touch()
    nlp = cnn_pipeline(general=["everyday"])
    nlp.get_pipe("ner").cfg["heads"] = dict.fromkeys(("a", "b", "everyday"))
    nlp.add_pipe("nested_spancat", config={"task": "nests"})
    nlp.add_pipe("nested_spancat", name="of all tasks")
    files = find_corpora(nlp, [f"a={held}"], "", tmp_path, "dev")
    expected = {task: tmp_path / task / "dev.spacy" for task in ("b", "nests")}
    assert files == {"a": held, **expected}
    only = find_corpora(spacy.blank("en"), [], "b", tmp_path, "dev")
    assert only == {"b": tmp_path / "b" / "dev.spacy"}


def test_what_is_changed_in_place_is_a_folder():
    """Of an installed package a copy would be changed, in the folder one is in."""
    with pytest.raises(BionerError, match="B601.*en_bioner_gerbera.*folder"):
        load_folder(Path("en_bioner_gerbera"))


def test_a_file_that_no_command_would_find():
    check_suffix(Path("a.spacy"))
    with pytest.raises(BionerError, match="B105"):
        check_suffix(Path("a"))
