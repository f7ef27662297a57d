"""From documents to chats to a trained model and back to spans, in two languages."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.cli._util import app
from typer.testing import CliRunner

import spacy_bioner.cli  # noqa: F401  (hangs the commands on spaCy's app)
from spacy_bioner.cli.llm import measure, use_threads
from spacy_bioner.errors import BionerError
from spacy_bioner.llm.data import make_rows, mix, read_docs, read_sources
from spacy_bioner.llm.finetune import finetune
from spacy_bioner.llm.generate import make_local_causal

from .tiny import TAGGED, config, learn_by_heart, make_base, write_corpus

pytest.importorskip("spacy_llm", reason="needs spacy-llm")
pytest.importorskip("torch", reason="needs torch")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Corpora, chats, and a model that knows them by heart."""
    folder = tmp_path_factory.mktemp("llm")
    write_corpus(folder)
    sources = read_sources(config(folder), folder)
    made = [
        make_rows(source, drop_types=0.0, empty=1.0, seed=0)[0]
        for source in sources.values()
    ]
    srsly.write_jsonl(folder / "chats.jsonl", mix(made, 0))
    make_base(folder / "chats.jsonl", folder / "base", width=48, positions=512)
    chosen = learn_by_heart(folder / "base")
    finetune(chosen, folder / "chats.jsonl", folder / "out", log=print)
    return folder


ON_CPU = ("--device", "cpu", "--dtype", "float32")


def local(folder, **settings):
    name = str(folder / "out" / "model-last")
    fast = {"dtype": "float32", "device": "cpu", "max_new_tokens": 80}
    return make_local_causal(name, **{**fast, **settings})


def prompts_and_answers(folder) -> tuple[list[str], list[str]]:
    rows = list(srsly.read_jsonl(folder / "chats.jsonl"))
    pairs = [[m["content"] for m in row["messages"]] for row in rows]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_answers_are_the_learnt_ones_in_any_batches(folder, batch_size):
    prompts, answers = prompts_and_answers(folder)
    assert local(folder, batch_size=batch_size).answer(prompts) == answers


def test_answers_go_to_their_documents(folder):
    prompts, answers = prompts_and_answers(folder)
    nested = [[], prompts[:2], [], prompts[2:]]
    expected = [[], answers[:2], [], answers[2:]]
    assert list(local(folder)(nested)) == expected
    assert list(local(folder)([])) == [] and list(local(folder)([[]])) == [[]]


def test_the_models_own_settings_do_not_make_it_sample(folder):
    prompts, answers = prompts_and_answers(folder)
    model = local(folder)
    own = model.load()[0].generation_config
    own.do_sample, own.temperature, own.top_k = True, 100.0, 0
    assert model.answer(prompts) == answers
    hot = local(folder, config={"do_sample": True, "temperature": 9.0}, keep_cut=True)
    once = hot.answer(prompts)
    assert once != answers and once == hot.answer(prompts)


def test_answers_that_do_not_end(folder):
    prompts, answers = prompts_and_answers(folder)
    with pytest.raises(BionerError, match="B719.*3 tokens"):
        local(folder, max_new_tokens=3).answer(prompts)
    cut = local(folder, max_new_tokens=3, keep_cut=True).answer(prompts)
    assert all(a.startswith(c) for a, c in zip(answers, cut, strict=True))
    assert cut != answers
    with pytest.raises(BionerError, match="B718.*512 positions"):
        local(folder, max_new_tokens=500).answer(prompts)


def test_what_ended_is_not_generated_again(folder, tmp_path, monkeypatch):
    prompts, answers = prompts_and_answers(folder)
    cache = str(tmp_path / "new" / "answers.jsonl")
    shortest = min(answers, key=len)
    with pytest.raises(BionerError, match="B719"):
        local(folder, max_new_tokens=12, cache=cache).answer(prompts)
    assert [row["answer"] for row in srsly.read_jsonl(cache, skip=True)] == [shortest]
    model, asked = local(folder, cache=cache), []
    generate = model._generate
    monkeypatch.setattr(model, "_generate", lambda r: asked.extend(r) or generate(r))
    assert model.answer(prompts) == answers and len(asked) == len(prompts) - 1
    assert model.answer(prompts) == answers and len(asked) == len(prompts) - 1
    used = pickle.loads(pickle.dumps(local(folder, cache=cache)))
    assert used.answer(prompts) == answers and used._loaded is None
    assert model._key("a", 1) != model._key("a", 2) != model._key("b", 2)


@pytest.mark.parametrize("setting", ["max_new_tokens", "batch_size"])
def test_settings_that_cannot_be(setting):
    with pytest.raises(BionerError, match=f"B709.*{setting}"):
        make_local_causal("none", **{setting: 0})


def test_what_has_a_setting_of_its_own_is_not_in_the_config():
    with pytest.raises(BionerError, match="B709.*max_new_tokens"):
        make_local_causal("none", config={"max_new_tokens": 9, "num_beams": 2})


def test_nothing_is_loaded_before_the_first_document(folder):
    model = make_local_causal(str(folder / "nowhere"))
    with pytest.raises(BionerError, match="B716"):
        model.answer(["a"])
    used = local(folder)
    used.load()
    assert pickle.loads(pickle.dumps(used))._loaded is None


