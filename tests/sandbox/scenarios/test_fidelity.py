"""The same story at both levels: what a provider says of an attempt, its vendor's own class reads in the bytes."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from providers.factory import KINDS as VENDORS
from providers.faults import KINDS
from sandbox.core.events import AttemptFailed, ChunkReceived, Event
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse

ONE_EVENT_LATE = "one event late"
"""Which event of a stream is damaged is known when the next has come: at 80 tokens a second 12.5 ms later."""
DIFFERS = {"malformed-event": ONE_EVENT_LATE}
"""Built-in scenarios that cannot be the same to the microsecond, with the rule that says why."""
LONG = {"hour-of-outage"}
"""As `total-outage`, for longer."""


def figures(result: Result) -> dict[str, Any]:
    """All that a run adds up to, but for what each level has of its own."""
    return {k: v for k, v in result.as_dict().items() if k not in ("wall_seconds", "trace_sha256", "fidelity")}


@pytest.mark.parametrize("name", sorted(set(names()) - LONG))
def test_a_built_in_scenario_is_the_same_on_the_wire(name: str) -> None:
    one = scenario(name)
    fast, true = run(one), run(one, fidelity="wire")
    assert (fast.fidelity, true.fidelity) == ("provider", "wire")
    assert [each for each in true.expectations if not each["ok"]] == []
    if DIFFERS.get(name) is ONE_EVENT_LATE:
        late = [(b.at_us - a.at_us) / 1000 for a, b in zip(fast.transitions, true.transitions, strict=True)]
        assert set(late) == {0.0, 12.5}
        told = [(a.provider, a.from_state, a.to_state, a.reason) for a in fast.transitions]
        assert told == [(b.provider, b.from_state, b.to_state, b.reason) for b in true.transitions]
        assert true.metrics["p99_latency_ms"] == fast.metrics["p99_latency_ms"] + 12.5  # type: ignore[operator]
        timed = {"breaker_transitions", "latency_ms", "expectations"}
    else:
        timed = set()
    assert {k: v for k, v in figures(true).items() if k not in timed} == {
        k: v for k, v in figures(fast).items() if k not in timed
    }


def outage(vendor: str, fault: str, *, stream: bool, pace: int | None) -> Scenario:
    paced = "" if pace is None else f", tokens_per_second: {pace}"
    return check(
        parse(
            f"""
version: 1
name: outage
duration: 12s
policy: {{streaming: {{policy: restart}}}}
providers:
  - {{name: {vendor}, id: first, model: {MODELS[vendor]}, latency: 400ms{paced}}}
  - {{name: openai, id: second, model: gpt-4-turbo, latency: 500ms}}
