"""What commands print is held against the schemas that `sandbox schema` publishes."""

from __future__ import annotations

import inspect
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from providers.types import (
    Completion,
    LLMResponse,
    RawUsage,
    ReasoningDelta,
    StreamFinished,
    StreamInterrupted,
    StreamRestarted,
    StreamStarted,
    TextDelta,
    TokenUsage,
    ToolCallDelta,
    UsageReported,
)
from sandbox.cli import schemas, story
from sandbox.cli.ask import as_json
from sandbox.cli.commands import COMMANDS
from sandbox.core.events import EVENT_TYPES

from .conftest import Cli


@cache
def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schemas.schema(name))


def check(name: str, value: Any) -> None:
    validator(name).validate(value)


@pytest.mark.parametrize("name", schemas.NAMES)
def test_every_schema_is_one_and_is_described(cli: Cli, name: str) -> None:
    ran = cli("schema", name)
    assert ran.code == 0
    Draft202012Validator.check_schema(ran.json)
    assert schemas.describe(name)


def test_the_list_of_schemas(cli: Cli) -> None:
    shown = cli("schema", "--json").json
    check("schemas", shown)
    assert [item["name"] for item in shown["items"]] == list(schemas.NAMES)
    assert all(name in cli("schema").out for name in schemas.NAMES)


OTHERWISE = {"config path": "path", "data path": "path", "schema": "schemas"}
"""Commands whose schema has another name than they."""


@pytest.mark.parametrize(("command", "place"), [(name, place) for name, place, *_ in COMMANDS])
def test_every_command_that_prints_json_has_its_schema(command: str, place: str) -> None:
    module, _, function = place.partition(":")
    parameters = inspect.signature(getattr(import_module(module), function)).parameters
    name = OTHERWISE.get(command, command.replace(" ", "-"))
    # The IAM policy is JSON in any case.
    assert (name in schemas.NAMES) == ("json" in parameters or command == "aws policy")


def test_settings_that_are_in_their_schema(home: Path) -> None:
    for right in ({}, {"mode": "mock", "budget_limit": 5}, {"providers": {"openai": {"model": "gpt-4o"}}}):
        check("settings", right)
    for wrong in ({"mode": 5}, {"bugdet_limit": 5}, {"providers": {"openai": {"modle": "gpt-4o"}}}):
        assert not validator("settings").is_valid(wrong)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ask", ["ask", "hello", "--json"]),
        ("ask", ["ask", "hello", "--json", "--fail", "azure_openai=503", "--fail", "openai=429"]),
        ("plan", ["ask", "hello", "--json", "--dry-run", "--model", "gpt-4"]),
        ("compare", ["compare", "hello", "--models", "gpt-4o,bedrock", "--repeat", "2", "--json"]),
        ("compare", ["compare", "hello", "--models", "gpt-4o,bedrock", "--fail", "bedrock=401", "--json"]),
        ("compare-estimate", ["compare", "hello", "--estimate", "--json"]),
        ("models", ["models", "--json"]),
        ("models", ["models", "--json", "--as-of", "2024-06-01", "--provider", "anthropic"]),
        ("health", ["health", "--json"]),
        ("backend-show", ["backend", "show", "--json"]),
        ("backend-show", ["backend", "show", "--check", "--json"]),
        ("backend-switch", ["backend", "switch", "local", "--yes", "--json"]),
        ("costs", ["costs", "--json"]),
        ("config-show", ["config", "show", "--json"]),
        ("path", ["config", "path", "--json"]),
        ("path", ["data", "path", "--json"]),
        ("data-size", ["data", "size", "--json"]),
        ("data-prune", ["data", "prune", "--older-than", "30d", "--cache", "--yes", "--json"]),
        ("doctor", ["doctor", "--json"]),
        ("selftest", ["selftest", "--json"]),
    ],
)
def test_a_command_prints_what_its_schema_says(cli: Cli, name: str, line: list[str]) -> None:
    ran = cli(*line)
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    check(name, ran.json)


