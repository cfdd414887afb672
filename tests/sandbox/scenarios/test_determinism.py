"""The same file, seed and version give the same trace to the byte: in one process, in several, at any speed."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from sandbox.core import pacing
from sandbox.core.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Event
from sandbox.scenarios.loader import check
from sandbox.scenarios.results import Result
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse

ALONE = """
version: 1
name: alone
seed: 11
duration: 10m
policy: {strategy: random, retry: {jitter: full}}
providers:
  - {name: openai, model: gpt-4-turbo, latency: {p50: 400ms, p99: 900ms}}
  - {name: anthropic, model: claude-3-sonnet, latency: {p50: 500ms, p99: 1s}}
traffic:
  - {rate: 1/m, arrival: uniform}
  - {from: 30s, rate: 1/m, stream: true, output_tokens: 40}
faults:
  - {provider: openai, kind: http_error, status: 503, probability: 0.5}
"""
"""A request every half a minute: nothing that is under way meets anything else."""

CROWD = """
version: 1
name: crowd
seed: 12
duration: 6s
policy: {strategy: weighted, retry: {jitter: full}, streaming: {policy: restart}}
providers:
  - {name: openai, model: gpt-4-turbo, latency: {p50: 4s, p99: 9s}, tokens_per_second: 80, weight: 2}
  - {name: anthropic, model: claude-3-sonnet, latency: {p50: 4s, p99: 9s}, tokens_per_second: 60}
  - {name: gemini, model: gemini-1.5-flash, latency: 4s, requests_per_minute: 1000}
traffic:
  - {rate: 50/s, arrival: poisson, stream: true, output_tokens: 40}
  - {rate: 50/s, arrival: uniform}
  - {rate: 50/s, arrival: uniform, tenant: other}
faults:
  - {provider: openai, from: 1s, to: 3s, kind: stream_cut, after_tokens: 30, probability: 0.5}
  - {provider: openai, from: 1s, to: 3s, kind: http_error, status: 500, probability: {from: 0, to: 1}}
  - {provider: anthropic, from: 2s, to: 4s, kind: rate_limit, retry_after: 2s, probability: 0.3}
"""
"""Two of the streams send at the same microseconds, and hundreds of requests are under way at once."""

SCENARIOS = {"alone": ALONE, "crowd": CROWD}


@cache
def plain(name: str) -> Result:
    return ran(name)


def ran(name: str, **options: object) -> Result:
    return run(check(parse(SCENARIOS[name], Path(f"{name}.yaml"))), **options)  # type: ignore[arg-type]


def most_at_once(name: str) -> int:
    under_way = most = 0

    def watch(event: Event) -> None:
        nonlocal under_way, most
        if isinstance(event, AttemptStarted):
            under_way += 1
            most = max(most, under_way)
        elif isinstance(event, (AttemptFailed, AttemptSucceeded)):
            under_way -= 1

    ran(name, observers=[watch])
    return most


def test_one_at_a_time_and_five_hundred_at_once() -> None:
    assert most_at_once("alone") == 1
    assert most_at_once("crowd") >= 500


@pytest.mark.parametrize("name", SCENARIOS)
def test_twice_in_a_process(name: str) -> None:
    one, two = plain(name), ran(name)
    assert one.trace_sha256 == two.trace_sha256
    assert {**one.as_dict(), "wall_seconds": 0} == {**two.as_dict(), "wall_seconds": 0}
    assert ran(name, seed=99).trace_sha256 != one.trace_sha256


@pytest.mark.parametrize("name", SCENARIOS)
def test_in_other_processes_whatever_their_hashes(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.yaml"
    path.write_text(SCENARIOS[name])
    code = f"""
from sandbox.scenarios.builtin import scenario
from sandbox.scenarios.runner import run
print(run(scenario({str(path)!r})).trace_sha256)
"""
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed, zone in [("0", "UTC"), ("1", "Pacific/Chatham"), ("4711", "America/St_Johns")]
    }
    assert seen == {plain(name).trace_sha256}


@pytest.mark.parametrize("name", SCENARIOS)
def test_at_any_speed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace of `--speed 10`, with a watch that stands in for real time and moves when it is slept on."""

    class Watch:
        now = 100.0
        slept = 0.0

        def monotonic(self) -> float:
            return self.now

        def sleep(self, seconds: float) -> None:
            assert seconds > 0
            self.now += seconds
            self.slept += seconds

    watch = Watch()
    monkeypatch.setattr(pacing, "time", watch)
    paced = ran(name, pace=pacing.Paced(10.0))
    assert paced.trace_sha256 == plain(name).trace_sha256
    assert watch.slept == pytest.approx(paced.virtual_seconds / 10, rel=0.05)


@pytest.mark.parametrize("name", SCENARIOS)
def test_whoever_watches_and_wherever_it_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    written = ran(name, trace=path, observers=[lambda event: None])
    assert written.trace_sha256 == plain(name).trace_sha256 == sha256(path.read_bytes()).hexdigest()
    for line in path.read_bytes().splitlines():
        keys = list(orjson.loads(line))
        assert keys == sorted(keys)
