"""Outages worked out by hand: every moment and every count follows from the scenario's numbers alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.scenarios.loader import check
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse

OUTAGE = """
version: 1
name: worked
duration: 120s
preset: {preset}
providers:
  - {{name: anthropic, id: {first}, model: claude-3-sonnet, latency: 400ms}}
  - {{name: openai, id: second, model: gpt-4-turbo, latency: 500ms}}
traffic:
  - {{rate: 1/s, input_tokens: 1000, output_tokens: 100}}
faults:
  - {{provider: {first}, from: 10s, to: 70s, kind: http_error, status: 503, after: 100ms}}
"""


def ran(text: str, **options: Any) -> Result:
    return run(check(parse(text, Path("worked.yaml"))), **options)


def transitions(result: Result) -> list[tuple[float, str, str]]:
    return [(one.at_us / 1e6, one.provider, one.to_state) for one in result.transitions]


def test_happyos() -> None:
    """No retries; three failures in a row open the breaker for 30 s.

    Requests come at 0, 1, … 119: 120 of them. Those at 10, 11 and 12 fail after 0.1 s: open at 12.1 until 42.1. The
    first request at or after that comes at 43: half open, fails at 43.1: open until 73.1. The next is at 74: half
    open, and succeeds at 74.4: closed. The sick provider is asked 10 + 3 + 1 + 46 = 60 times (0-9, 10-12, 43, 74-119),
    4 of them in vain; the other answers 13-42, 44-73 and the 4 that failed: 64.

    claude-3-sonnet: 1000 × 3 + 100 × 15 = 4500 millionths = 0.0045; gpt-4-turbo: 1000 × 10 + 100 × 30 = 0.013.
    cost = 56 × 0.0045 + 64 × 0.013 = 1.084, baseline = 120 × 0.0045 = 0.54, failing over = 64 × 0.0085 = 0.544.
    A failed-over request that asked the sick one first takes 0.1 + 0.5 s, the others 0.5 s or 0.4 s.
    """
    result = ran(OUTAGE.format(preset="happyos", first="bedrock"))
    assert transitions(result) == [
        (12.1, "bedrock", "open"),
        (43.0, "bedrock", "half_open"),
        (43.1, "bedrock", "open"),
        (74.0, "bedrock", "half_open"),
        (74.4, "bedrock", "closed"),
    ]
    m = result.metrics
    assert (m["requests"], m["succeeded"], m["attempts"], m["failovers"], m["retries"]) == (120, 120, 124, 64, 0)
    assert result.attempts_by_provider == {"bedrock": 60, "second": 64}
    assert result.failed_attempts_by_provider == {"bedrock": 4, "second": 0}
    assert result.answers_by_provider == {"bedrock": 56, "second": 64}
    assert (m["cost_usd"], m["baseline_cost_usd"], m["failover_cost_usd"], m["waste_usd"]) == (
        Decimal("1.084"),
        Decimal("0.54"),
        Decimal("0.544"),
        0,
    )
    assert (m["p50_latency_ms"], m["p95_latency_ms"], m["max_latency_ms"]) == (500.0, 500.0, 600.0)
    assert result.virtual_seconds == 120.0  # the last answer comes at 119.4; the scenario lasts until 120


def test_sandbox() -> None:
    """One quick retry after 50 ms while another candidate is there; five failures within 60 s open for 30 s.

    Each request at the sick one fails at +0.1, is retried at +0.15 and fails at +0.25. Failures 1-4: 10.1, 10.25, 11.1,
    11.25; the fifth at 12.1 opens until 42.1, so the request at 12 is not retried. It moves on: 12.1 + 0.5. Probes: 43
    fails at 43.1 (open until 73.1, no retry: the breaker refuses), 74 succeeds at 74.4.
    Attempts at the sick: 10 + (2 + 2 + 1) + 1 + 46 = 62, retries 2, failovers 64 as before.
    """
    result = ran(OUTAGE.format(preset="sandbox", first="first"))
    assert transitions(result) == [
        (12.1, "first", "open"),
        (43.0, "first", "half_open"),
        (43.1, "first", "open"),
        (74.0, "first", "half_open"),
        (74.4, "first", "closed"),
    ]
    assert result.attempts_by_provider == {"first": 62, "second": 64}
    assert (result.metrics["retries"], result.metrics["failovers"]) == (2, 64)
    assert result.metrics["max_latency_ms"] == 750.0  # 0.1 + 0.05 + 0.1 + 0.5


def test_greenlang() -> None:
    """Retries 1-2-4-8 on each provider before moving on; five in a row open for 60 s.

    The request at 10 fails at 10.1, 11.2 (10.1 + 1 + 0.1), the one at 11 at 11.1, the one at 12 at 12.1: in order of
    completion 10.1, 11.1, 11.2, 12.1 are four failures in a row, the fifth is 12.2 (11.1 + 1 + 0.1): open until 72.2.
    Retries planned after that are refused by the breaker, so those requests move on when their backoff would begin.
    """
    result = ran(OUTAGE.format(preset="greenlang", first="first"))
    assert transitions(result)[0] == (12.2, "first", "open")
    assert transitions(result)[1:] == [(73.0, "first", "half_open"), (73.4, "first", "closed")]
    assert result.failed_attempts_by_provider == {"first": 5, "second": 0}


def test_unified() -> None:
    """One active backend, no breaker, 3 retries after 1, 2 and 4 s: what an outage without anybody to turn to is like.

    A request at t in [10, 70) fails at +0.1, +1.2, +3.3, +7.4 and gives up, unless a retry comes at 70 or later: the
    tries begin at t, t+1.1, t+3.2, t+7.3. The last try is within the outage while t + 7.3 < 70: t = 10 … 62 fail: 53.
    """
    text = OUTAGE.format(preset="unified", first="first").replace(
        "  - {name: openai, id: second, model: gpt-4-turbo, latency: 500ms}\n", ""
    )
    result = ran(text)
    assert result.transitions == ()
    assert result.metrics["failed"] == 53
    assert result.errors_by_type == {"ServiceUnavailableError": 53}
    assert result.metrics["availability"] == pytest.approx(67 / 120)
    # 53 × 4 tries fail; of 63 … 69 those fail that begin before 70: 63-66 three, 67-68 two, 69 one.
    assert result.failed_attempts_by_provider == {"first": 53 * 4 + 4 * 3 + 2 * 2 + 1}


def test_a_stream_that_is_cut_is_paid_for() -> None:
    """100 tokens at 50 a second from 0.4 s on; cut after 25, at 0.4 + 25/50 = 0.9 s. The policy restarts elsewhere.

    Waste: 1000 × 3 + 25 × 15 = 0.003375. The other streams 100 tokens at once at 0.9 + 0.5 = 1.4 s: 0.013.
    """
    result = ran(
        """
