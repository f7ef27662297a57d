"""The OpenAI-compatible model, against a server that misbehaves on request."""

from __future__ import annotations

import json
import pickle
import time

import pytest

from spacy_bioner.errors import BionerError
from spacy_bioner.llm.cache import PromptCache
from spacy_bioner.llm.model import make_openai_compatible

PROMPT = "Text: aspirin for renal failure"
ANSWER = "DISEASE: aspirin for [renal failure]\nCHEMICAL: [aspirin] for renal failure"


def model(server, **settings):
    settings = {"wait": 0.01, "timeout": 1.0, "tries": 3, **settings}
    return make_openai_compatible(server.endpoint, "tiny", **settings)


def ask(server, *prompts, **settings):
    """The answers to prompts, each of a document of its own."""
    return [answer for (answer,) in model(server, **settings)([[p] for p in prompts])]


def test_what_is_sent(server):
    config = {"temperature": 0.0, "max_tokens": 9}
    assert ask(server, PROMPT, config=config, system="Be exact.") == [ANSWER]
    assert server.paths == ["/v1/chat/completions"]
    assert server.requests == [
        {
            "model": "tiny",
            "messages": [
                {"role": "system", "content": "Be exact."},
                {"role": "user", "content": PROMPT},
            ],
            **config,
        }
    ]


def test_documents_with_any_number_of_prompts_in_order(server):
    server.reply = lambda prompt: prompt.upper()
    got = model(server, parallel=4)(iter([["a", "b"], [], ["c"], ["d", "e", "f"]]))
    assert got == [["A", "B"], [], ["C"], ["D", "E", "F"]]


FAULTS = [408, 429, 500, 503, "timeout", "hang_up", "half_body", "no_json"]
FAULTS += ["no_choices", "no_text", "cut"]


@pytest.mark.parametrize("fault", FAULTS)
def test_tries_again(server, fault):
    server.faults.extend([fault, fault])
    assert ask(server, PROMPT) == [ANSWER]
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_gives_up_with_a_clear_error(server, fault):
    server.faults.extend([fault] * 9)
    with pytest.raises(BionerError, match="B707.*tried 3 times") as caught:
        ask(server, PROMPT)
    assert len(server.requests) == 3
    assert "renal" not in str(caught.value)  # no text of the user's in the message


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_final(server, status):
    server.faults.append(status)
    with pytest.raises(BionerError, match=f"B708.*{status}: as you wished") as caught:
        ask(server, PROMPT)
    assert len(server.requests) == 1
    assert "renal" not in str(caught.value)


def test_waits_longer_each_time_and_as_asked(server):
    server.faults.extend([500, 500])
    before = time.monotonic()
    ask(server, PROMPT, wait=0.1)
    assert 0.3 <= time.monotonic() - before < 3
    server.reply = tag_after_asking(server)
    before = time.monotonic()
    assert ask(server, PROMPT) == ["NONE"]
    assert time.monotonic() - before >= 0.5


def tag_after_asking(server):
    """A server that first wants to be left alone for half a second."""

    def reply(prompt):
        server.reply = lambda prompt: "NONE"
        raise ConnectionError

    handler = server.RequestHandlerClass

    class Asking(handler):
        def do_POST(self):
            try:
                super().do_POST()
            except ConnectionError:
                self.send(503, {}, {"Retry-After": "0.5"})

    server.RequestHandlerClass = Asking
    return reply


def test_no_server(server):
    server.server_close()
    with pytest.raises(BionerError, match="B707.*ConnectionError"):
        ask(server, PROMPT)


def test_a_filtered_answer_is_none_and_not_kept(server, tmp_path):
    server.faults.append("filtered")
    cache = str(tmp_path / "answers.jsonl")
    with pytest.raises(BionerError, match="B708.*content filter"):
        ask(server, PROMPT, cache=cache)
    assert ask(server, PROMPT, cache=cache) == [ANSWER]


def test_a_limit_on_the_answer_grows(server):
    server.faults.extend(["cut", "cut"])
    assert ask(server, PROMPT, config={"max_tokens": 10}) == [ANSWER]
    assert [request["max_tokens"] for request in server.requests] == [10, 20, 40]


