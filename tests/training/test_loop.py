"""A run that was interrupted ends with the weights of one that was not."""

import pickle

import numpy as np
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from thinc.api import Config
from toy import annotate, cnn_pipeline, toy_examples, transformer_pipeline

from spacy_bioner.errors import BionerError
from spacy_bioner.training import loop

STEPS = {"heads_f": 1.0, "ents_f": 0.0}
ADAMW = {
    "@optimizers": "spacy-bioner.AdamW.v1",
    "learn_rate": {
        "@schedules": "warmup_linear.v1",
        "warmup_steps": 3,
        "total_steps": 40,
        "initial_rate": 0.01,
    },
}


class Interrupted(Exception):
    pass


def interrupt_in(monkeypatch, epoch: int) -> None:
    """Let the next training stop after the first step of an epoch."""
    original = loop.train_while_improving

    def steps(*args, **kwargs):
        for item in original(*args, **kwargs):
            if item[1]["epoch"] == epoch:
                raise Interrupted
            yield item

    monkeypatch.setattr(loop, "train_while_improving", steps)


def make_config(folder, nlp, **training) -> Config:
    """Train `nlp` on the toy corpora: 12 documents, 6 in a batch."""
    sources = {}
    for task in ("diseases", "genes"):
        docs = [e.y for e in toy_examples(nlp) if e.y._.bioner_task == task]
        sources[task] = str(folder / f"{task}.spacy")
        DocBin(docs=docs).to_disk(sources[task])
    reader = {"@readers": "spacy-bioner.MultiTaskCorpus.v1", "sources": sources}
    config = nlp.config.copy()
    config["corpora"] = {"train": reader, "dev": reader}
    config["training"].update(
        {
            "dropout": 0.2,
            "max_epochs": 0,
            "max_steps": 0,
            "eval_frequency": 2,
            "patience": 0,
            "batcher": {"@batchers": "spacy.batch_by_sequence.v1", "size": 6},
            "optimizer": ADAMW,
            "score_weights": STEPS,
            **training,
        }
    )
    return Config(config)


def weights(nlp) -> dict[str, np.ndarray]:
    """Every number that training changes."""
    found = {}
    for name, pipe in nlp.pipeline:
        for i, node in enumerate(pipe.model.walk()):
            for param in node.param_names:
                if node.has_param(param):
                    found[f"{name} {i} {param}"] = node.get_param(param).copy()
    if "transformer" in nlp.pipe_names:
        encoder = nlp.get_pipe("transformer").model.transformer
        for name, parameter in encoder.named_parameters():
            found[name] = parameter.detach().numpy().copy()
    return found


def assert_same(one, two) -> None:
    one, two = weights(one), weights(two)
    assert one.keys() == two.keys()
    assert [name for name in one if not np.array_equal(one[name], two[name])] == []


@pytest.mark.parametrize("backbone", ["cnn", "transformer"])
def test_a_run_interrupted_twice_ends_the_same(
    backbone, tiny_encoder, tmp_path, monkeypatch
):
    if backbone == "cnn":
        nlp = cnn_pipeline()
        config = make_config(
            tmp_path, nlp, max_epochs=3, optimizer={"@optimizers": "Adam.v1"}
        )
    else:
        nlp = transformer_pipeline(tiny_encoder)
        config = make_config(tmp_path, nlp, max_epochs=3)
        encoder = config["components"]["transformer"]["model"]
        encoder["transformer_config"]["hidden_dropout_prob"] = 0.2
    config["corpora"]["train"]["weights"] = {"genes": 1.5}  # chance in the reader too
    whole = loop.train(config, tmp_path / "whole")
    for epoch in (1, 2):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            interrupt_in(patch, epoch)
            loop.train(config, tmp_path / "parts")
    parts = loop.train(config, tmp_path / "parts")
    assert_same(whole, parts)
    last = spacy.load(tmp_path / "parts" / "model-last")
    assert_same(whole, last)
    best = spacy.load(tmp_path / "parts" / "model-best")
    assert set(STEPS) <= set(best.meta["performance"])
    assert not (tmp_path / "parts" / "checkpoint.old").exists()


def scores_of(folder) -> dict:
    return srsly.read_json(folder / "meta.json")["performance"]