@pytest.mark.parametrize("by", ["provider", "model", "tenant", "agent", "day", "hour", "month"])
def test_costs_by_every_dimension(cli: Cli, by: str) -> None:
    cli("ask", "hello", "--tenant", "acme")
    cli("ask", "hello again", "--fail", "azure_openai=503")
    shown = cli("costs", "--by", by, "--json").json
    check("costs", shown)
    assert shown["total"]["requests"] == 2
    assert sum(item["requests"] for item in shown["items"]) == 2
    assert all(item[by] for item in shown["items"])


def test_a_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_RETRY__RETRIES", "0")
    every = [
        f"--fail={p}=500"
        for p in ("azure_openai", "openai", "anthropic", "bedrock", "deepseek", "gemini", "vllm", "ollama")
    ]
    served = {item["provider"] for item in cli("health", "--json").json["items"]}
    ran = cli("ask", "hello", "--json", *(f for f in every if f.split("=")[1] in served))
    assert ran.code == 1
    check("failure", ran.json)
    assert {a["provider"] for a in ran.json["attempts"]} == served


def test_a_stream_as_json(cli: Cli) -> None:
    ran = cli("ask", "hello", "--stream", "--json")
    *events, last = map(json.loads, ran.out.splitlines())
    for event in events:
        check("ask-event", event)
    check("ask", last)
    assert "".join(e["text"] for e in events if e["event"] == "text") == last["text"]
    assert [e["event"] for e in events][:1] + [e["event"] for e in events][-1:] == ["started", "finished"]


def test_an_explanation(cli: Cli) -> None:
    asked = cli("ask", "hello", "--json", "--fail", "azure_openai=503").json
    shown = cli("explain", asked["request_id"], "--json").json
    check("explain", shown)
    assert shown["request_id"] == asked["request_id"]
    assert [a["provider"] for a in shown["attempts"]] == [a["provider"] for a in asked["attempts"]]
    assert shown["cost_usd"] == asked["cost_usd"]


def test_a_replayed_fixture(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[]")
    fixtures = Path(__file__).parents[3] / "fixtures"
    for line in cli("fixtures", "replay", str(fixtures), str(tmp_path / "broken.json"), "--json").out.splitlines():
        check("fixtures-replay", json.loads(line))


def test_every_event_of_a_stream_has_its_shape() -> None:
    events = [
        StreamStarted("openai", "gpt-4"),
        TextDelta("a"),
        ReasoningDelta("b"),
        ToolCallDelta(0, "id", "name", "{}"),
        UsageReported(TokenUsage(1, 2), RawUsage()),
        StreamRestarted("openai", "gpt-4", "cut"),
        StreamInterrupted(ValueError("x"), "partial"),
        StreamFinished(Completion(finish_reason="stop")),
    ]
    for event in events:
        check("ask-event", story.event_json(event))
    assert len({story.event_json(event)["event"] for event in events}) == len(events)


def test_a_trace(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    assert cli("ask", "hello", "--stream", "--fail", "azure_openai=503", "--trace", str(path)).code == 0
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert (header["schema"], header["mode"], header["preset"]) == ("sandbox-trace", "mock", "sandbox")
    for line in lines:
        check("trace", line)
    names = [line["event"] for line in lines]
    assert names[0] == "RequestReceived"
    assert (
        {"RouteChosen", "AttemptFailed", "FallbackTaken", "ChunkReceived", "RequestCompleted"}
        <= set(names)
        <= set(EVENT_TYPES)
    )


def test_an_answer_says_what_of_it_has_a_price_of_its_own() -> None:
    usage = TokenUsage(10, 5, cache_write_tokens=4, cache_write_1h_tokens=3, service_tier="flex", region="us")
    printed = as_json(LLMResponse("x", "anthropic", "claude-opus-5", "claude-opus-5", usage=usage, mode="mock"))
    check("ask", printed)
    told = {"cache_write_1h_tokens": 3, "service_tier": "flex", "region": "us"}
    assert printed["usage"].items() >= told.items()
    plain = as_json(LLMResponse("x", "openai", "gpt-4", "gpt-4", usage=TokenUsage(10, 5), mode="mock"))
    assert not plain["usage"].keys() & told.keys()
