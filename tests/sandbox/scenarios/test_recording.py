"""A recording says at any moment what a naive count of the events up to it says, and gives every event back."""

from __future__ import annotations

import gc
from bisect import bisect_right
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    CacheHit,
    Event,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
)
from sandbox.core.pacing import Stopped, Supervised
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.bins import MOST
from sandbox.scenarios.builtin import names, scenario
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.recorder import Recorder, Take, record
from sandbox.scenarios.recording import MOMENTS, FaultBegan, FaultEnded, Figures, Recording
from sandbox.scenarios.results import STATES
from sandbox.scenarios.runner import Lab, policy_of, run
from sandbox.scenarios.source import parse
from tests.sandbox.scenarios.test_properties import scenarios

LOOSE = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


class Naive:
    """Sees what the recorder sees, and keeps all of it as it comes."""

    def __init__(self, lab: Lab) -> None:
        self.tally = lab.tally
        self.events: list[Event] = []
        self.times: list[int] = []
        self.sums: list[tuple[Any, ...]] = []

    def __call__(self, event: Event) -> None:
        t = self.tally
        self.events.append(event)
        self.times.append(event.t_us - EPOCH_US)
        self.sums.append((t.requests, t.succeeded, t.failovers, t.unpriced, t.cost, t.baseline, t.waste))

    def until(self, at_us: int) -> list[Event]:
        return self.events[: bisect_right(self.times, at_us)]

    def figures(self, at_us: int, ids: tuple[str, ...]) -> Figures:
        events = self.until(at_us)
        nothing = (0, 0, 0, 0, Decimal(0), Decimal(0), Decimal(0))
        requests, succeeded, failovers, unpriced, cost, baseline, waste = (
            self.sums[len(events) - 1] if events else nothing
        )

        def counted(kind: type[Event]) -> list[int]:
            found = Counter(event.provider for event in events if isinstance(event, kind))  # type: ignore[attr-defined]
            return [found[id] for id in ids]

        return Figures(
            requests=requests,
            succeeded=succeeded,
            cached=sum(isinstance(event, CacheHit) for event in events),
            failovers=failovers,
            retries=sum(isinstance(event, AttemptStarted) and event.retry > 0 for event in events),
            unpriced=unpriced,
            cost=cost,
            baseline=baseline,
            waste=waste,
            attempts=counted(AttemptStarted),
            failed_attempts=counted(AttemptFailed),
            answers=counted(RequestCompleted),
        )


def watched(scenario: Scenario, **options: Any) -> tuple[Recording, Naive]:
    lab = Lab(scenario, policy_of(scenario), scenario.document.seed)
    naive = Naive(lab)
    recorder = Recorder(scenario, lab.ids(), lab.tally, **options)
    lab.observers += [recorder, naive]
    return recorder.finish(lab.run()), naive


def recorded(recording: Recording) -> list[Event]:
    """Everything but the edges of faults, which are on no bus."""
    every = map(recording.event, range(len(recording)))
    return [event for event in every if not isinstance(event, (FaultBegan, FaultEnded))]


