"""What the commands share."""

from types import SimpleNamespace

from spacy_bioner.cli._util import find_corpora


def test_a_named_file_stands_for_the_corpus_in_the_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("a/dev.spacy", "a/held.spacy", "b/dev.spacy"):
        (tmp_path / name).touch()
    heads = dict.fromkeys(("a", "b", "everyday"))
    tagger = SimpleNamespace(heads=heads, cfg={"general": ["everyday"]})
    held = tmp_path / "a/held.spacy"
    files = find_corpora(tagger, [f"a={held}"], "", tmp_path, "dev")
    assert files == {"a": held, "b": tmp_path / "b/dev.spacy"}
