"""What is learnt, and that an interruption changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import srsly

from spacy_bioner.errors import BionerError
from spacy_bioner.llm.finetune import (
    IGNORED,
    Chat,
    Settings,
    answer_loss,
    collate,
    count_steps,
    finetune,
    learn_rate,
    make_batches,
    make_trainable,
    read_chats,
)

from .tiny import make_base

pytest.importorskip("peft", reason="needs peft: pip install 'spacy-bioner[llm-train]'")
PAIRS = [("Tag: gout", "[gout]"), ("Tag: no gout", "no [gout]"), ("Tag: well", "NONE")]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def chats(tmp_path):
    roles = ("user", "assistant")
    rows = [
        {
            "messages": [
                {"role": r, "content": c} for r, c in zip(roles, pair, strict=True)
            ]
        }
        for pair in PAIRS
    ]
    srsly.write_jsonl(tmp_path / "chats.jsonl", rows)
    make_base(tmp_path / "chats.jsonl", tmp_path / "base", width=16, positions=64)
    return tmp_path / "chats.jsonl"


def settings(chats, **changes) -> Settings:
    base = str(chats.parent / "base")
    tiny = Settings(base, rank=4, dropout=0.2, epochs=4, batch=2, at_once=1, seed=1)
    fast = {"device": "cpu", "dtype": "float32", "save_every": 2, "learn_rate": 1e-2}
    return replace(tiny, **{**fast, **changes})


def tokenizer_of(chats):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(chats.parent / "base")


def weights_of(folder) -> dict:
    from safetensors.numpy import load_file

    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same(one: dict, other: dict) -> bool:
    return set(one) == set(other) and all((one[k] == other[k]).all() for k in one)


# Chats


def test_without_a_template_answers_follow_a_line_break(chats):
    tokenizer = tokenizer_of(chats)
    for chat, (prompt, answer) in zip(read_chats(chats, tokenizer), PAIRS, strict=True):
        assert tokenizer.decode(chat.ids[: chat.start]) == f"{prompt}\n"
        assert tokenizer.decode(chat.ids[chat.start : -1]) == answer
        assert chat.ids[-1] == tokenizer.eos_token_id


def test_a_chat_template_is_used_where_there_is_one(chats):
    tokenizer = tokenizer_of(chats)
    tokenizer.add_tokens(["<user>", "<assistant>"])
    tokenizer.chat_template = TEMPLATE
    (chat, *_) = read_chats(chats, tokenizer)
    assert tokenizer.decode(chat.ids[: chat.start]) == "<user>Tag: gout<assistant>"
    assert tokenizer.decode(chat.ids[chat.start : -1]) == "[gout]"


@pytest.mark.parametrize(
    "line", ["no JSON", "[]", "{}", '{"messages": []}', '{"messages": [{"role": "x"}]}']
)
def test_lines_that_are_no_chats(chats, line):
    chats.write_text(f"\n{line}\n", "utf8")
    with pytest.raises(BionerError, match="B713.*:2"):
        read_chats(chats, tokenizer_of(chats))


# Steps


def test_only_answers_are_asked_for():
    ids, mask, labels = collate([Chat([5, 6, 7, 8], 2), Chat([9, 4], 1)], "cpu")
    assert ids.tolist() == [[5, 6, 7, 8], [9, 4, 0, 0]]
    assert mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    skip = IGNORED
    assert labels.tolist() == [[skip, skip, 7, 8], [skip, 4, skip, skip]]


def test_the_loss_of_some_chats_is_that_of_each(chats):
    import torch

    model = make_trainable(settings(chats, rank=0)).eval()
    found = read_chats(chats, tokenizer_of(chats))
    together = answer_loss(model, found, "cpu", "float32")
    alone = sum(answer_loss(model, [chat], "cpu", "float32") for chat in found)
    assert torch.allclose(together, alone, rtol=1e-5)
    tokens = sum(len(chat.ids) - chat.start for chat in found)
    chance = torch.log(torch.tensor(float(model.config.vocab_size)))
    assert together.item() / tokens == pytest.approx(chance.item(), abs=0.5)


def test_an_epoch_holds_every_chat_once(chats):
    chosen = settings(chats, epochs=3, batch=4)
    batches = list(make_batches(10, chosen))
    assert len(batches) == count_steps(10, chosen) == 9
    for epoch in range(3):
        seen = Counter(i for batch in batches[3 * epoch : 3 * epoch + 3] for i in batch)
        assert seen == Counter(range(10))
    assert batches[:3] != batches[3:6] and batches == list(make_batches(10, chosen))


def test_the_learning_rate_goes_up_and_down():
    chosen = Settings("base", learn_rate=1.0, warmup=0.1)
    rates = [learn_rate(step, 100, chosen) for step in range(100)]
    assert max(rates) <= 1.0 and max(rates) > 0.98
    top = rates.index(max(rates))
    assert 8 <= top <= 11 and rates[0] == pytest.approx(0.1)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True) and 0 < rates[-1] < 0.02


# Runs


def test_an_interrupted_run_ends_as_one_that_was_not(chats, tmp_path):
    finetune(
        settings(chats), chats, tmp_path / "whole", dev=chats, log=lambda line: None
    )

    def stop(line):
        if line.startswith("step 4"):
            raise KeyboardInterrupt

    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        finetune(settings(chats), chats, tmp_path / "two", dev=chats, log=stop)
    finetune(settings(chats), chats, tmp_path / "two", dev=chats, log=lines.append)
    assert "going on after step 4" in lines
    assert [line.split()[1] for line in lines if "loss" in line] == ["6/8", "8/8"]
    for name in ("model-last", "model-best"):
        assert same(*(weights_of(tmp_path / run / name) for run in ("whole", "two")))
    other = settings(chats, learn_rate=0.5)
    with pytest.raises(BionerError, match="B717.*learn_rate"):
        finetune(other, chats, tmp_path / "two", dev=chats)


@pytest.mark.parametrize(
    "changes",
    [{"rank": 4}, {"rank": 0}, {"rank": 4, "dtype": "bfloat16", "recompute": True}],
    ids=["adapters", "all weights", "bfloat16"],
)
def test_the_loss_falls(chats, tmp_path, changes):
    lines: list[str] = []
    chosen = settings(chats, epochs=12, save_every=1, **changes)
    folder = finetune(chosen, chats, tmp_path / "out", dev=chats, log=lines.append)
    losses = [float(line.split()[5]) for line in lines if "dev" in line]
    share = 0.97 if chosen.rank else 0.8  # adapters on random weights learn little
    assert losses[-1] < share * losses[0] and folder.name == "model-best"
    adapter = (folder / "adapter_config.json").exists()
    assert adapter == bool(chosen.rank)


def test_only_adapters_are_learnt(chats):
    model = make_trainable(settings(chats))
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    assert names and all("lora_" in name for name in names)


def test_four_bits(chats, tmp_path):
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    make_base(chats, chats.parent / "base", width=64)  # on a CPU it packs rows by 32
    chosen = settings(chats, four_bit=True, epochs=6, save_every=1, dtype="bfloat16")
    lines: list[str] = []
    folder = finetune(chosen, chats, tmp_path / "out", dev=chats, log=lines.append)
    losses = [float(line.split()[5]) for line in lines if "dev" in line]
    assert losses[-1] < losses[0] and (folder / "adapter_config.json").exists()


def test_four_bits_need_their_library(chats, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BionerError, match="B715.*bitsandbytes"):
        make_trainable(settings(chats, four_bit=True))
    with pytest.raises(BionerError, match="B709.*rank"):
        make_trainable(settings(chats, four_bit=True, rank=0))


def test_too_long_chats_are_left_out(chats, tmp_path):
    lines: list[str] = []
    longest = max(len(c.ids) for c in read_chats(chats, tokenizer_of(chats)))
    chosen = settings(chats, max_tokens=longest - 1, epochs=1)
    finetune(chosen, chats, tmp_path / "out", log=lines.append)
    assert lines[0].endswith("1 too long")
    with pytest.raises(BionerError, match="B714.*3 have more than 2 tokens"):
        finetune(settings(chats, max_tokens=2), chats, tmp_path / "out2", log=print)


def test_a_model_that_is_not_there(chats, tmp_path):
    with pytest.raises(BionerError, match="B716"):
        finetune(replace(settings(chats), base=str(tmp_path)), chats, tmp_path / "out")
    with pytest.raises(BionerError, match="B603"):
        finetune(settings(chats), tmp_path / "nowhere.jsonl", tmp_path / "out")
