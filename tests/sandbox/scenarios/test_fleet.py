"""Many gateways before the same providers: hand-worked, with breakers of their own and with shared ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.core.events import AttemptStarted, BreakerOpened, Event
from sandbox.scenarios.faults import TimedFault, faults_of
from sandbox.scenarios.fleet import Fleet, outage_of
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse
from sandbox.scenarios.telling import fleet_text

OUTAGE = """
version: 1
name: fleet
duration: 120s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 3/s, input_tokens: 1000, output_tokens: 100}
faults:
  - {provider: bedrock, from: 10s, to: 70s, kind: http_error, status: 503, after: 100ms}
"""


def outage(text: str = OUTAGE) -> Scenario:
    return check(parse(text, Path("fleet.yaml")))


def test_breakers_of_their_own() -> None:
    """Each of three replicas has one request a second, at .0, .333333 and .666666; three failures in a row open.

    The replicas open at 12.1, 12.433333 and 12.766666, which is 2.766666 s after the fault. After the first of them the
    two others make one more attempt each, and every replica has one probe in vain (43.0, 43.333333, 43.666666): 5. They
    ask again at 74.0, 74.333333 and 74.666666: three within a second.
    """
    result = run(outage(), replicas=3)
    assert result.fleet == Fleet(3, "local", "bedrock", 2.766666, 5, 3)
    opened = [(one.at_us, one.reason) for one in result.transitions if one.to_state == "open"]
    assert opened[:3] == [
        (12_100_000, "replica 1: 3 failures in a row"),
        (12_433_333, "replica 2: 3 failures in a row"),
        (12_766_666, "replica 3: 3 failures in a row"),
    ]


def test_shared_breakers() -> None:
    """Three failures in a row are those of 10.0, 10.333333 and 10.666666, the last at 10.766666: 0.766666 s.

    One probe in vain, at 41.0 (open until 71.1). 71.333333 is well: in that second another attempt begins at 72.0, once
    the probe has closed it at 71.733333; the one at 71.666666 was refused, and 72.333333 is a second later.
    """
    result = run(outage(), replicas=3, breakers="shared")
    assert result.fleet == Fleet(3, "shared", "bedrock", 0.766666, 1, 2)
    assert [one.reason for one in result.transitions][:1] == ["3 failures in a row"]


@pytest.mark.parametrize("breakers", ["local", "shared"])
def test_a_fleet_of_one_is_one_gateway(breakers: str) -> None:
    alone, fleet = run(outage()), run(outage(), replicas=1, breakers=breakers)  # type: ignore[arg-type]
    assert alone.trace_sha256 == fleet.trace_sha256
    assert alone.fleet is None
    assert fleet.fleet == Fleet(1, breakers, "bedrock", 0.766666, 1, 2)  # type: ignore[arg-type]


def test_the_requests_go_round() -> None:
    """Without a breaker between them, who asks makes no difference: each of 7 replicas gets every seventh request."""
    seen: list[Event] = []
    text = OUTAGE.replace("faults:\n", "").replace(OUTAGE.splitlines()[-1], "")
    result = run(outage(text), replicas=7, observers=[seen.append])
    assert result.fleet == Fleet(7, "local", None, None, 0, None)
    assert fleet_text(result.fleet) == "7 replicas, local breakers: no fault"
    assert result.metrics["requests"] == len([e for e in seen if isinstance(e, AttemptStarted)]) == 360
    assert [e.request_id for e in seen if isinstance(e, AttemptStarted)][:2] == ["req-000001", "req-000002"]


def test_a_fleet_that_never_turns_away() -> None:
    """One failure each is not three: 100 replicas get a request every 33 s, so within 60 s two at most."""
    seen: list[Event] = []
    result = run(outage(), replicas=100, observers=[seen.append])
    assert result.fleet is not None
    assert result.fleet.turned_away_s is None
    assert result.fleet.wasted_attempts == 0
    assert not [e for e in seen if isinstance(e, BreakerOpened)]
    assert "bedrock never all turned away, 0 attempts wasted, 3 in the first second" in fleet_text(result.fleet)


@pytest.mark.parametrize("replicas", [0, -1, 101])
def test_how_many_there_can_be(replicas: int) -> None:
    with pytest.raises(InputError, match=f"replicas is {replicas}; it must be 1 to 100"):
        run(outage(), replicas=replicas)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ("", None),
        ("{provider: a, from: 5s, kind: timeout}", ("a", 5_000_000, None)),
        (
            "{provider: b, from: 9s, to: 12s, kind: timeout}, {provider: a, from: 5s, to: 10s, kind: timeout}, "
            "{provider: a, from: 10s, to: 11s, kind: hang}, {provider: a, from: 20s, kind: hang}",
            ("a", 5_000_000, 11_000_000),
        ),
        (
            "{provider: a, from: 5s, to: 10s, kind: timeout}, {provider: a, from: 7s, kind: hang}",
            ("a", 5_000_000, None),
        ),
    ],
)
def test_the_outage_is_the_first_fault_with_those_that_touch_it(faults: str, expected: object) -> None:
    listed: list[TimedFault] = faults_of(parse(f"faults: [{faults}]", Path("f.yaml")))
    assert outage_of(listed) == expected
