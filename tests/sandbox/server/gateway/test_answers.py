"""Good answers of every endpoint, what headers ask and tell, and what is listed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from providers.exchange import FixtureLibrary
from providers.mock.simulated import Simulation
from sandbox.core.events import RequestReceived
from sandbox.server.wiretap import Wiretap
from sandbox.usage.base import UsageFilter
from tests.sandbox.server.gateway.support import (
    BODIES,
    CHAT,
    COMPLETIONS,
    MESSAGES,
    QUICK,
    RESPONSES,
    chat,
    over_wiretap,
    served,
    texts,
)

LASTS = {
    CHAT: b"data: [DONE]",
    COMPLETIONS: b"data: [DONE]",
    MESSAGES: b'event: message_stop\ndata: {"type":"message_stop"}',
    RESPONSES: b"event: response.completed",
}


def text_of(path: str, answer: Any) -> str:
    if path == CHAT:
        return str(answer["choices"][0]["message"]["content"])
    if path == COMPLETIONS:
        return str(answer["choices"][0]["text"])
    if path == MESSAGES:
        return str(answer["content"][0]["text"])
    return str(answer["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("path", list(BODIES))
async def test_a_whole_answer_and_what_it_tells(tmp_path, path):
    async with served(tmp_path, chain=["openai"]) as rig:
        answer = await rig.ask(path, BODIES[path])
        assert answer.status == 200, answer.body
        assert text_of(path, answer.json)
        told = answer.headers
        assert told["content-type"] == "application/json"
        assert (told["x-sandbox-provider"], told["x-sandbox-attempts"], told["x-sandbox-failovers"]) == (
            "openai", "1", "0",
        )  # fmt: skip
        assert (told["x-sandbox-cached"], told["x-sandbox-mode"]) == ("false", "mock")
        assert Decimal(told["x-sandbox-cost"]) > 0
        assert 0 <= float(told["x-sandbox-overhead-ms"]) < 1000
        assert told["x-sandbox-request-id"] == told["x-request-id"]
        assert answer.json["id"].endswith(told["x-sandbox-request-id"])
        assert answer.json["model"].startswith("gpt-4o-mini")
        assert rig.tally.answered == 1


@pytest.mark.parametrize("path", list(BODIES))
async def test_a_stream_ends_with_its_formats_last_word_and_the_comment(tmp_path, path):
    async with served(tmp_path, chain=["openai"]) as rig:
        answer, events = await rig.stream(BODIES[path], path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-sandbox-provider"] == "openai"
        assert events[-2].startswith(LASTS[path])
        assert events[-1].startswith(b": x-sandbox {")
        told = orjson.loads(events[-1].removeprefix(b": x-sandbox "))
        assert told["request_id"] == answer.headers["x-sandbox-request-id"]
        assert (told["provider"], told["attempts"], told["failovers"], told["cached"]) == ("openai", 1, 0, False)
        assert Decimal(told["cost_usd"]) > 0
        assert rig.tally.answered == 1


@pytest.mark.parametrize("asked", [True, False, None])
async def test_usage_comes_in_a_stream_only_when_it_was_asked_for(tmp_path, asked):
    options = {} if asked is None else {"stream_options": {"include_usage": asked}}
    async with served(tmp_path) as rig:
        _, events = await rig.stream(chat(**options))
        last = orjson.loads(events[-3].removeprefix(b"data: "))
        if asked:
            assert last["choices"] == []
            assert last["usage"]["total_tokens"] > 0
        else:
            assert "usage" not in last
            assert b'"usage"' not in b"".join(events[:-1])


async def test_a_tool_is_called_in_both_formats(tmp_path):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}
    async with served(tmp_path) as rig:
        answer = (await rig.ask(CHAT, chat(tools=[tool], tool_choice="required"))).json["choices"][0]
        assert answer["finish_reason"] == "tool_calls"
        assert answer["message"]["content"] is None
        assert orjson.loads(answer["message"]["tool_calls"][0]["function"]["arguments"])["city"]
        own = {"name": "get_weather", "input_schema": schema}
        asked = {**BODIES[MESSAGES], "tools": [own], "tool_choice": {"type": "any"}}
        # The asking format and the answering provider have nothing to do with each other.
        answer = (await rig.ask(MESSAGES, {**asked, "model": "openai/gpt-4o-mini"})).json
        assert answer["stop_reason"] == "tool_use"
        assert answer["content"][0]["input"]["city"]


async def test_a_schema_is_followed(tmp_path):
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    async with served(tmp_path) as rig:
        for wanted in (form, {"type": "json_object"}):
            content = (await rig.ask(CHAT, chat("In JSON, please", response_format=wanted))).json["choices"][0]
            value = orjson.loads(content["message"]["content"])
            assert isinstance(value, dict)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
async def test_headers_say_who_asks_and_how_long_it_may_take(tmp_path, path):
    async with served(tmp_path, clock=None) as rig:
        received: list[RequestReceived] = []
        rig.runtime.bus.subscribe(lambda event: received.append(event) if type(event) is RequestReceived else None)
        headers = {"x-sandbox-tenant": "acme", "x-sandbox-agent": "billing", "x-sandbox-deadline-ms": "1500"}
        assert (await rig.ask(path, BODIES[path], headers=headers)).status == 200
        assert (await rig.ask(path, BODIES[path])).status == 200
        assert [(one.tenant, one.agent, one.deadline_s) for one in received] == [
            ("acme", "billing", 1.5),
            ("default", "default", 60.0),
        ]


async def test_an_equal_question_is_answered_from_the_cache_unless_told_not_to(tmp_path):
    async with served(tmp_path, cache={"backend": "disk", "streams": True}) as rig:
        first = await rig.ask(CHAT, chat())
        again = await rig.ask(CHAT, chat())
        assert (first.headers["x-sandbox-cached"], again.headers["x-sandbox-cached"]) == ("false", "true")
        assert (again.headers["x-sandbox-cost"], again.headers["x-sandbox-attempts"]) == ("0", "0")
        assert first.json["choices"] == again.json["choices"]
        fresh = await rig.ask(CHAT, chat(), headers={"x-sandbox-no-cache": "1"})
        assert fresh.headers["x-sandbox-cached"] == "false"
        # What the endpoints differ in is not part of the question.
        _, events = await rig.stream(chat())
        assert texts(events) == first.json["choices"][0]["message"]["content"]
        assert orjson.loads(events[-1].removeprefix(b": x-sandbox "))["cached"] is True
        # Fields that change the answer are.
        assert (await rig.ask(CHAT, chat(reasoning_effort="low"))).headers["x-sandbox-cached"] == "false"
        # A streamed answer is kept where the setting says so.
        await rig.stream(chat("another question"))
        assert (await rig.ask(CHAT, chat("another question"))).headers["x-sandbox-cached"] == "true"


async def test_the_model_may_be_a_providers_a_list_or_a_route(tmp_path):
    routes = {"careful": {"models": ["anthropic/claude-haiku-4-5", "openai/gpt-4o-mini"]}}
    async with served(tmp_path, routes=routes, **QUICK) as rig:
        named = await rig.ask(CHAT, chat(model="anthropic/claude-haiku-4-5"))
        assert named.headers["x-sandbox-provider"] == "anthropic"
        assert named.json["model"].startswith("claude-haiku-4-5")
        route = await rig.ask(MESSAGES, {**BODIES[MESSAGES], "model": "careful"})
        assert route.headers["x-sandbox-provider"] == "anthropic"
        rig.fail("openai", "503")
        listed = await rig.ask(CHAT, chat(model="openai/gpt-4o-mini", fallbacks=["gemini/gemini-2.5-flash"]))
        assert (listed.headers["x-sandbox-provider"], listed.headers["x-sandbox-failovers"]) == ("gemini", "1")
        rig.fail("gemini", "503")
        gone = await rig.ask(CHAT, chat(model="openai/gpt-4o-mini", fallbacks=["gemini/gemini-2.5-flash"]))
        assert gone.status == 503
        assert "anthropic" not in gone.body.decode()


async def test_azures_paths_name_the_model(tmp_path):
    body = {"messages": [{"role": "user", "content": "hi"}]}
    async with served(tmp_path) as rig:
        answer = await rig.ask("/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21", body)
        assert (answer.status, answer.json["model"][:11]) == (200, "gpt-4o-mini")


async def test_the_models_are_listed_in_the_callers_format(tmp_path):
    async with served(tmp_path, routes={"careful": {"models": ["openai/gpt-4o-mini"]}}) as rig:
        listed = (await rig.ask("/v1/models")).json
        assert listed["object"] == "list"
        assert listed["data"][0] == {
            "id": "careful", "object": "model", "created": 1735689600, "owned_by": "sandbox",
        }  # fmt: skip
        names = {one["id"]: one["owned_by"] for one in listed["data"]}
        assert names["claude-haiku-4-5"] == "anthropic"
        own = (await rig.ask("/v1/models", headers={"anthropic-version": "2023-06-01"})).json
        assert own["first_id"] == own["data"][0]["id"] == "careful"
        assert own["has_more"] is False
        for name in ("careful", "gpt-4o-mini", "anthropic/claude-haiku-4-5"):
            assert (await rig.ask(f"/v1/models/{name}")).json["id"] == name
        for name in ("nonsense", "anthropic/gpt-4o-mini", "nobody/gpt-4o-mini"):
            missing = await rig.ask(f"/v1/models/{name}")
            assert (missing.status, missing.json["error"]["code"]) == (404, "model_not_found")


async def test_tokens_are_counted_without_a_request(tmp_path):
    async with served(tmp_path) as rig:
        asked = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "one two three"}]}
        answer = await rig.ask("/v1/messages/count_tokens", asked)
        assert 3 <= answer.json["input_tokens"] < 20
        assert rig.tally.requests == 0
        for wrong in (b"", b"[]", b"{", {"messages": 3}, {"model": "x"}):
            refused = await rig.ask("/v1/messages/count_tokens", wrong)
            assert (refused.status, refused.json["type"]) == (400, "error")


async def test_it_says_that_it_is_alive(tmp_path):
    async with served(tmp_path) as rig:
        answer = await rig.ask("/healthz")
        assert (answer.status, answer.json["status"], answer.json["mode"]) == (200, "ok", "mock")


async def test_every_request_is_booked(tmp_path):
    async with served(tmp_path) as rig:
        await rig.ask(CHAT, chat(), headers={"x-sandbox-tenant": "acme"})
        await rig.stream(chat(), headers={"x-sandbox-tenant": "acme"})
        await rig.ask(CHAT, chat(model="nope"), headers={"x-sandbox-tenant": "acme"})
        assert rig.runtime.usage is not None
        await rig.runtime.usage.flush()
        records = await rig.runtime.usage.recent(UsageFilter(), 10)
        assert [(r.tenant_id, r.success, r.error_type) for r in records] == [
            ("acme", False, "InputError"),
            ("acme", True, None),
            ("acme", True, None),
        ]


async def test_a_real_upstream_is_asked_with_the_gateways_own_key(tmp_path):
    async with Wiretap(simulation=Simulation(library=FixtureLibrary([]))) as tap:
        async with served(tmp_path, **over_wiretap(tap.url)) as rig:
            answer = await rig.ask(CHAT, chat(), headers={"authorization": "Bearer sk-callers-own"})
            assert (answer.status, answer.headers["x-sandbox-mode"]) == (200, "live")
            _, events = await rig.stream(chat())
            assert texts(events)
        assert [entry.status for entry in tap.journal.entries(None)] == [200, 200]
