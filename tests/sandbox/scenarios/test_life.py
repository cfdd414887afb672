"""Scenarios from life: what is made of a run, replayed, comes to about the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import InputError
from providers.types import AttemptRecord
from sandbox.core.trace import read, read_header
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.life.inferred import TOLERANCE, Origin, scenario_data
from sandbox.scenarios.life.observed import Asked, Try, of_records, of_trace
from sandbox.scenarios.life.segments import by_rate, by_share, runs
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse
from sandbox.scenarios.writing import to_yaml
from sandbox.usage.base import UsageRecord
from sandbox.usage.records import read_story, story_text

NOT_SEEN = {
    "budget-exhaustion": "budgets are in no trace",
    "cache-saves-the-day": "what a cache answered is left out",
    "hour-of-outage": "as total-outage, for longer",
    "recovery-herd": "a breaker's own settings are in no trace, and a ramp comes out as a stair",
}
"""Built-in scenarios that cannot come out alike, and why."""


def again(one: Scenario, tmp_path: Path) -> tuple[Result, dict[str, Any], Result]:
    """A run, the scenario that its trace makes, and a run of that."""
    path = tmp_path / "trace.jsonl"
    first = run(one, trace=path)
    with path.open("rb") as file:
        head = read_header(file.readline())
        file.seek(0)
        requests = of_trace(read(file))
    data = scenario_data(requests, Origin("again", "From a trace.", head["preset"]))
    return first, data, run(check(parse(to_yaml(data), tmp_path / "again.yaml")))


@pytest.mark.parametrize("name", sorted(set(names()) - set(NOT_SEEN)))
def test_a_built_in_scenario_comes_out_alike(name: str, tmp_path: Path) -> None:
    """Availability within 0.01, the others within 5 % and ten, money within 5 % and a cent."""
    first, _, second = again(scenario(name), tmp_path)
    assert abs(second.metrics["availability"] - first.metrics["availability"]) <= 0.01  # type: ignore[operator]
    for metric in ("requests", "attempts", "failovers", "retries"):
        before, after = first.metrics[metric], second.metrics[metric]
        assert before is not None
        assert after == pytest.approx(before, rel=0.05, abs=10), metric
    assert second.metrics["p50_latency_ms"] == pytest.approx(first.metrics["p50_latency_ms"], rel=0.1)  # type: ignore[type-var]
    assert float(second.metrics["cost_usd"] or 0) == pytest.approx(
        float(first.metrics["cost_usd"] or 0), rel=0.05, abs=0.01
    )
    assert list(second.attempts_by_provider) == list(first.attempts_by_provider)
    assert all(one["ok"] for one in second.expectations)


OUTAGE = """
version: 1
name: worked
duration: 60s
preset: happyos
policy: {deadline: 20s}
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms, tokens_per_second: 50}
  - {name: openai, id: backup, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {from: 0s, to: 20s, rate: 2/s, input_tokens: 300, output_tokens: 100, stream: true, tenant: acme}
  - {from: 20s, to: 60s, rate: 10/s, input_tokens: 300, output_tokens: 100, stream: true, tenant: acme}
faults:
  - {provider: bedrock, from: 10s, to: 30s, kind: http_error, status: 503, after: 100ms}
"""


def test_a_worked_example(tmp_path: Path) -> None:
    """Streams of 0.4 + 100 / 50 = 2.4 s that began before 10 end well until 9.5 + 2.4 = 11.9, between the failures.

    Three in a row are then those of 12.0, 12.5 and 13.0: open at 13.1, until 43.1, when one finds it well. So it
    began to fail between 9.5 and 10.0, and was well again somewhere between 13.0 and 43.1.
    """
    first, data, second = again(check(parse(OUTAGE, Path("worked.yaml"))), tmp_path)
    assert data["duration"] == "60s"
    assert data["policy"] == {"deadline": 20.0}
    assert data["providers"] == [
        {"name": "bedrock", "model": "claude-3-sonnet", "latency": "0.4s", "tokens_per_second": 50.0},
        {"name": "openai", "model": "gpt-4-turbo", "id": "backup", "latency": "0.5s"},
    ]
    part = {"tenant": "acme", "stream": True, "input_tokens": 300, "output_tokens": 100}
    assert data["traffic"] == [
        {"from": "0s", "to": "20s", "rate": 2.0, **part},
        {"from": "20s", "to": "60s", "rate": 10.0, **part},
    ]
    window = {"from": "9.75s", "to": "28.05s"}
    assert data["faults"] == [{"provider": "bedrock", **window, "kind": "http_error", "status": 503, "after": "0.1s"}]
    assert data["expect"] == [{"metric": "availability", "min": 1.0 - TOLERANCE}]
    assert second.transitions == first.transitions
    assert second.metrics == first.metrics


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        ("kind: timeout", {"kind": "timeout"}),
        ("kind: rate_limit, after: 30ms", {"kind": "rate_limit", "after": "0.03s"}),
        ("kind: auth, after: 30ms", {"kind": "auth", "after": "0.03s"}),
        ("kind: http_error, status: 402, after: 30ms", {"kind": "http_error", "status": 402, "after": "0.03s"}),
        ("kind: http_error, status: 413, after: 30ms", {"kind": "http_error", "status": 413, "after": "0.03s"}),
        ("kind: http_error, status: 529, after: 30ms", {"kind": "http_error", "status": 529, "after": "0.03s"}),
        ("kind: content_filter, after: 30ms", {"kind": "content_filter", "after": "0.03s"}),
        ("kind: empty_body, after: 30ms", {"kind": "malformed_body", "after": "0.03s"}),
        ("kind: connection_reset", {"kind": "connection_reset"}),
        ("kind: stream_cut, after_tokens: 40", {"kind": "stream_cut", "after_tokens": 40}),
        ("kind: stream_stall, after_tokens: 40", {"kind": "stream_stall", "after_tokens": 39}),
    ],
)
def test_a_fault_is_told_by_how_attempts_ended(fault: str, made: dict[str, Any], tmp_path: Path) -> None:
    text = OUTAGE.replace("kind: http_error, status: 503, after: 100ms", fault)
    _, data, _ = again(check(parse(text, Path("worked.yaml"))), tmp_path)
    (found,) = data["faults"]
    assert {key: value for key, value in found.items() if key not in ("provider", "from", "to")} == made


def test_prompts_that_are_too_long_are_a_window(tmp_path: Path) -> None:
    first, data, second = again(scenario("context-too-long"), tmp_path)
    assert data["providers"][0]["context_window"] == 2000
    assert sorted(stream["input_tokens"] for stream in data["traffic"]) == [2000, 60000]
    assert "faults" not in data
    assert second.metrics["failovers"] == first.metrics["failovers"] == 180


@pytest.mark.parametrize("policy", ["restart", "continue", "buffer"])
def test_how_streams_went_on_is_seen(policy: str, tmp_path: Path) -> None:
    text = OUTAGE.replace("deadline: 20s", f"streaming: {{policy: {policy}}}").replace(
        "http_error, status: 503, after: 100ms", "stream_cut, after_tokens: 20"
    )
    # Anthropic's models go on from a beginning; OpenAI's do not, so only the first can be continued by the second.
    text = text.replace("openai, id: backup, model: gpt-4-turbo", "anthropic, id: backup, model: claude-3-haiku")
    _, data, _ = again(check(parse(text, Path("worked.yaml"))), tmp_path)
    assert data["policy"]["streaming"] == {"policy": policy}


async def test_the_usage_log_tells_the_same(tmp_path: Path) -> None:
    """Records as a store gives them back: their stories have been JSON."""
    ok = AttemptRecord("openai", "gpt-4", "ok", latency_ms=900.0, ttft_ms=400.0)
    bad = AttemptRecord("anthropic", "claude-3-opus", "failed", "ServiceUnavailableError", "no", 503, 0.0, 50.0)
    skipped = AttemptRecord("anthropic", "claude-3-opus", "skipped", "breaker_open")
    gone = AttemptRecord("anthropic", "claude-3-opus", "failed", "Cancelled", latency_ms=3.0)
    plan = [["anthropic", "claude-3-opus", "first"], ["openai", "gpt-4", "second"]]

    async def records() -> AsyncIterator[UsageRecord]:
        for number in range(60):
            first = bad if number < 5 else skipped if number < 58 else gone
            story = {"stream": True, "attempts": [first, ok], "plan": plan}
            yield UsageRecord(
                f"l{number}", f"r{number}", "acme", "a", 10**15 + number * 500_000, "live", "gpt-4", None, "openai",
                prompt_tokens=200, completion_tokens=50, estimated_cost=Decimal("0.01"), latency_ms=950.0,
                story=read_story(story_text(story)),
            )  # fmt: skip

    requests = await of_records(records())
    assert [len(one.tries) for one in requests] == [2] * 5 + [1] * 55
    data = scenario_data(requests, Origin("log", "x", "no-such-preset", "current"))
    assert data["preset"] == "sandbox"
    assert [(one["name"], one["model"]) for one in data["providers"]] == [
        ("anthropic", "claude-3-opus"),
        ("openai", "gpt-4"),
    ]
    assert data["providers"][1]["latency"] == "0.4s"
    assert data["providers"][1]["tokens_per_second"] == 100.0
    assert data["faults"] == [{"provider": "anthropic", "kind": "http_error", "status": 503, "after": "0.05s"}]
    check(parse(to_yaml(data), tmp_path / "log.yaml"))


def test_without_requests_there_is_nothing_to_make() -> None:
    hit = Asked(0, "t", "a", None, False, cached=True)
    for requests in ([], [hit]):
        with pytest.raises(InputError, match="no request in it that a provider had to answer"):
            scenario_data(requests, Origin("x", "x"))


def test_one_request_is_enough() -> None:
    one = Asked(
        5, "t", "a", "gpt-4", False, tries=[Try(5, "mine", "gpt-4", None, "", None, 300_000, None)], answered=True
    )
    data = scenario_data([one], Origin("x", "x"))
    assert data["providers"] == [{"name": "openai", "model": "gpt-4", "id": "mine", "latency": "0.3s"}]
    assert run(check(parse(to_yaml(data), Path("x.yaml")))).metrics["requests"] == 1


# --- stretches ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "stretches"),
    [
        ([], []),
        ([True], [(0, 1)]),
        ([False] * 50, [(0, 50)]),
        ([False] * 100 + [True] * 10 + [False] * 200, [(0, 100), (100, 110), (110, 310)]),
        ([True] * 30 + [False] * 30, [(0, 30), (30, 60)]),
        (([False] * 19 + [True]) * 30, [(0, 600)]),
        ([True, False] * 50 + [False] * 100, [(0, 99), (99, 200)]),
    ],
)
def test_where_a_share_changes(hits: list[bool], stretches: list[tuple[int, int]]) -> None:
    assert by_share(hits) == stretches


@given(st.lists(st.booleans(), max_size=200))
def test_stretches_cover_everything_once(hits: list[bool]) -> None:
    for stretches in (by_share(hits), runs(hits)):
        assert [index for begin, end in stretches for index in range(begin, end)] == list(range(len(hits)))
        assert all(begin < end for begin, end in stretches)
    assert all(len(set(hits[begin:end])) == 1 for begin, end in runs(hits))


@given(st.lists(st.integers(0, 299_999_999), min_size=1, max_size=300))
def test_no_event_is_lost_in_a_rate(times: list[int]) -> None:
    stretches = by_rate(sorted(times), 300_000_000)
    assert sum(count for *_, count in stretches) == len(times)
    for begin, end, count in stretches:
        assert count == sum(begin <= time < end for time in times)


def test_a_rate_that_rises_and_falls() -> None:
    slow, fast = range(0, 60_000_000, 500_000), range(60_000_000, 90_000_000, 100_000)
    assert by_rate([*slow, *fast, *range(90_000_000, 120_000_000, 500_000)], 120_000_000) == [
        (0, 60_000_000, 120),
        (60_000_000, 90_000_000, 300),
        (90_000_000, 120_000_000, 60),
    ]