def test_a_cut_answer_may_be_kept_but_not_for_the_next_time(server, tmp_path):
    server.faults.extend(["cut"] * 3)
    settings = {"keep_cut": True, "cache": str(tmp_path / "answers.jsonl")}
    assert ask(server, PROMPT, **settings) == [ANSWER[: len(ANSWER) // 2]]
    assert ask(server, PROMPT, **settings) == [ANSWER]


@pytest.mark.parametrize("keep_cut", [True, False])
def test_a_limit_that_the_server_refuses(server, keep_cut):
    """As vLLM does where it goes beyond the model's context."""
    server.faults.extend(["cut", 400])
    settings = {"config": {"max_tokens": 10}, "keep_cut": keep_cut}
    if keep_cut:
        assert ask(server, PROMPT, **settings) == [ANSWER[: len(ANSWER) // 2]]
    else:
        with pytest.raises(BionerError, match="B707.*raise max_tokens"):
            ask(server, PROMPT, **settings)


def test_one_failure_ends_the_others_waiting(server):
    server.faults.extend([500, 400])
    before = time.monotonic()
    with pytest.raises(BionerError, match="B708"):
        ask(server, *"abcdefgh", parallel=2, wait=30, tries=9)
    assert time.monotonic() - before < 5
    assert len(server.requests) < 8


# Where texts and keys go


def test_no_connection_before_the_first_document(server):
    model(server)
    assert list(model(server)([])) == []
    assert server.connections == 0


def test_environment_and_redirects_lead_nowhere_else(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(server, PROMPT) == [ANSWER]
    assert "secret" not in json.dumps(server.headers)
    assert "Authorization" not in server.headers[0]
    server.faults.append("redirect")
    with pytest.raises(BionerError, match="B708.*307"):
        ask(server, PROMPT)
    assert set(server.paths) == {"/v1/chat/completions"}


def test_the_key_is_read_when_asked_and_needed(server, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    made = model(server, api_key_env="MY_KEY")
    with pytest.raises(BionerError, match="B706.*MY_KEY"):
        made([[PROMPT]])
    monkeypatch.setenv("MY_KEY", "secret")
    assert made([[PROMPT]]) == [[ANSWER]]
    assert server.headers[-1]["Authorization"] == "Bearer secret"
    assert b"secret" not in pickle.dumps(made)


@pytest.mark.parametrize("endpoint", ["", "localhost:8000/v1", "ftp://a/b", "http://"])
def test_endpoint_must_be_an_address(endpoint):
    with pytest.raises(BionerError, match="B705"):
        make_openai_compatible(endpoint, "tiny")


def test_endpoint_may_be_the_whole_path(server):
    for endpoint in (server.endpoint + "/", server.endpoint + "/chat/completions"):
        made = make_openai_compatible(endpoint, "tiny")
        assert made([[PROMPT]]) == [[ANSWER]]
    assert set(server.paths) == {"/v1/chat/completions"}


@pytest.mark.parametrize("setting", ["tries", "parallel"])
def test_settings_out_of_range(server, setting):
    with pytest.raises(BionerError, match=f"B709.*{setting}"):
        model(server, **{setting: 0})


# The cache


def test_the_same_request_is_sent_once(server, tmp_path):
    path = tmp_path / "new" / "answers.jsonl"
    for _ in range(2):
        assert ask(server, PROMPT, "Text: none", cache=str(path)) == [ANSWER, "NONE"]
    assert len(server.requests) == 2
    assert path.stat().st_mode & 0o077 == 0  # the owner's only


def test_a_cache_that_cannot_be_written_costs_nothing(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BionerError, match="B722"):
        ask(server, PROMPT, cache=str(tmp_path / "file" / "answers.jsonl"))
    assert not server.requests


def test_half_of_a_surrogate_pair_in_an_answer(server, tmp_path):
    server.reply = lambda prompt: "DISEASE: \ud83d"
    cache = str(tmp_path / "answers.jsonl")
    assert ask(server, PROMPT, cache=cache) == ["DISEASE: ?"]
    assert ask(server, PROMPT, cache=cache) == ["DISEASE: ?"]
    assert len(server.requests) == 1


def test_another_model_or_parameter_is_another_request(server, tmp_path):
    cache = str(tmp_path / "answers.jsonl")
    for settings in ({}, {"config": {"temperature": 1.0}}, {"system": "Be exact."}):
        ask(server, PROMPT, cache=cache, **settings)
    make_openai_compatible(server.endpoint, "other", cache=cache)([[PROMPT]])
    assert len(server.requests) == 4


def test_what_was_answered_before_a_failure_is_kept(server, tmp_path):
    cache = str(tmp_path / "answers.jsonl")
    server.faults.extend([None, 400])
    with pytest.raises(BionerError):
        ask(server, "a", "b", "c", cache=cache)
    assert ask(server, "a", "b", "c", cache=cache) == ["NONE"] * 3
    asked = [request["messages"][0]["content"] for request in server.requests]
    assert asked.count("a") == 1


def test_a_cache_file_with_torn_lines(tmp_path):
    path = tmp_path / "answers.jsonl"
    cache = PromptCache(path)
    cache.add("one", "line\nbreaks \u2028 and all")
    with path.open("ab") as file:
        file.write(b'{"key": "two", "ans')
    cache.add("three", "三")
    assert cache.get("three") == "三"
    again = PromptCache(path)
    assert again.get("one") == "line\nbreaks \u2028 and all"
    assert again.get("two") is None
    assert again.get("three") == "三"
    assert pickle.loads(pickle.dumps(again)).get("three") == "三"


def test_no_cache():
    cache = PromptCache(None)
    cache.add("one", "answer")
    assert cache.get("one") is None


def test_the_key_of_a_request_is_its_content():
    keys = {
        PromptCache.key(request)
        for request in (
            {"model": "a", "messages": ["b"]},
            {"messages": ["b"], "model": "a"},
            {"model": "a", "messages": ["c"]},
        )
    }
    assert len(keys) == 2