@given(scenarios(), st.lists(st.integers(0, 70_000_000), min_size=5, max_size=20))
@LOOSE
def test_figures_at_any_cursor_are_a_recount_of_the_events_up_to_it(scenario: Scenario, cursors: list[int]) -> None:
    recording, naive = watched(scenario)
    edges = [time + nudge for time in naive.times[:: max(1, len(naive.times) // 40)] for nudge in (-1, 0, 1)]
    for at_us in (0, *cursors, *(edge for edge in edges if edge >= 0), recording.ended_us):
        assert recording.figures(at_us) == naive.figures(at_us, recording.ids)


@given(scenarios())
@LOOSE
def test_every_event_comes_back_as_it_was(scenario: Scenario) -> None:
    recording, naive = watched(scenario)
    assert recorded(recording) == naive.events
    assert list(recording.times) == sorted(recording.times)
    assert recording.seen == len(recording)


@given(scenarios())
@LOOSE
def test_the_events_of_a_request_are_found_from_any_of_them(scenario: Scenario) -> None:
    recording, naive = watched(scenario)
    by_request: dict[str, list[Event]] = {}
    for event in naive.events:
        by_request.setdefault(event.request_id, []).append(event)
    for position in range(0, len(recording), max(1, len(recording) // 50)):
        event = recording.event(position)
        found = recording.of_request(position)
        if event.request_id:
            assert [recording.event(at) for at in found] == by_request[event.request_id]
        else:
            assert found == [position]


@given(scenarios())
@LOOSE
def test_states_over_time_are_those_of_the_transitions(scenario: Scenario) -> None:
    recording, naive = watched(scenario)
    end = recording.ended_us
    open_us = 0
    for id in recording.ids:
        changes = [
            (event.t_us - EPOCH_US, STATES[type(event)])
            for event in naive.events
            if isinstance(event, BreakerChanged) and event.provider == id
        ]
        spans = [(0, "closed"), *changes, (end, "")]
        for (begin, state), (until, _) in pairwise(spans):
            if until > begin:
                assert recording.states[id].at(begin)[0] == state
                assert recording.states[id].at(until - 1)[0] == state
                assert recording.states[id].mostly(begin, until) in (state, "disabled")
                open_us += (until - begin) * (state == "open")
        seen = {state for _, state in changes} | {"closed"}
        assert recording.states[id].within(0, end + 1) in (seen if "half_open" not in seen else {"half_open"}) | {
            "disabled"
        }
    assert recording.open_us(end) == open_us


@given(scenarios(), st.sampled_from([1, 2, 16, 128]))
@LOOSE
def test_columns_hold_what_a_recount_finds_in_their_time(scenario: Scenario, count: int) -> None:
    recording, naive = watched(scenario)
    bins = recording.bins
    end = bins.width_us * MOST  # so that every column is whole bins
    columns = bins.columns(count, end)
    span = end // count

    def counts(*kinds: type[Event]) -> Counter[Any]:
        return Counter(
            ((event.t_us - EPOCH_US) // span, getattr(event, "provider", None))
            for event in naive.events
            if isinstance(event, kinds)
        )

    arrived, failed = counts(RequestReceived), counts(RequestFailed)
    ok, bad = counts(AttemptSucceeded), counts(AttemptFailed)
    for at, column in enumerate(columns):
        assert column.arrived == arrived[at, None]
        assert column.failed == failed[at, None]
        assert column.ok == [ok[at, id] for id in recording.ids]
        assert column.bad == [bad[at, id] for id in recording.ids]
        latencies = sorted(
            event.latency_ms
            for event in naive.events
            if isinstance(event, RequestCompleted) and (event.t_us - EPOCH_US) // span == at
        )
        if not latencies:
            assert column.p99_ms is None
        else:
            exact = latencies[max(0, ceil(0.99 * len(latencies)) - 1)]
            assert column.p99_ms == pytest.approx(exact, rel=0.006, abs=0.001)


@given(scenarios(), st.integers(1, 300), st.integers(0, 100_000_000))
@LOOSE
def test_columns_of_any_width_lose_nothing(scenario: Scenario, count: int, longer_us: int) -> None:
    recording, naive = watched(scenario)
    columns = recording.bins.columns(count, recording.ended_us + longer_us)
    assert len(columns) == count
    kinds = Counter(type(event) for event in naive.events)
    assert sum(column.arrived for column in columns) == kinds[RequestReceived]
    assert sum(sum(column.ok) for column in columns) == kinds[AttemptSucceeded]
    assert sum(sum(column.bad) for column in columns) == kinds[AttemptFailed]


@given(scenarios(), st.integers(0, 400))
@LOOSE
def test_what_is_too_much_is_counted_and_its_moments_kept(scenario: Scenario, kept: int) -> None:
    recording, naive = watched(scenario, kept=kept)
    assert recording.figures(recording.ended_us) == naive.figures(recording.ended_us, recording.ids)
    assert recording.seen >= len(naive.events)
    whole = len(recording) if recording.thinned_us is None else kept
    assert len(recording) >= whole
    assert all(code in MOMENTS for code in recording.codes[whole:])
    moments = [event for event in naive.events if recording.codes and isinstance(event, (AttemptFailed, RequestFailed))]
    assert [e for e in recorded(recording) if isinstance(e, (AttemptFailed, RequestFailed))] == moments
    if recording.thinned_us is not None:
        before = recording.thinned_us - 1
        if before >= 0:
            assert recording.figures(before) == naive.figures(before, recording.ids)
        # Later figures are those of a moment not long before.
        at = (recording.thinned_us + recording.ended_us) // 2
        assert recording.figures(at).requests <= naive.figures(at, recording.ids).requests


@given(scenarios(), st.integers(0, 60_000_000))
@LOOSE
def test_the_rows_of_a_level(scenario: Scenario, at_us: int) -> None:
    recording, _ = watched(scenario)
    every = [recording.event(at) for at in range(len(recording))]
    assert list(recording.rows("all")) == list(range(len(recording)))
    ends = [at for at, event in enumerate(every) if isinstance(event, RequestCompleted)]
    assert sorted([*recording.rows("moments"), *ends]) == list(recording.rows("requests"))
    for level in ("moments", "requests", "all"):
        rows = recording.rows(level)
        expected = max((row for row, at in enumerate(rows) if recording.times[at] <= at_us), default=-1)
        assert recording.row_at(rows, at_us) == expected


@pytest.mark.parametrize("name", names())
def test_a_recording_ends_in_the_result(name: str) -> None:
    one = scenario(name)
    take = record(one)
    assert take.result is not None
    figures, m = take.recording.figures(take.recording.ended_us), take.result.metrics
    assert take.result.trace_sha256 == run(one).trace_sha256
    assert figures.availability == m["availability"]
    for mine, its in (
        ("requests", "requests"), ("succeeded", "succeeded"), ("failovers", "failovers"), ("retries", "retries"),
        ("cached", "cached"), ("waste", "waste_usd"), ("premium", "failover_cost_usd"),
    ):  # fmt: skip
        assert getattr(figures, mine) == m[its], mine
    assert figures.attempts == list(take.result.attempts_by_provider.values())
    assert figures.failed_attempts == list(take.result.failed_attempts_by_provider.values())
    assert figures.answers == list(take.result.answers_by_provider.values())


LONG_DRAIN = """
version: 1
name: long-drain
duration: 1s
policy: {deadline: 100s, attempt_timeout: 90s}
providers: [{name: openai, model: gpt-4}]
traffic: [{rate: 20/s}]
faults: [{provider: openai, from: 0.5s, kind: timeout}]
"""


def test_bins_double_when_a_run_outlasts_its_scenario() -> None:
    """Ten attempts end within the second, ten at their timeout, ninety times as long after as the scenario lasts."""
    recording, _ = watched(check(parse(LONG_DRAIN, Path("d.yaml"))))
    assert recording.bins.width_us > 1_000_000 // (MOST // 2)
    columns = recording.bins.columns(10, recording.ended_us)
    assert recording.ended_us > 90_000_000
    assert sum(column.arrived for column in columns) == columns[0].arrived == 20
    assert sum(sum(column.ok) for column in columns) == 10
    assert sum(sum(column.bad) for column in columns[9:]) >= 10


def test_edges_of_faults_stand_before_what_happens_at_their_time() -> None:
    recording = record(scenario("bedrock-brownout")).recording
    edges = [
        (recording.times[at], type(recording.event(at)).__name__)
        for at in recording.moments
        if isinstance(recording.event(at), (FaultBegan, FaultEnded))
    ]
    assert edges == [(60_000_000, "FaultBegan"), (180_000_000, "FaultEnded")]
    first = next(at for at in range(len(recording)) if recording.times[at] == 60_000_000)
    assert isinstance(recording.event(first), FaultBegan)


def test_what_happens_at_one_time_is_found_from_any_of_it() -> None:
    recording = record(scenario("bedrock-brownout")).recording
    opened = next(at for at in recording.moments if type(recording.event(at)).__name__ == "BreakerOpened")
    near = list(recording.nearby(opened))
    assert {recording.times[at] for at in near} == {recording.times[opened]}
    assert len(near) == list(recording.times).count(recording.times[opened]) - 1
    assert any(isinstance(recording.event(at), AttemptFailed) for at in near[:2])


def stopped_at(one: Scenario, stop_us: int) -> Take:
    watch = Supervised()

    def pace(now_us: int, then_us: int) -> None:
        if then_us >= stop_us:
            watch.stop()
        watch(now_us, then_us)

    return record(one, pace=pace)


@pytest.mark.parametrize("name", ["bedrock-brownout", "mid-stream-cut", "silent-provider"])
def test_a_run_that_is_stopped_is_the_beginning_of_the_whole_one(name: str, caplog: Any) -> None:
    whole = record(scenario(name)).recording
    take = stopped_at(scenario(name), 100_000_000)
    assert take.result is None
    part = take.recording
    assert 0 < part.ended_us < 100_000_000
    assert recorded(part) == recorded(whole)[: len(recorded(part))]
    assert len(part) == whole.until(part.ended_us)
    assert part.figures(part.ended_us) == whole.figures(part.ended_us)
    assert caplog.records == []


def test_a_run_can_be_watched_and_is_the_same() -> None:
    watch = Supervised()
    one = scenario("bedrock-brownout")
    take = record(one, pace=watch)
    assert take.result is not None
    assert take.result.trace_sha256 == run(one).trace_sha256
    assert watch.now_us == take.recording.ended_us


def test_stopping_is_told_once() -> None:
    watch = Supervised()
    watch.stop()
    with pytest.raises(Stopped):
        watch(0, 1)
    watch(1, 2)


def test_the_garbage_collector_has_next_to_nothing_to_look_through_in_what_is_kept() -> None:
    """A collection that goes through a recording holds the screen up that shows it."""
    recording, _ = watched(scenario("bedrock-brownout"))
    # A tuple is let go of once all that it holds was.
    gc.collect()
    gc.collect()
    looked_through = {id(parts): parts for parts in recording.parts if gc.is_tracked(parts)}
    # A few plans, each kept once for all the requests that had it.
    assert len(looked_through) < 10 < len(recording.names)
    assert not any(map(gc.is_tracked, recording.marks))