@pytest.mark.parametrize("frequency", [3, 4, 5])
def test_an_interrupted_run_is_evaluated_at_the_same_steps(
    frequency, tmp_path, monkeypatch, capsys
):
    """Two batches an epoch; epoch 2 begins with step 4. The last step is 10."""
    config = make_config(
        tmp_path, cnn_pipeline(), max_steps=10, eval_frequency=frequency
    )
    loop.train(config, tmp_path / "whole")
    whole = evaluated(capsys)
    assert whole == list(range(0, 11, frequency))
    for epoch in (2, 4):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            interrupt_in(patch, epoch)
            loop.train(config, tmp_path / "parts")
    loop.train(config, tmp_path / "parts")
    assert sorted(set(evaluated(capsys))) == whole
    for model in ("model-best", "model-last"):
        one, two = (spacy.load(tmp_path / run / model) for run in ("whole", "parts"))
        assert_same(one, two)
    loop.train(config, tmp_path / "parts")  # once more, when all is done
    again = spacy.load(tmp_path / "parts" / "model-best")
    assert_same(spacy.load(tmp_path / "whole" / "model-best"), again)


def evaluated(capsys) -> list[int]:
    """The steps in the table that training prints."""
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    return [int(row[1]) for row in rows if len(row) > 3 and row[1].isdigit()]


def test_settings_that_were_changed_hold_when_it_goes_on(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3)
    loop.train(config, tmp_path / "run")
    changed = Config(config)
    changed["components"]["ner"]["ents_policy"] = "keep"
    nlp = loop.train(changed, tmp_path / "run")
    assert nlp.get_pipe("ner").cfg["ents_policy"] == "keep"
    assert set(nlp.get_pipe("ner").heads) == {"diseases", "genes"}


def test_a_dev_set_that_cannot_choose(tmp_path):
    """Else the first step, which had no learning rate yet, would be the best."""
    weights = {"spans_sc_f": 1.0, "heads_f": 0.0, "ents_f": 0.0}
    config = make_config(tmp_path, cnn_pipeline(), max_steps=2, score_weights=weights)
    with pytest.raises(BionerError, match="B405.*spans_sc_f"):
        loop.train(config, tmp_path / "run")


def test_a_finished_run_can_be_prolonged(tmp_path):
    """At max_steps = 2 the checkpoint holds two steps, all that were asked but one."""
    short, long = (make_config(tmp_path, cnn_pipeline(), max_steps=n) for n in (2, 5))
    whole = loop.train(long, tmp_path / "whole")
    first = loop.train(short, tmp_path / "parts")
    again = loop.train(short, tmp_path / "parts")
    assert_same(first, again)
    prolonged = loop.train(long, tmp_path / "parts")
    assert_same(whole, prolonged)
    assert prolonged.config["training"]["max_steps"] == 5
    anew = loop.train(short, tmp_path / "parts", resume=False)
    assert_same(first, anew)


def test_another_training_does_not_go_on_from_a_checkpoint(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3)
    loop.train(config, tmp_path / "run")
    moved = Config(config)
    moved["training"]["dropout"] = 0.1  # other steps are no other training
    loop.train(moved, tmp_path / "run")
    other = Config(config)
    del other["corpora"]["train"]["sources"]["genes"]
    with pytest.raises(BionerError, match="B403.*corpora"):
        loop.train(other, tmp_path / "run")
    fewer = loop.train(other, tmp_path / "run", resume=False)
    assert set(fewer.get_pipe("ner").heads) == {"diseases"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda c: c["training"].update(seed=7), "seed"),
        (lambda c: c["system"].update(seed=7), "seed"),
        (lambda c: c["components"]["ner"]["model"].update(hidden=5), "models"),
        (lambda c: c["training"].update(optimizer={"@optimizers": "Adam.v1"}), "optim"),
    ],
)
def test_another_seed_or_model_is_another_training(tmp_path, change, what):
    """Else the old one would come back as if it were what was asked for."""
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3)
    config["training"]["seed"] = "${system.seed}"  # as in every config of ours
    loop.train(config, tmp_path / "run")
    other = config.copy()
    change(other)
    with pytest.raises(BionerError, match=f"B403.*{what}"):
        loop.train(other, tmp_path / "run")


def test_other_documents_are_another_training(tmp_path):
    """Else nothing would be learnt from them, and nobody told."""
    nlp = cnn_pipeline()
    config = make_config(tmp_path, nlp, max_steps=3)
    loop.train(config, tmp_path / "run")
    progress = tmp_path / "run" / "checkpoint" / "progress.pkl"
    path = tmp_path / "genes.spacy"
    docs = list(DocBin().from_disk(path).get_docs(nlp.vocab))
    DocBin(docs=docs[1:]).to_disk(path)
    with pytest.raises(BionerError, match="B403.*train.genes"):
        loop.train(config, tmp_path / "run")
    older = pickle.loads(progress.read_bytes())
    del older.data  # as checkpoints were before
    progress.write_bytes(pickle.dumps(older))
    loop.train(config, tmp_path / "run")


