"""Faults added by hand: before them everything is as it was, after them they hold, and the result is a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from providers.errors import ScenarioError
from providers.faults import KINDS, Fault, fault_from, parse_fault
from sandbox.core.events import Event
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.provoking import provoked, renamed, text_of, written
from sandbox.scenarios.runner import run
from sandbox.scenarios.source import parse
from sandbox.scenarios.writing import in_seconds, to_yaml
from tests.sandbox.scenarios.test_properties import scenarios

RAMP = """
version: 1
name: ramp
seed: 5
duration: 60s
providers:
  - {name: openai, model: gpt-4-turbo, latency: 400ms}
  - {name: anthropic, model: claude-3-sonnet, latency: 400ms}
traffic: [{rate: 5/s, stream: true}]
faults:
  - {provider: openai, from: 10s, to: 50s, kind: http_error, status: 503, probability: {from: 0, to: 0.9}}
  - {provider: openai, from: 0s, to: 30s, kind: latency, add: {from: 0s, to: 2s}}
"""


def loaded(text: str = RAMP) -> Scenario:
    return check(parse(text, Path("ramp.yaml")))


def seen(one: Scenario) -> list[Event]:
    found: list[Event] = []
    run(one, observers=[found.append])
    return found


def before(events: list[Event], at_us: int) -> list[Event]:
    return [event for event in events if event.t_us - EPOCH_US < at_us]


@given(scenarios(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_comes_before_a_fault_by_hand_stays_as_it_was(one: Scenario, data: Any) -> None:
    provider = data.draw(st.sampled_from([part.key for part in one.document.providers]))
    at_us = data.draw(st.integers(0, 59_999_999))
    fault = data.draw(st.one_of(st.none(), st.sampled_from(KINDS).map(Fault)))
    try:
        changed = provoked(one, provider, fault, at_us)
    except ScenarioError:
        assume(False)
    assert before(seen(changed), at_us) == before(seen(one), at_us)
    again = provoked(changed, provider, None, min(59_999_999, at_us + 1_000_000))
    assert before(seen(again), at_us) == before(seen(one), at_us)


@given(scenarios())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_scenario_survives_being_written(one: Scenario) -> None:
    assert check(parse(text_of(one), one.source.path)).sha256 == one.sha256


@pytest.mark.parametrize("name", names())
def test_the_library_is_written_as_it_stands(name: str) -> None:
    one = scenario(name)
    assert check(parse(text_of(one), one.source.path)).sha256 == one.sha256
    assert max(map(len, text_of(one).splitlines())) <= 160


def test_the_new_fault_stands_in_place_of_what_ailed_the_provider() -> None:
    outage = scenario("bedrock-brownout")
    changed = provoked(outage, "bedrock", parse_fault("timeout"), 92_050_000)
    assert text_of(changed).splitlines()[-9:-6] == [
        "faults:",
        "  - {provider: bedrock, from: 60s, to: 92.05s, kind: http_error, status: 503}",
        "  - {provider: bedrock, from: 92.05s, kind: timeout}",
    ]
    healed = provoked(changed, "bedrock", None, 100_000_000)
    assert [(one.begin_us, one.end_us) for one in healed.faults] == [
        (60_000_000, 92_050_000),
        (92_050_000, 100_000_000),
    ]
    other = provoked(outage, "openai", parse_fault("429:20"), 92_050_000)
    assert [one.end_us for one in other.faults] == [180_000_000, None]
    assert other.faults[1].fault.retry_after == 20


def test_a_fault_that_begins_at_the_cursor_is_made_harmless_where_it_stands() -> None:
    """Taking it out would change the places, and so the draws, of those after it."""
    outage = scenario("bedrock-brownout")
    healed = provoked(outage, "bedrock", None, 60_000_000)
    assert [one.fault.probability for one in healed.faults] == [0]
    assert run(healed).failed_attempts_by_provider == {"bedrock": 0, "openai": 0}


def test_a_ramp_is_cut_off_at_the_value_that_it_has_by_then() -> None:
    """At 20 s a quarter of 10-50 s has passed: 0.225; and two thirds of 0-30 s: 1.333 s."""
    ramp = loaded()
    changed = provoked(ramp, "openai", parse_fault("503"), 20_000_000)
    first, second, third = changed.faults
    assert first.ramps == (("probability", 0, 0.225),)
    assert second.ramps[0][2] == pytest.approx(4 / 3)
    assert (first.end_us, second.end_us, third.begin_us) == (20_000_000, 20_000_000, 20_000_000)
    assert before(seen(changed), 20_000_000) == before(seen(ramp), 20_000_000)


def test_a_ramp_in_whole_steps_cannot_be_cut_and_says_so() -> None:
    ramp = loaded(
        RAMP.replace("probability: {from: 0, to: 0.9}", "status: {from: 500, to: 509}").replace("status: 503, ", "")
    )
    with pytest.raises(ScenarioError, match=r"status of a fault on openai runs from 500 to 509 in whole steps"):
        provoked(ramp, "openai", None, 20_000_000)


def test_beyond_the_end_there_is_nothing_to_break() -> None:
    with pytest.raises(ScenarioError, match=r"faults\[1\].from is 300 s, at or after the end"):
        provoked(scenario("bedrock-brownout"), "openai", parse_fault("503"), 300_000_000)


@given(
    st.sampled_from(KINDS),
    st.fixed_dictionaries(
        {},
        optional={
            "status": st.integers(400, 599),
            "retry_after": st.floats(0, 100).map(lambda one: round(one, 6)),
            "after": st.floats(0, 1).map(lambda one: round(one, 6)),
            "after_tokens": st.integers(0, 99),
            "probability": st.floats(0, 1),
        },
    ),
)
def test_a_fault_is_written_as_it_is_read(kind: str, fields: dict[str, Any]) -> None:
    fault = Fault(kind, **fields)
    raw = written(fault)
    again = fault_from(raw)
    for name in raw:
        field = "duration" if name == "for" else name
        assert getattr(again, field) == getattr(fault, field)
    assert raw["kind"] == kind


def test_another_name() -> None:
    outage = scenario("one-500")
    assert renamed(outage, "two-500").name == "two-500"
    with pytest.raises(ScenarioError, match="name is 'Two 500'"):
        renamed(outage, "Two 500")


@pytest.mark.parametrize(
    ("at_us", "text"), [(0, "0s"), (60_000_000, "60s"), (92_050_000, "92.05s"), (1, "0.000001s"), (1_500, "0.0015s")]
)
def test_times_are_written_to_the_microsecond(at_us: int, text: str) -> None:
    assert in_seconds(at_us) == text


@pytest.mark.parametrize("text", ["a: b", "# no", "'", "- x", "yes", "1e3", "", "ü", "a\nb", "{x}"])
def test_texts_are_quoted_where_they_must_be(text: str) -> None:
    yaml = to_yaml({"description": text, "traffic": [{"prompt": text}], "empty": []})
    assert parse(yaml, Path("x.yaml")).data == {"description": text, "traffic": [{"prompt": text}], "empty": []}
