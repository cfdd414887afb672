"""Whatever fails, and however: what must hold of every run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.faults import KINDS
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Event,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    UsageRecorded,
)
from sandbox.gateway.policies import PRESETS
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.peers import PEERS
from sandbox.scenarios.peers.resilience4j import HALF_OPEN_CALLS
from sandbox.scenarios.runner import Lab, policy_of, run
from sandbox.scenarios.source import parse

IDS = ("one", "two", "three")
_MODELS = {
    "one": ("openai", "gpt-4-turbo"),
    "two": ("anthropic", "claude-3-sonnet"),
    "three": ("gemini", "gemini-1.5-flash"),
}

times = st.integers(0, 59)


@st.composite
def faults(draw: Any) -> dict[str, Any]:
    begin = draw(times)
    fault: dict[str, Any] = {
        "provider": draw(st.sampled_from(IDS)),
        "from": begin,
        "kind": draw(st.sampled_from(KINDS)),
    }
    if draw(st.booleans()):
        fault["to"] = draw(st.integers(begin + 1, 60))
    if draw(st.booleans()):
        fault["probability"] = draw(st.sampled_from([0, 0.3, 0.9]))
    kind = fault["kind"]
    if kind == "rate_limit" and draw(st.booleans()):
        fault["retry_after"] = draw(st.sampled_from(["0s", "1s", "4s", "30s"]))
    if kind == "quota":
        fault |= {"requests": draw(st.integers(0, 20)), "per": "10s"}
    if kind in ("stream_cut", "stream_stall", "truncated_body", "error_event"):
        fault["after_tokens"] = draw(st.integers(0, 60))
    if kind == "stream_stall" and draw(st.booleans()):
        fault["for"] = draw(st.sampled_from(["1s", "14s", "20s"]))
    if kind == "latency":
        fault |= draw(st.sampled_from([{"add": "3s"}, {"times": 20}, {"add": "40s"}]))
    if kind == "http_error":
        fault["status"] = draw(st.sampled_from([400, 402, 403, 404, 408, 413, 429, 500, 503, 529]))
    return fault


@st.composite
def scenarios(draw: Any) -> Scenario:
    chain = IDS[: draw(st.integers(1, 3))]
    document = {
        "version": 1,
        "name": "drawn",
        "seed": draw(st.integers(0, 2**32)),
        "duration": 60,
        "preset": draw(st.sampled_from(sorted(PRESETS))),
        "policy": {
            "deadline": draw(st.sampled_from([5, 20, 60])),
            "attempt_timeout": draw(st.sampled_from([2, 10, 30])),
            "streaming": {"policy": draw(st.sampled_from(["fail", "restart", "continue", "buffer"]))},
            "cache": draw(st.booleans()),
        },
        "providers": [
            {
                "name": _MODELS[id][0],
                "model": _MODELS[id][1],
                "id": id,
                "latency": draw(st.sampled_from([0.3, {"p50": 0.5, "p99": 4}])),
                "tokens_per_second": draw(st.sampled_from([None, 20, 100])),
            }
            for id in chain
        ],
        "traffic": [
            {
                "rate": draw(st.sampled_from([0.3, 1, 5])),
                "arrival": draw(st.sampled_from(["uniform", "poisson"])),
                "stream": draw(st.booleans()),
                "input_tokens": 100,
                "output_tokens": draw(st.sampled_from([1, 50])),
                "prompt": f"question {number}",
            }
            for number in range(draw(st.integers(1, 2)))
        ],
        "faults": [f for f in draw(st.lists(faults(), max_size=6)) if f["provider"] in chain],
    }
    return check(parse(orjson.dumps(document).decode(), Path("drawn.json")))


@given(scenarios())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_holds_of_every_run(scenario: Scenario) -> None:
    policy = policy_of(scenario)
    _holds(scenario, lambda id: policy.breaker_for(id).half_open_permits)


@given(scenarios(), st.sampled_from(sorted(PEERS)))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_holds_with_the_breakers_of_others(scenario: Scenario, peer: str) -> None:
    _holds(scenario, lambda id: HALF_OPEN_CALLS, preset=peer)


@given(scenarios())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_holds_on_the_wire(scenario: Scenario) -> None:
    policy = policy_of(scenario)
    _holds(scenario, lambda id: policy.breaker_for(id).half_open_permits, fidelity="wire")


@given(scenarios(), st.sampled_from([1, 2, 5]), st.sampled_from(["local", "shared"]))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_it_holds_for_a_fleet(scenario: Scenario, replicas: int, breakers: str) -> None:
    """With breakers of their own the replicas' states are many, so what one of them admits is not looked at."""
    policy = policy_of(scenario)
    permits = (lambda id: policy.breaker_for(id).half_open_permits) if breakers == "shared" or replicas == 1 else None
    _holds(scenario, permits, replicas=replicas, breakers=breakers)