traffic: [{{rate: 1/s, input_tokens: 100, output_tokens: 12, stream: {str(stream).lower()}}}]
faults: [{{provider: first, from: 2s, to: 8s, {fault}}}]
""",
            Path("outage.yaml"),
        )
    )


MODELS = {
    "openai": "gpt-4-turbo",
    "azure_openai": "gpt-4-turbo",
    "anthropic": "claude-3-sonnet",
    "bedrock": "claude-3-sonnet",
    "deepseek": "deepseek-chat",
    "gemini": "gemini-1.5-flash",
    "vllm": "qwen2.5-7b",
    "ollama": "llama3.2",
    "mock": "mock-model",
}

VARIANTS: dict[str, list[str]] = {
    "http_error": [f"status: {status}" for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 529)],
    "rate_limit": ["after: 20ms", "retry_after: 1500ms", "retry_after: 20s"],
    "quota": ["requests: 2, per: 7s"],
    "stream_cut": ["after_tokens: 0", "after_tokens: 5", "after_tokens: 12", "after_tokens: 30"],
    "stream_stall": ["after_tokens: 5", "after_tokens: 0, for: 3s", "after_tokens: 5, for: 3s"],
    "truncated_body": ["after_tokens: 5", "after_tokens: 12"],
    "error_event": ["status: 503, after_tokens: 5"],
    "slow_stream": ["tokens_per_second: 4", "tokens_per_second: 40"],
    "latency": ["add: 2s", "times: 3", "add: 2s, times: 1.5"],
}
ONLY_IN_BYTES = {"malformed_event", "no_end_marker", "trickle"}
"""Kinds that a format has a say in; tests below."""


def test_every_kind_is_compared() -> None:
    assert set(VARIANTS) | ONLY_IN_BYTES <= set(KINDS)
    assert set(MODELS) == set(VENDORS)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ONLY_IN_BYTES])
def test_a_fault_means_the_same_in_every_format(kind: str, vendor: str) -> None:
    for variant in VARIANTS.get(kind, [""]):
        for stream in (False, True):
            for pace in (20, None):
                one = outage(vendor, f"kind: {kind}, {variant}".rstrip(", "), stream=stream, pace=pace)
                assert figures(run(one, fidelity="wire")) == figures(run(one)), (variant, stream, pace)


@pytest.mark.parametrize(
    ("vendor", "asked", "failed"),
    [("openai", 12, 0), ("anthropic", 12, 0), ("bedrock", 12, 0), ("gemini", 7, 5), ("ollama", 7, 5)],
)
def test_what_a_missing_end_means_is_for_the_format_to_say(vendor: str, asked: int, failed: int) -> None:
    """Gemini's and Ollama's last event is the one that says that the answer is finished."""
    one = outage(vendor, "kind: no_end_marker", stream=True, pace=None)
    assert run(one).failed_attempts_by_provider["first"] == 0
    true = run(one, fidelity="wire")
    assert (true.attempts_by_provider["first"], true.failed_attempts_by_provider["first"]) == (asked, failed)


def test_a_trickle_is_made_of_bytes() -> None:
    one = outage("openai", "kind: trickle, bytes_per_second: 2000", stream=True, pace=20)
    top = run(one, fidelity="wire").metrics["max_latency_ms"]
    assert top is not None
    assert top > (run(one).metrics["max_latency_ms"] or 0)


def test_an_error_under_a_200_is_of_the_class_that_its_body_tells() -> None:
    """The body of one of Bedrock's errors tells no class: under a 200 it is only no answer."""
    one = outage("bedrock", "kind: error_event, status: 429", stream=False, pace=None)
    seen: dict[str, list[Event]] = {"provider": [], "wire": []}
    for fidelity in ("provider", "wire"):
        run(one, fidelity=fidelity, observers=[seen[fidelity].append])  # type: ignore[arg-type]
    classes = {
        fidelity: {event.error_type for event in events if isinstance(event, AttemptFailed)}
        for fidelity, events in seen.items()
    }
    assert classes["provider"] == {"RateLimitError"}
    assert classes["wire"] == {"MalformedResponseError"}


def test_text_comes_token_by_token() -> None:
    """12 answers of 12 tokens; Anthropic opens each with an empty text."""
    one = outage("anthropic", "kind: latency, add: 10ms", stream=True, pace=20)
    seen: list[Event] = []
    run(one, fidelity="wire", observers=[seen.append])
    chunks = [event.text for event in seen if isinstance(event, ChunkReceived)]
    assert (chunks.count(""), chunks.count(" word"), len(chunks)) == (12, 144, 156)


def test_nothing_leaves_the_process_or_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a run on the wire opened a socket or began a thread")

    one = scenario("failover-accounting")
    run(one, fidelity="wire")  # what is imported lazily is there now
    monkeypatch.setattr(threading.Thread, "start", forbidden)
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    for vendor in VENDORS:
        result = run(outage(vendor, "kind: http_error", stream=True, pace=20), fidelity="wire")
        assert result.metrics["availability"] == 1


def test_the_wire_repeats_to_the_byte() -> None:
    one = outage("anthropic", "kind: stream_cut, after_tokens: 5, probability: 0.5", stream=True, pace=20)
    first = run(one, fidelity="wire")
    assert run(one, fidelity="wire").trace_sha256 == first.trace_sha256
    assert run(one, fidelity="wire", seed=1).trace_sha256 != first.trace_sha256
