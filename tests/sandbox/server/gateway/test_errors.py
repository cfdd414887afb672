"""Failures: the right status, the caller's words, Retry-After, and never more than the caller may know."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from sandbox.gateway.gateway import Gateway
from tests.sandbox.server.gateway.support import BODIES, CHAT, COMPLETIONS, MESSAGES, QUICK, RESPONSES, chat, served

# What is provoked on the only provider, and what both formats make of it: status, OpenAI's code, Anthropic's type.
PROVOKED = [
    ("http_error:400", 400, None, "invalid_request_error"),
    ("auth", 401, "invalid_api_key", "authentication_error"),
    ("http_error:403", 403, None, "permission_error"),
    ("http_error:404", 404, "model_not_found", "not_found_error"),
    ("http_error:422", 422, None, "invalid_request_error"),
    ("rate_limit:7", 429, "rate_limit_exceeded", "rate_limit_error"),
    ("http_error:500", 500, "server_is_overloaded", "api_error"),
    ("http_error:503", 503, "server_is_overloaded", "api_error"),
    ("http_error:529", 529, "server_is_overloaded", "overloaded_error"),
    ("content_filter", 400, "content_filter", "invalid_request_error"),
    ("connection_reset", 502, "connection_failed", "api_error"),
    ("malformed_body", 502, "malformed_response", "api_error"),
    ("http_error:408", 504, "timeout", "timeout_error"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "status", "code", "kind"), PROVOKED, ids=[row[0] for row in PROVOKED])
async def test_what_a_provider_says_reaches_the_caller_in_its_own_format(tmp_path, fault, status, code, kind, stream):
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        rig.fail("openai", fault)
        answer = await rig.ask(CHAT, chat(stream=stream))
        assert (answer.status, answer.json["error"]["code"]) == (status, code), answer.body
        assert answer.json["error"]["message"]
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-sandbox-provider"] == "openai"
        # What was disabled by this error is asked again, so that the second format meets the same.
        rig.runtime.gateway.enable("openai")
        answer = await rig.ask(MESSAGES, {**BODIES[MESSAGES], "stream": stream})
        assert (answer.status, answer.json["error"]["type"]) == (status, kind), answer.body
        assert answer.json["request_id"] == answer.headers["request-id"]
        if fault.startswith("rate_limit"):
            assert answer.headers["retry-after"] == "7"
        assert rig.tally.failed == 2


async def test_all_breakers_open_is_503_with_the_time_of_the_next_probe(tmp_path):
    breaker = {"mode": "consecutive", "failure_threshold": 1, "recovery_timeout": 20}
    async with served(tmp_path, chain=["openai", "gemini"], retry={"retries": 0}, breaker=breaker) as rig:
        rig.fail("openai", "503")
        rig.fail("gemini", "connection_reset")
        failed = await rig.ask(CHAT, chat())
        assert (failed.status, failed.json["error"]["code"]) == (502, "all_providers_failed")
        assert failed.headers["x-sandbox-attempts"] == "2"
        refused = await rig.ask(CHAT, chat())
        assert (refused.status, refused.json["error"]["code"]) == (503, "circuit_breaker_open")
        assert 15 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["x-sandbox-attempts"] == "0"


async def test_a_deadline_that_passes_is_504(tmp_path):
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        rig.fail("openai", "hang")
        for stream in (False, True):
            answer = await rig.ask(CHAT, chat(stream=stream), headers={"x-sandbox-deadline-ms": "40"})
            assert (answer.status, answer.json["error"]["code"]) == (504, "timeout")


async def test_a_budget_that_is_used_up_is_429_with_the_time_until_it_is_new(tmp_path):
    async with served(tmp_path, chain=["openai"], budgets={"tenants": {"acme": "0.0000001"}}) as rig:
        answer = await rig.ask(CHAT, chat(), headers={"x-sandbox-tenant": "acme"})
        assert (answer.status, answer.json["error"]["code"]) == (429, "budget_exceeded")
        assert int(answer.headers["retry-after"]) > 0
        assert (await rig.ask(CHAT, chat())).status == 200


async def test_limits_of_the_gateways_own_are_429_with_the_wait(tmp_path):
    async with served(tmp_path, chain=["openai"], providers={"openai": {"requests_per_minute": 1}}) as rig:
        assert (await rig.ask(CHAT, chat())).status == 200
        answer = await rig.ask(CHAT, chat())
        assert (answer.status, answer.json["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 0 < int(answer.headers["retry-after"]) <= 60


async def test_replay_names_the_recording_that_is_missing(tmp_path):
    async with served(tmp_path, mode="replay", chain=["openai"]) as rig:
        answer = await rig.ask(CHAT, chat("nobody ever recorded this"))
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
        assert "no recording of openai" in answer.json["error"]["message"]


BAD = [
    (CHAT, b"", "not JSON"),
    (CHAT, b"{", "not JSON"),
    (CHAT, b"[]", "must be an object"),
    (CHAT, b"\xff\xfe", "not JSON"),
    (CHAT, {"model": "gpt-4o-mini"}, "messages is missing"),
    (CHAT, {"model": "gpt-4o-mini", "messages": []}, "messages is missing"),
    (CHAT, {"model": "gpt-4o-mini", "messages": [{"content": "hi"}]}, "messages[0]"),
    (CHAT, chat(temperature=3), "temperature"),
    (CHAT, chat(max_tokens=0), "max_tokens"),
    (CHAT, chat(n=2), "n is 2"),
    (CHAT, chat(logprobs=True), "logprobs"),
    (CHAT, chat(top_logprobs=3), "top_logprobs"),
    (CHAT, chat(modalities=["text", "audio"]), "modalities"),
    (CHAT, chat(audio={"voice": "alloy"}), "audio"),
    (CHAT, chat(functions=[{"name": "f"}]), "use tools"),
    (CHAT, chat(stream="yes"), "stream"),
    (CHAT, chat(fallbacks="gpt-4o"), "fallbacks"),
    (CHAT, chat(fallbacks=[1]), "fallbacks"),
    (CHAT, chat(fallbacks=["a"] * 21), "fallbacks has 21"),
    (CHAT, chat(fallbacks=["a" * 513]), "fallbacks has 513"),
    (MESSAGES, chat(), "max_tokens is missing"),
    (MESSAGES, chat(max_tokens=10, messages=[{"role": "tool", "content": "x"}]), "role"),
    (RESPONSES, {**BODIES[RESPONSES], "previous_response_id": "resp_1"}, "previous_response_id"),
    (RESPONSES, {**BODIES[RESPONSES], "conversation": "conv_1"}, "conversation"),
    (COMPLETIONS, {**BODIES[COMPLETIONS], "logprobs": 2}, "logprobs"),
    (COMPLETIONS, {**BODIES[COMPLETIONS], "best_of": 3}, "best_of"),
    (COMPLETIONS, {**BODIES[COMPLETIONS], "echo": True}, "echo"),
    (COMPLETIONS, {**BODIES[COMPLETIONS], "suffix": "end"}, "suffix"),
    (COMPLETIONS, {**BODIES[COMPLETIONS], "prompt": ["a", "b"]}, "2 texts"),
]


@pytest.mark.parametrize(("path", "body", "named"), BAD, ids=[f"{i} {named}" for i, (*_, named) in enumerate(BAD)])
async def test_a_wrong_body_is_400_and_names_what_is_wrong(tmp_path, path, body, named):
    async with served(tmp_path) as rig:
        answer = await rig.ask(path, body)
        assert answer.status == 400, answer.body
        assert named in answer.json["error"]["message"]
        assert answer.json.get("type", "error") == "error"
        assert rig.tally.requests == 0


HARMLESS: dict[str, Any] = {
    "n": 1, "logprobs": False, "top_logprobs": 0, "modalities": ["text"], "user": "u", "store": True, "metadata": {},
    "service_tier": "auto", "logit_bias": {"50256": -100}, "presence_penalty": 0.5, "seed": 7, "stop": ["END"],
    "parallel_tool_calls": False, "prediction": {"type": "content", "content": "x"}, "unheard_of": [1, {"a": None}],
    "functions": [], "fallbacks": None, "response_format": {"type": "text"},
}  # fmt: skip


@pytest.mark.parametrize("field", list(HARMLESS))
async def test_what_changes_nothing_or_what_some_providers_know_is_taken(tmp_path, field):
    async with served(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat(**{field: HARMLESS[field]}))
        assert answer.status == 200, answer.body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-sandbox-deadline-ms", "soon"),
        ("x-sandbox-deadline-ms", "0"),
        ("x-sandbox-deadline-ms", "-5"),
        ("x-sandbox-deadline-ms", "1e3"),
        ("x-sandbox-deadline-ms", "999999999"),
        ("x-sandbox-stream-policy", "hold"),
        ("x-sandbox-no-cache", "maybe"),
        ("x-sandbox-tenant", "t" * 201),
        ("x-sandbox-agent", "a" * 201),
    ],
)
async def test_a_wrong_header_is_400_and_is_named(tmp_path, name, value):
    async with served(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat(), headers={name: value})
        assert (answer.status, name in answer.json["error"]["message"]) == (400, True)


@pytest.mark.parametrize("model", ["nope", "anthropic/gpt-4o-mini", "x/y/z"])
async def test_a_model_that_is_not_here_is_404(tmp_path, model):
    async with served(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat(model="gpt-4o-mini", fallbacks=[model]))
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")
        assert model.rpartition("/")[2] in answer.json["error"]["message"]


async def test_paths_and_methods_that_are_not_here_are_told_in_json(tmp_path):
    async with served(tmp_path) as rig:
        missing = await rig.ask("/v1/chat/completion", chat())
        assert missing.status == 404
        assert "did you mean '/v1/chat/completions'?" in missing.json["error"]["message"]
        wrong = await rig.ask(CHAT, method="GET")
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
        assert "takes POST, not GET" in wrong.json["error"]["message"]
        anthropic = await rig.ask(MESSAGES, method="PUT")
        assert (anthropic.status, anthropic.json["type"]) == (405, "error")


@pytest.mark.parametrize("stream", [False, True])
async def test_what_nobody_foresaw_is_500_without_its_story(tmp_path, monkeypatch, caplog, stream):
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the secret plan")

    async with served(tmp_path) as rig:
        monkeypatch.setattr(Gateway, "_begin", broken)
        with caplog.at_level(logging.ERROR):
            answer = await rig.ask(CHAT, chat(stream=stream))
        assert answer.status == 500
        assert "secret plan" not in answer.body.decode()
        assert answer.headers["x-sandbox-request-id"] in answer.json["error"]["message"]
        assert "the secret plan" in caplog.text
