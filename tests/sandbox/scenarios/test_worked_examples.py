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


def test_aiworld() -> None:
    """Retries after 1, 2, 4 and 8 s on each provider before moving on; five failures within 60 s open for 30 s.

    The request at 10 fails at 10.1, begins again at 11.1 and fails at 11.2; the one at 11 at 11.1 and 12.2; the one at
    12 at 12.1. In order: 10.1, 11.1, 11.2, 12.1, and the fifth is 12.2: open until 42.2. That request moves on at once:
    12.2 + 0.5 - 11 = 1.7 s. Those at 10 and 12 wait already, until 11.2 + 2 = 13.2 and 12.1 + 1 = 13.1, are refused
    then and move on: 13.2 + 0.5 - 10 = 3.7 s and 13.1 + 0.5 - 12 = 1.6 s. Probes: 43 fails at 43.1 and, refused, is not
    tried again; 74 succeeds at 74.4. Attempts at the sick one: 10 + 5 + 1 + 46 = 62, 6 of them in vain, 2 of them
    retries; the other answers 13-42, 44-73 and four more: 64.
    """
    result = ran(OUTAGE.format(preset="aiworld", first="first"))
    assert transitions(result) == [
        (12.2, "first", "open"),
        (43.0, "first", "half_open"),
        (43.1, "first", "open"),
        (74.0, "first", "half_open"),
        (74.4, "first", "closed"),
    ]
    assert result.attempts_by_provider == {"first": 62, "second": 64}
    assert result.failed_attempts_by_provider == {"first": 6, "second": 0}
    m = result.metrics
    assert (m["retries"], m["failovers"], m["availability"], m["max_latency_ms"]) == (2, 64, 1, 3700.0)


def test_resilience4j() -> None:
    """Half of the last 100 calls, of at least 100, open for 60 s; 10 calls are let through then and judged together.

    Retries are those of `sandbox`: a request at t in [10, 70) fails at t + 0.1 and t + 0.25. Calls 1-10 succeed (0-9);
    after n more requests there are 10 + 2n calls, so the 100th is the second one of the 45th, at 54: it ends at 54.25,
    90 of 100 have failed, open until 114.25. The outage is over at 70, but the first request after the wait is 115: ten
    are let through, 115-124, which are ten results at 124.4: none failed, closed.
    Attempts at the sick one: 10 + 90 + 15 (115-129); the other answers 10-54 and 55-114: 105.
    """
    result = ran(OUTAGE.format(preset="resilience4j", first="first").replace("120s", "130s"))
    assert transitions(result) == [
        (54.25, "first", "open"),
        (115.0, "first", "half_open"),
        (124.4, "first", "closed"),
    ]
    assert [one.reason for one in result.transitions][::2] == ["90 of 100 calls failed", "0 of 10 calls failed"]
    assert result.attempts_by_provider == {"first": 115, "second": 105}
    assert result.failed_attempts_by_provider == {"first": 90, "second": 0}
    assert (result.metrics["retries"], result.metrics["max_latency_ms"]) == (45, 750.0)


def test_litellm() -> None:
    """More than half of a minute's calls, of at least five, cool for 5 s; then everything comes back at once.

    The ten successes of 0-9 are counted from 0.4 on, until 60.4. Requests 10-14 fail twice each: 10 failures, which are
    half of 20 and not more. The first try of 15 fails at 15.1: 11 of 21, out until 20.1, and the request moves on. The
    next is 21, which fails at 21.1: 12 of 22, out until 26.1; so do 27, 33, …, 69, a full try every 6 s: from 63 on
    the successes are forgotten, which changes nothing. The outage ends at 70; out since 69.1, the provider is asked
    again at 75 and answers. Failures: 11 + 9 (21, 27, …, 69) = 20. Attempts: 10 + 20 + 45 (75-119) = 75.
    """
    result = ran(OUTAGE.format(preset="litellm", first="first"))
    expected = [(15.1, "first", "open")]
    for at in range(21, 70, 6):
        expected += [(float(at), "first", "closed"), (at + 0.1, "first", "open")]
    assert transitions(result) == [*expected, (75.0, "first", "closed")]
    assert result.attempts_by_provider == {"first": 75, "second": 65}
    assert result.failed_attempts_by_provider == {"first": 20, "second": 0}
    assert result.metrics["retries"] == 5


def test_litellm_leaves_a_limited_provider_at_its_first_429() -> None:
    """Without Retry-After a 429 is not tried again. The one at 10 fails at 10.1: out until 15.1; then 16, 22, …, 64.

    Out until 69.1 after that, so that the request at 70 finds it well. Failures: 10, 16, …, 64: 10.
    """
    limited = OUTAGE.format(preset="litellm", first="first").replace("http_error, status: 503", "rate_limit")
    result = ran(limited)
    assert [at for at, _, state in transitions(result) if state == "open"] == [at + 0.1 for at in range(10, 65, 6)]
    assert transitions(result)[-1] == (70.0, "first", "closed")
    assert result.failed_attempts_by_provider["first"] == 10


