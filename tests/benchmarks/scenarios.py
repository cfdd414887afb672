"""Scenarios: virtual requests a second with simulated providers, and what a million of them leave in memory."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from sandbox.core.events import Event, RequestReceived
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse
from tests.benchmarks.memory import resident_mb
from tests.benchmarks.report import Row, bound_row

RATE = 100
"""Requests a second of virtual time: some three hundred are under way at a time."""


def outage(requests: int) -> Scenario:
    """A quarter of the time the first provider fails; the trace is hashed and not written."""
    seconds = requests / RATE
    return check(
        parse(
            f"""
version: 1
name: scale
duration: {seconds}s
providers:
  - {{name: bedrock, model: claude-3-sonnet, latency: {{p50: 800ms, p99: 2s}}, tokens_per_second: 60}}
  - {{name: openai, model: gpt-4-turbo, latency: 600ms}}
traffic:
  - {{rate: {RATE}/s, input_tokens: 400, output_tokens: 150}}
faults:
  - {{provider: bedrock, from: {seconds / 4}s, to: {seconds / 2}s, kind: http_error, status: 503}}
""",
            Path("scale.yaml"),
        )
    )


def measure(*, requests: int = 100_000) -> list[Row]:
    run(outage(500))
    speeds = [_speed("provider", 20_000) for _ in range(3)]
    wire = _speed("wire", 5_000)
    return [
        bound_row("scenario, virtual requests", max(speeds), 4_000, "/s", more=True),
        bound_row("scenario on the wire, virtual requests", wire, 1_000, "/s", more=True),
        _memory(requests),
    ]


def _speed(fidelity: str, requests: int) -> float:
    """Requests a second of CPU time."""
    scenario = outage(requests)
    began = time.process_time()
    result = run(scenario, fidelity=fidelity)  # type: ignore[arg-type]
    return float(result.metrics["requests"] or 0) / (time.process_time() - began)


def _memory(requests: int) -> Row:
    """Growth of the resident set between the ten-thousandth request and the end."""
    early = 0.0
    count = 0

    def watch(event: Event) -> None:
        nonlocal early, count
        if type(event) is RequestReceived:
            count += 1
            if count == 10_000:
                gc.collect()
                early = resident_mb()

    result = run(outage(requests), observers=[watch])
    grown = resident_mb() - early
    assert result.metrics["requests"] == requests
    return bound_row(f"scenario, memory growth from 10,000 to {requests:,} requests", max(0.0, grown), 10.0, "MB")