def test_an_adapter_is_loaded_by_its_folder(folder, tmp_path):
    pytest.importorskip("peft", reason="needs peft")
    prompts, answers = prompts_and_answers(folder)
    base = folder / "out" / "model-last"
    rows = list(srsly.read_jsonl(folder / "chats.jsonl"))
    for row in rows:
        row["messages"][1]["content"] = "NONE"
    srsly.write_jsonl(tmp_path / "none.jsonl", rows)
    chosen = learn_by_heart(base, rank=4, epochs=40)
    finetune(chosen, tmp_path / "none.jsonl", tmp_path / "out", log=print)
    adapter = tmp_path / "out" / "model-last"
    assert not (adapter / "model.safetensors").exists()
    settings = {"dtype": "float32", "device": "cpu", "max_new_tokens": 80}
    found = make_local_causal(str(adapter), **settings).answer(prompts)
    assert set(found) == {"NONE"} != set(answers)


# The commands


def write_config(folder: Path) -> Path:
    from thinc.api import Config

    path = folder / "llm.cfg"
    Config(config(folder)).to_disk(path)
    return path


def run(*args):
    result = CliRunner().invoke(app, ["bioner", *map(str, args)])
    return result.exit_code, result.output


def test_llm_data_writes_what_was_learnt(folder, tmp_path):
    out = tmp_path / "deep" / "chats.jsonl"
    code, output = run("llm-data", write_config(folder), out)
    assert code == 0 and "6 chats" in output, output
    assert list(srsly.read_jsonl(out)) == list(srsly.read_jsonl(folder / "chats.jsonl"))
    args = "--data.sources.en.weight", "3", "--data.drop_types", "1.5"
    code, output = run("llm-data", write_config(folder), out, *args)
    assert code == 1 and "B709" in output


def test_llm_train_goes_on_and_says_where_the_model_is(folder, tmp_path):
    fast = ["--rank", 0, "--epochs", 2, "--save-every", 1, *ON_CPU]
    args = folder / "base", folder / "chats.jsonl", tmp_path / "out"
    code, output = run("llm-train", *args, *fast)
    assert code == 0 and "step 2/2" in output, output
    assert (tmp_path / "out" / "model-last" / "config.json").exists()
    code, output = run("llm-train", *args, *fast)
    assert code == 0 and "going on after step 2" in output, output
    code, output = run("llm-train", *args, *fast, "--seed", "4")
    assert code == 1 and "B717" in output and "seed" in output
    code, output = run("llm-train", *args, *fast, "--seed", "4", "--restart")
    assert code == 0 and "going on" not in output, output


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_llm_generate_finds_the_gold(folder, tmp_path, lang):
    path, model = write_config(folder), folder / "out" / "model-last"
    out, saved = tmp_path / "out.spacy", tmp_path / "pipeline"
    args = ["llm-generate", path, model, folder / f"{lang}.spacy", out]
    fast = ["--max-new-tokens", 80, *ON_CPU]
    code, output = run(*args, "--source", lang, *fast, "--pipeline", saved)
    assert code == 0 and "F1 1.0000" in output, output
    docs = list(read_docs(out, spacy.blank(lang)))
    assert [doc.text for doc in docs] == [text for text, _ in TAGGED[lang]]
    for doc in docs:
        group, gold = doc.spans["llm_candidates"], doc.spans["gold"]
        assert {(s.start, s.end, s.label_) for s in group} == {
            (s.start, s.end, s.label_) for s in gold
        }
        report = group.attrs["report"]
        assert not report["repaired"] and not report["dropped"]
        assert report["pieces"] == 1 and report["unanswered"] == 0
    (doc,) = spacy.load(saved).pipe([docs[0].text])
    assert len(doc.spans["llm_candidates"]) == len(docs[0].spans["gold"])


def test_llm_generate_does_not_write_over_what_it_measures_against(folder, tmp_path):
    path, model = write_config(folder), folder / "out" / "model-last"
    args = ["llm-generate", path, model, folder / "en.spacy", tmp_path / "out.spacy"]
    key = ["--source", "en", "--data.sources.en.task.spans_key", "gold"]
    code, output = run(*args, *key, *ON_CPU)
    assert code == 1 and "B723" in output and not (tmp_path / "out.spacy").exists()


def test_what_nobody_annotated_is_not_measured(folder):
    source = read_sources(config(folder), folder)["en"]
    docs = list(read_docs(folder / "en.spacy", spacy.blank("en")))
    for doc in docs:
        doc.spans["llm_candidates"] = list(doc.spans["gold"])
    for doc in docs[1:]:
        del doc.spans["gold"]
    score = measure(docs, source)
    assert score is not None and score.precision == score.recall == 1.0


def test_threads_are_set_if_asked_for():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    use_threads(0)
    assert torch.get_num_threads() == before
    use_threads(1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(before)


def test_llm_generate_fails_on_request(folder, tmp_path):
    path, out = write_config(folder), tmp_path / "out.spacy"
    kept = tmp_path / "out.spacy.answers.jsonl"
    args = ["llm-generate", path, folder / "out/model-last", folder / "en.spacy", out]
    args += ["--source", "en", *ON_CPU, "--max-new-tokens"]
    code, output = run(*args, 12)
    assert code == 1 and "B719" in output and "NONE" in kept.read_text("utf8")
    code, output = run(*args, 80)
    assert code == 0 and "F1 1.0000" in output and not kept.exists(), output
    args = ["llm-generate", path, folder / "base", folder / "en.spacy", out]
    code, output = run(*args)
    assert code == 1 and "B711" in output and "en, zh" in output
    fast = ["--source", "en", "--max-new-tokens", 5, *ON_CPU]
    code, output = run(*args, *fast, "--keep-cut", "--at-least", "0.9")
    assert code == 1 and "B721" in output, output
    assert out.exists()  # to look at
