"""The committed lists of documents: what is measured on is never trained on."""

from __future__ import annotations

from pathlib import Path

import pytest
import srsly
from spacy.util import load_config

from spacy_bioner.corpora.document import SourceDocument
from spacy_bioner.corpora.select import read_ids, shared_out, without_ids

ROOT = Path(__file__).parent.parent.parent
SPLITS = ROOT / "assets" / "splits"
NOT_NESTED = SPLITS / "jnlpba-not-nested.txt"


def pmids() -> dict[str, str]:
    """JNLPBA's name of each document on the list, and its PMID."""
    lines = NOT_NESTED.read_text("utf8").splitlines()
    rows = (line.split(" # ") for line in lines if not line.startswith("#"))
    return dict(rows)


@pytest.mark.parametrize("corpus", ["genia", "gum"])
def test_splits_share_no_document(corpus):
    train, dev, test = (
        read_ids(SPLITS / f"{corpus}-{split}.txt") for split in ("train", "dev", "test")
    )
    assert train and dev and test
    assert not (train & dev or train & test or dev & test)


def test_the_list_names_all_of_genias_dev_and_test_abstracts():
    dev, test = (read_ids(SPLITS / f"genia-{split}.txt") for split in ("dev", "test"))
    assert len(dev | test) == 183
    assert set(pmids().values()) == dev | test
    assert read_ids(NOT_NESTED) == set(pmids()) and len(pmids()) == 183


def test_the_sentences_of_bc2gm_are_from_those_abstracts():
    wanted = {int(pmid) for pmid in pmids().values()}
    names = read_ids(SPLITS / "bc2gm-not-nested.txt")  # P00012345A0067: PMID 12345
    assert names and {int(name[1:9]) for name in names} <= wanted


def test_jnlpbas_own_lists_are_no_substitute():
    """They leave GENIA's test abstracts in dev, and its dev abstracts in train."""
    dev, held = (read_ids(SPLITS / f"jnlpba-{n}.txt") for n in ("dev", "not-train"))
    test = read_ids(SPLITS / "genia-test.txt")
    assert {name for name, pmid in pmids().items() if pmid in test} <= dev
    assert len(set(pmids()) - held) == 99


def test_lists_with_remarks_leave_documents_out():
    name = next(iter(pmids()))
    documents = [SourceDocument(name, "a"), SourceDocument("1", "b")]
    left = without_ids(documents, NOT_NESTED, set())
    assert [document.id for document in left] == ["1"]


def test_nested_pipelines_train_on_their_training_set_alone():
    for name, corpus in [("nested", "genia"), ("nested_zh", "cmeee")]:
        config = load_config(ROOT / "configs" / f"{name}.cfg", interpolate=True)
        for split in ("train", "dev"):
            source = f"corpus/{corpus}/{split}.spacy"
            assert config["corpora"][split]["sources"] == {corpus: source}


def test_a_nested_encoder_never_sees_genias_dev_and_test_abstracts():
    project = srsly.read_yaml(ROOT / "project.yml")
    scripts = {command["name"]: command["script"] for command in project["commands"]}
    for corpus in ("jnlpba", "bc2gm"):
        without = f"--without assets/splits/{corpus}-not-nested.txt"
        lines = scripts[f"convert-{corpus}-for-nested"]
        assert lines and all(without in line for line in lines)
    train, save = scripts["train-nested-encoder"]
    # AnatEM shares none of these abstracts; the base is a raw encoder.
    assert "--targets jnlpba_not_nested,bc2gm_not_nested,anatem " in train
    assert "--paths.encoder ${vars.base} " in train and "--general" not in train
    assert save.endswith("training/nested_encoder/model-best ${vars.nested_encoder}")


def test_nested_pipelines_and_their_teachers_never_see_them():
    project = srsly.read_yaml(ROOT / "project.yml")
    scripts = {command["name"]: command["script"] for command in project["commands"]}
    (more,) = scripts["convert-more-for-nested"]
    taught = "--without assets/splits/jnlpba-in-genia.txt"
    assert "--without assets/splits/jnlpba-not-nested.txt" in more and taught in more
    read = {line.split(" teach ")[1].split()[0] for line in scripts["teach-nested"]}
    corpora = ("genia", "jnlpba_not_genia")
    assert read == {"${vars.data}/" + f"{name}/train.spacy" for name in corpora}
    trainings = [*scripts["train-nested-teachers"][::2], *scripts["train-nested"]]
    assert all("--paths.encoder ${vars.base} " in line for line in trainings)
    in_genia = read_ids(SPLITS / "jnlpba-in-genia.txt")
    assert len(in_genia) == len(read_ids(SPLITS / "genia-train.txt"))
    assert not in_genia & read_ids(NOT_NESTED)


def test_shares_are_a_split_that_needs_no_list():
    documents = [SourceDocument(str(n), f"text {n % 300}") for n in range(600)]
    parts = [list(shared_out(documents, part)) for part in (":80", "80:90", "90:")]
    assert sum(map(len, parts)) == 600
    assert 430 < len(parts[0]) < 530
    texts = [{document.text for document in part} for part in parts]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    assert list(shared_out(documents[::-1], ":80")) == parts[0][::-1]
