"""What the commands share."""

import spacy
from toy import cnn_pipeline

from spacy_bioner.cli._util import find_corpora


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