def _holds(scenario: Scenario, permits: Callable[[str], int] | None, **options: Any) -> None:
    """`permits`: the most probes at a time of a provider; None where no one breaker decides."""
    seen: list[Event] = []
    policy = policy_of(scenario, options.get("preset"))
    result = run(scenario, observers=[seen.append], **options)
    assert result.cut == 0
    requests = Counter(e.request_id for e in seen if isinstance(e, RequestReceived))
    outcomes = [e for e in seen if isinstance(e, (RequestCompleted, RequestFailed, RequestCancelled))]
    assert Counter(e.request_id for e in outcomes) == requests
    assert Counter(e.request_id for e in seen if isinstance(e, UsageRecorded)) == requests
    assert (result.metrics["requests"], set(requests.values()) or {1}) == (len(requests), {1})
    _nobody_outlives_its_deadline(seen, policy)
    _attempts_are_bounded(seen, policy, len(policy.chain))
    if permits is not None:
        _open_breakers_admit_probes_alone(seen, permits)
    _money_adds_up(outcomes, result)


def _nobody_outlives_its_deadline(seen: list[Event], policy: Any) -> None:
    arrived: dict[str, tuple[int, bool]] = {}
    for event in seen:
        if isinstance(event, RequestReceived):
            arrived[event.request_id] = (event.t_us, event.stream)
        elif isinstance(event, (RequestCompleted, RequestFailed)):
            at, stream = arrived[event.request_id]
            # A stream's deadline runs to its first text; what follows has limits of its own.
            limit = policy.streaming.max_stream + policy.deadline if stream else policy.deadline
            assert event.t_us - at <= round(limit * 1e6)


def _attempts_are_bounded(seen: list[Event], policy: Any, candidates: int) -> None:
    tries: defaultdict[tuple[str, str], int] = defaultdict(int)
    ended: Counter[str] = Counter()
    for event in seen:
        if isinstance(event, AttemptStarted):
            tries[event.request_id, event.provider] += 1
            assert event.retry <= policy.retry.retries
        elif isinstance(event, (AttemptFailed, AttemptSucceeded)):
            ended[event.request_id] += 1
    assert all(count <= policy.retry.retries + 1 for count in tries.values())
    started = Counter(request for (request, _), count in tries.items() for _ in range(count))
    assert all(ended[request] <= started[request] for request in started)
    if policy.max_candidates:
        asked = Counter(request for request, _ in tries)
        assert all(count <= min(candidates, policy.max_candidates) for count in asked.values())


def _open_breakers_admit_probes_alone(seen: list[Event], permits: Callable[[str], int]) -> None:
    state: dict[str, str] = {}
    until: dict[str, int] = {}
    probes: Counter[str] = Counter()
    for event in seen:
        if isinstance(event, BreakerChanged):
            names = {BreakerOpened: "open", BreakerHalfOpened: "half_open", BreakerClosed: "closed"}
            state[event.provider] = names[type(event)]
            probes[event.provider] = 0
            if event.until_us is not None:
                until[event.provider] = event.until_us
            if isinstance(event, BreakerHalfOpened):
                assert event.t_us >= until[event.provider]
        elif isinstance(event, AttemptStarted):
            now = state.get(event.provider, "closed")
            assert now != "open"
            if now == "half_open":
                probes[event.provider] += 1
                assert probes[event.provider] <= permits(event.provider)
        elif isinstance(event, (AttemptFailed, AttemptSucceeded)) and state.get(event.provider) == "half_open":
            probes[event.provider] = max(0, probes[event.provider] - 1)


def _money_adds_up(outcomes: list[Any], result: Any) -> None:
    m = result.metrics
    assert m["cost_usd"] is not None
    answered = sum((e.cost_usd for e in outcomes if isinstance(e, RequestCompleted) and not e.cached), Decimal(0))
    assert m["cost_usd"] == answered + m["waste_usd"]
    assert m["failover_cost_usd"] == m["cost_usd"] - m["waste_usd"] - m["baseline_cost_usd"]
    told = sum((e.waste_usd for e in outcomes if isinstance(e, RequestCompleted)), Decimal(0))
    assert m["waste_usd"] >= told
    assert m["succeeded"] + m["failed"] == m["requests"]
    assert sum(result.answers_by_provider.values()) == m["succeeded"]
    assert sum(result.errors_by_type.values()) == m["failed"]


@given(scenarios())
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_scenario_gives_the_same_bytes(scenario: Scenario) -> None:
    one, two = run(scenario), run(scenario, observers=[lambda event: None])
    assert one.trace_sha256 == two.trace_sha256
    assert {**one.as_dict(), "wall_seconds": 0} == {**two.as_dict(), "wall_seconds": 0}


def test_a_lab_is_for_one_run_of_one_policy() -> None:
    scenario = check(
        parse(
            "version: 1\nname: x\nduration: 1s\nproviders: [{name: openai, model: gpt-4}]\ntraffic: [{rate: 500/s}]",
            Path("x.yaml"),
        )
    )
    result = run(scenario)
    assert (result.metrics["requests"], result.metrics["succeeded"]) == (500, 500)
    assert Lab(scenario, policy_of(scenario), 0).tally.requests == 0