def test_a_short_retry_after_is_waited_for() -> None:
    """`sandbox`, 429 after 0.1 s with Retry-After 1.5 s, which is below the 5 s that are waited for.

    A request at t fails at t + 0.1, begins again at t + 1.6, fails at t + 1.7 and moves on. Failures: 10.1, 11.1, 11.7,
    12.1, and the fifth 12.7, the second one of the request at 11: open until 42.7 (30 s are longer than 1.5). The
    request at 12 waits until 13.6 and is refused then: 13.6 + 0.5 - 12 = 2.1 s; those at 10 and 11: 1.7 + 0.5 = 2.2.
    """
    limited = "rate_limit, retry_after: 1500ms"
    result = ran(OUTAGE.format(preset="sandbox", first="first").replace("http_error, status: 503", limited))
    assert transitions(result) == [
        (12.7, "first", "open"),
        (43.0, "first", "half_open"),
        (43.1, "first", "open"),
        (74.0, "first", "half_open"),
        (74.4, "first", "closed"),
    ]
    assert (result.metrics["retries"], result.metrics["max_latency_ms"]) == (2, 2200.0)


def test_a_long_retry_after_is_kept() -> None:
    """45 s are more than the 5 that are waited for, so each request moves on at once: t + 0.1 + 0.5.

    Failures at 10.1, …, 14.1 open the breaker until 59.1, because 45 s are longer than its own 30. The request at 60
    is the probe: 60.1, until 105.1, and 106 finds a provider that has been well for 36 s: closed at 106.4.
    Attempts at the sick one: 10 + 5 + 1 + 14 (106-119) = 30.
    """
    limited = "rate_limit, retry_after: 45s"
    result = ran(OUTAGE.format(preset="sandbox", first="first").replace("http_error, status: 503", limited))
    assert transitions(result) == [
        (14.1, "first", "open"),
        (60.0, "first", "half_open"),
        (60.1, "first", "open"),
        (106.0, "first", "half_open"),
        (106.4, "first", "closed"),
    ]
    assert result.attempts_by_provider["first"] == 30
    assert (result.metrics["retries"], result.metrics["max_latency_ms"]) == (0, 600.0)


STREAMS = """
version: 1
name: streams
duration: 120s
policy: {{streaming: {{policy: restart, first_text: 9500ms}}}}
providers:
  - {{name: anthropic, id: first, model: claude-3-sonnet, latency: 400ms, tokens_per_second: 50}}
  - {{name: openai, id: second, model: gpt-4-turbo, latency: 500ms}}
traffic:
  - {{rate: 1/s, input_tokens: 1000, output_tokens: 100, stream: true}}
faults:
  - {{provider: first, from: 10s, to: 70s, {fault}}}
"""


def test_streams_without_a_first_text() -> None:
    """14 s to the first text are more than the 9.5 s that are waited for; a silent provider is not asked twice.

    The requests from 10 on are given up at t + 9.5; the fifth, at 23.5, opens until 53.5. By then 10-23 have been sent
    there, all of them in vain, and take 9.5 + 0.5 = 10 s. The probe at 54 fails at 63.5, open until 93.5, and while it
    waits the others are refused. At 94 the first text comes after 0.4 s, which is enough to close, although the stream
    goes on until 96.4. Attempts at the sick one: 10 + 14 + 1 + 26 (94-119) = 51.
    """
    result = ran(STREAMS.format(fault="kind: latency, add: 14s"))
    assert transitions(result) == [
        (23.5, "first", "open"),
        (54.0, "first", "half_open"),
        (63.5, "first", "open"),
        (94.0, "first", "half_open"),
        (94.4, "first", "closed"),
    ]
    assert result.attempts_by_provider["first"] == 51
    assert result.failed_attempts_by_provider["first"] == 15
    assert (result.metrics["availability"], result.metrics["max_latency_ms"]) == (1, 10_000.0)


def test_streams_that_are_cut_fool_a_probe() -> None:
    """Cut after 25 tokens, 0.4 + 25 / 50 = 0.9 s from the start; the answer begins anew elsewhere: 0.9 + 0.5 = 1.4 s.

    Failures at 10.9, …, 14.9 open until 44.9. The probe at 45 shows its first text at 45.4, which closes the breaker;
    that it is cut at 45.9 comes too late. The five after it open again at 50.9, until 80.9; 81 is well: 81.4. Attempts
    at the sick one: 10 + 5 + 1 + 5 + 39 (81-119) = 60, 11 of them cut at (1000 × 3 + 25 × 15) / 10⁶ = 0.003375 each.
    """
    result = ran(STREAMS.format(fault="kind: stream_cut, after_tokens: 25"))
    assert transitions(result) == [
        (14.9, "first", "open"),
        (45.0, "first", "half_open"),
        (45.4, "first", "closed"),
        (50.9, "first", "open"),
        (81.0, "first", "half_open"),
        (81.4, "first", "closed"),
    ]
    assert result.attempts_by_provider["first"] == 60
    assert result.metrics["waste_usd"] == 11 * Decimal("0.003375")
    assert result.metrics["max_latency_ms"] == 2400.0  # a whole stream: 0.4 + 100 / 50


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