def test_other_documents_in_a_folder_are_too(tmp_path):
    nlp = cnn_pipeline()
    config = make_config(tmp_path, nlp, max_steps=3)
    genes = tmp_path / "genes"
    genes.mkdir()
    (tmp_path / "genes.spacy").rename(genes / "a.spacy")
    config["corpora"]["train"]["sources"]["genes"] = str(genes)
    config["corpora"]["dev"]["sources"]["genes"] = str(genes)
    loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run")
    (genes / "b.spacy").write_bytes((genes / "a.spacy").read_bytes())
    with pytest.raises(BionerError, match="B403.*train.genes"):
        loop.train(config, tmp_path / "run")


def test_batch_sizes_that_begin_anew_are_told(tmp_path):
    sizes = {"@schedules": "constant.v1", "rate": 6}
    batcher = {"@batchers": "spacy.batch_by_sequence.v1", "size": sizes}
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3, batcher=batcher)
    loop.train(config, tmp_path / "run")
    with pytest.warns(UserWarning, match="B407"):
        loop.train(config, tmp_path / "run")


def test_other_labels_are_another_training(tmp_path):
    nlp = cnn_pipeline()
    config = make_config(tmp_path, nlp, max_steps=3)
    loop.train(config, tmp_path / "run")
    path = tmp_path / "genes.spacy"
    DocBin(docs=[annotate(nlp, "No [p53|PROTEIN] here")]).to_disk(path)
    with pytest.raises(BionerError, match="B403.*labels"):
        loop.train(config, tmp_path / "run")


def test_a_frozen_component_has_no_loss_to_show(tmp_path):
    nlp = cnn_pipeline()
    nlp.add_pipe("tagger")
    nlp.initialize(lambda: [tagged(example) for example in toy_examples(nlp)])
    nlp.to_disk(tmp_path / "source")
    config = make_config(tmp_path, nlp, max_steps=3, frozen_components=["tagger"])
    config["components"]["tagger"] = {"source": str(tmp_path / "source")}
    before = weights(nlp)
    after = weights(loop.train(config, tmp_path / "run"))
    frozen = [name for name in after if name.startswith("tagger")]
    assert frozen and all(np.array_equal(before[n], after[n]) for n in frozen)


def tagged(example):
    for token in example.reference:
        token.tag_ = "NN"
    return example


def test_averaged_weights_are_those_that_are_saved(tmp_path, monkeypatch):
    optimizer = {"@optimizers": "Adam.v1", "use_averages": True, "learn_rate": 0.05}
    config = make_config(tmp_path, cnn_pipeline(), max_steps=8, optimizer=optimizer)
    last = loop.train(config, tmp_path / "whole")
    saved = weights(spacy.load(tmp_path / "whole" / "model-last"))
    assert any(not np.array_equal(saved[n], w) for n, w in weights(last).items())
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_in(patch, 2)
        loop.train(config, tmp_path / "parts")
    assert_same(last, loop.train(config, tmp_path / "parts"))
    for model in ("model-best", "model-last"):
        one, two = (spacy.load(tmp_path / run / model) for run in ("whole", "parts"))
        assert_same(one, two)


def test_a_new_run_leaves_nothing_of_the_old_one(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3)
    for model in ("model-best", "model-last"):
        (tmp_path / "run" / model / "second").mkdir(parents=True)
    loop.train(config, tmp_path / "run", resume=False)
    assert not list((tmp_path / "run").rglob("second"))


def test_a_seed_of_none(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=1, seed=None)
    assert loop.train(config, tmp_path / "run").pipe_names


def test_a_crash_while_the_checkpoints_are_swapped_loses_nothing(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=5)
    whole = loop.train(config, tmp_path / "run")
    (tmp_path / "run" / "checkpoint").rename(tmp_path / "run" / "checkpoint.old")
    (tmp_path / "run" / "checkpoint.new").mkdir()  # half written
    assert_same(whole, loop.train(config, tmp_path / "run"))


def test_a_stream_trains_too(tmp_path):
    config = make_config(tmp_path, cnn_pipeline(), max_steps=3, max_epochs=-1)
    before = weights(loop.init_nlp(config))
    after = weights(loop.train(config, tmp_path / "run"))
    genes = [name for name in after if "genes:" in name]
    assert len(genes) == 4
    assert not any(np.array_equal(before[name], after[name]) for name in genes)