version: 1
name: cut
duration: 1s
policy: {streaming: {policy: restart}}
providers:
  - {name: anthropic, id: first, model: claude-3-sonnet, latency: 400ms, tokens_per_second: 50}
  - {name: openai, id: second, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100, stream: true}
faults:
  - {provider: first, kind: stream_cut, after_tokens: 25}
"""
    )
    m = result.metrics
    assert (m["succeeded"], m["max_latency_ms"]) == (1, 1400.0)
    assert (m["waste_usd"], m["cost_usd"]) == (Decimal("0.003375"), Decimal("0.016375"))
    assert m["failover_cost_usd"] == Decimal("0.013") - Decimal("0.0045")


def test_the_same_bytes_at_any_speed_and_with_any_watcher() -> None:
    text = OUTAGE.format(preset="sandbox", first="first")
    seen: list[Any] = []
    moves: list[tuple[int, int]] = []
    plain = ran(text)
    watched = ran(text, observers=[seen.append], pace=lambda now, then: moves.append((now, then)))
    assert plain.trace_sha256 == watched.trace_sha256
    assert seen
    assert all(now < then for now, then in moves)
    assert ran(text, seed=1).trace_sha256 != plain.trace_sha256
    assert ran(text, preset="happyos").trace_sha256 != plain.trace_sha256
