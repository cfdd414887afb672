"""A running gateway is written down as a scenario's run is, however long it goes on, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.faults import parse_fault
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    BreakerOpened,
    ChunkReceived,
    CostComputed,
    Event,
    PlannedCandidate,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RouteChosen,
    UsageRecorded,
)
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.builtin import scenario
from sandbox.scenarios.narration import narrate
from sandbox.scenarios.recorder import Recorder
from sandbox.scenarios.recording import FaultBegan, FaultEnded, Figures, Recording
from sandbox.scenarios.rolling import BIN_US, KEPT_US, RollingBins
from sandbox.scenarios.runner import Lab, policy_of
from sandbox.scenarios.watching import Watch

BEGAN = 1_700_000_000_000_000
S = 1_000_000
WHOLE = 900


def shifted(event: Event, by_us: int) -> Event:
    from dataclasses import replace

    if isinstance(event, BreakerChanged) and event.until_us is not None:
        event = replace(event, until_us=event.until_us + by_us)
    return replace(event, t_us=event.t_us + by_us)


@pytest.fixture(scope="module")
def run() -> tuple[Recording, list[Event]]:
    """A scenario's run as it is recorded, and its events as a gateway of today would publish them."""
    chosen = scenario("bedrock-brownout")
    lab = Lab(chosen, policy_of(chosen), 7)
    events: list[Event] = []
    recorder = Recorder(chosen, lab.ids(), lab.tally)
    lab.observers += [recorder, lambda event: events.append(shifted(event, BEGAN - EPOCH_US))]
    return recorder.finish(lab.run()), events


def watched(ids: Any, events: list[Event], **options: Any) -> Watch:
    watch = Watch(ids, BEGAN, **options)
    for event in events:
        watch(event)
    return watch


def request(number: int, at_us: int, *, ok: bool = True, provider: str = "a") -> list[Event]:
    """What a gateway tells of one request that takes 100 ms."""
    id, end = f"r{number:08d}", at_us + 100_000
    events: list[Event] = [
        RequestReceived(at_us, id, "acme", "default", None, "mock", False, 60.0),
        RouteChosen(at_us, id, "priority", (PlannedCandidate("a", "m", "first"), PlannedCandidate("b", "m", "next"))),
        AttemptStarted(at_us, id, provider, "m", 0, 0, "closed"),
    ]
    if not ok:
        return [
            *events,
            AttemptFailed(end, id, provider, "m", 0, "ServiceUnavailableError", "no", 503, 100.0),
            RequestFailed(end, id, "ServiceUnavailableError", "no", None, 100.0, 0, Decimal("0.5")),
        ]
    return [
        *events,
        ChunkReceived(end, id, provider, f"text {number}"),
        AttemptSucceeded(end, id, provider, "m", 0, 100.0, None),
        CostComputed(end, id, Decimal(3), Decimal(0), Decimal(1), "c"),
        UsageRecorded(end, id, f"log-{number}"),
        RequestCompleted(end, id, provider, "m", "stop", 1, 1, False, Decimal(3), Decimal(0), 100.0, None, 0, False),
    ]


# --- the same as a replay ---------------------------------------------------------------------------------------------


def test_a_gateway_that_does_what_a_run_does_looks_as_the_run_does(run: tuple[Recording, list[Event]]) -> None:
    recording, events = run
    watch = watched(recording.ids, events)
    take, _ = watch.look(BEGAN + recording.ended_us, WHOLE * S, 100, "happyos")
    seen = take.recording
    for at_us in range(0, recording.ended_us, 7 * S):
        assert _without_money(seen.figures(at_us)) == _without_money(recording.figures(at_us))
        assert [seen.states[id].at(at_us)[:2] for id in seen.ids] == [
            recording.states[id].at(at_us)[:2] for id in seen.ids
        ]
    last, then = seen.figures(recording.ended_us), recording.figures(recording.ended_us)
    assert (last.cost, last.premium, last.waste) == (then.cost, then.premium, then.waste)
    columns, before = seen.bins.columns(20, 300 * S), recording.bins.columns(20, 300 * S)
    assert sum(one.arrived for one in columns) == sum(one.arrived for one in before)
    assert narrate(take, 80 * S).text.startswith(
        "bedrock's breaker is open since 1:04; openai answers; why: 3 failures"
    )
    opened = next(event for event in map(seen.event, seen.rows("moments")) if isinstance(event, BreakerOpened))
    assert opened in [recording.event(position) for position in recording.moments]


def _without_money(figures: Figures) -> tuple[Any, ...]:
    # A run's tally counts a moment before the event that ends the request; the gateway tells at that event.
    return (figures.attempts, figures.failed_attempts, figures.answers, figures.retries)


def test_money_and_answers_are_told_by_the_events_alone() -> None:
    events = [
        *request(1, BEGAN + S),
        *request(2, BEGAN + 2 * S, provider="b"),
        *request(3, BEGAN + 3 * S, ok=False),
    ]
    watch = watched(("a", "b"), [one for one in events if not isinstance(one, UsageRecorded)])
    take, now_us = watch.look(BEGAN + 10 * S, 60 * S, 60, "p")
    figures = take.recording.figures(now_us)
    assert (figures.requests, figures.succeeded, figures.failovers) == (3, 2, 1)
    assert (figures.cost, figures.premium, figures.waste) == (Decimal(6), Decimal(2), Decimal("0.5"))
    assert (figures.answers, figures.failed_attempts) == ([1, 1], [1, 0])


def test_an_unknown_provider_an_older_clock_and_a_late_one_do_no_harm() -> None:
    watch = watched(("a",), request(1, BEGAN + 5 * S))
    watch(AttemptStarted(BEGAN + 6 * S, "x", "gone", "m", 0, 0, "closed"))
    watch(AttemptStarted(BEGAN + 1 * S, "y", "a", "m", 0, 0, "closed"))
    assert list(watch.recording.times) == sorted(watch.recording.times)
    assert all(
        getattr(event, "provider", "a") == "a" for event in map(watch.recording.event, range(len(watch.recording)))
    )
    late = Watch(("a",), BEGAN)
    for event in request(1, BEGAN - 3_600 * S):
        late(event, 3_602 * S)
    assert late.recording.times[0] == 2 * S


# --- a window that moves ----------------------------------------------------------------------------------------------


def test_rows_and_figures_are_of_the_window_alone() -> None:
    watch = watched(("a", "b"), [event for n in range(300) for event in request(n, BEGAN + n * S, ok=n % 10 > 0)])
    take, now_us = watch.look(BEGAN + 300 * S, 60 * S, 60, "p")
    recording = take.recording
    assert now_us == 300 * S
    assert (recording.begin_us, recording.ended_us) == (241 * S, 301 * S)
    figures = recording.figures(now_us)
    assert (figures.requests, figures.succeeded) == (59, 54)
    moments = [recording.times[position] for position in recording.rows("moments")]
    assert moments[0] == 250 * S + 100_000
    assert len(recording.rows("requests")) == 54 + 2 * 5
    # Columns stay where they are while time goes on within one.
    for nudge in (0, S // 2, S - 1):
        watch.look(BEGAN + 300 * S + nudge, 60 * S, 60, "p")
        assert recording.begin_us == 241 * S
    watch.look(BEGAN + 301 * S, 60 * S, 60, "p")
    assert recording.begin_us == 242 * S


def test_before_that_much_has_passed_it_begins_before_the_start() -> None:
    watch = watched(("a", "b"), request(1, BEGAN + S))
    take, now_us = watch.look(BEGAN + 2 * S, 60 * S, 60, "p")
    assert take.recording.begin_us == -57 * S
    assert take.recording.figures(now_us).requests == 1
    assert len(take.recording.rows("all")) == 8


@given(st.integers(20, 400), st.lists(st.integers(1, 60), min_size=1, max_size=60))
@example(56, [30] * 3)  # what goes first ends where a bin does
@settings(max_examples=40, deadline=None)
def test_forgetting_changes_nothing_of_what_is_kept(kept: int, gaps: list[int]) -> None:
    """The newest events, their requests and every figure are the same as if all had been kept."""
    at_us, events = BEGAN, []
    for number, gap in enumerate(gaps * 4):
        at_us += gap * S // 10
        events += request(number, at_us, ok=number % 3 > 0, provider="ab"[number % 2])
    events.sort(key=lambda event: event.t_us)
    small, large = watched(("a", "b"), events, kept=kept), watched(("a", "b"), events)
    for watch in (small, large):
        watch.look(at_us + S, 60 * S, 30, "p")
    one, all_ = small.recording, large.recording
    assert len(one) <= kept
    assert one.forgotten == len(all_) - len(one)
    assert [one.event(p) for p in range(len(one))] == [all_.event(p + one.forgotten) for p in range(len(one))]
    for level in ("moments", "requests", "all"):
        rows = [row - one.forgotten for row in all_.rows(level) if row >= one.forgotten]
        assert list(one.rows(level)) == rows
    for position in range(0, len(one), 7):
        story = [at - one.forgotten for at in all_.of_request(position + one.forgotten)]
        assert one.of_request(position) == [at for at in story if at >= 0]
    assert one.figures(one.ended_us) == all_.figures(all_.ended_us)
    for position in range(len(one)):
        assert one.figures(one.times[position]) == all_.figures(one.times[position])
    assert one.bins.columns(30, one.ended_us, one.begin_us) == all_.bins.columns(30, all_.ended_us, all_.begin_us)


def test_what_goes_on_for_hours_is_kept_in_bounds() -> None:
    watch = Watch(("a", "b"), BEGAN, kept=2_000)
    fault = {"a": [parse_fault("503")]}
    for number in range(6_000):
        for event in request(number, BEGAN + number * 2 * S, ok=number % 5 > 0):
            watch(event)
        watch(BreakerOpened(BEGAN + number * 2 * S, "", "a", "closed", "x", None))
        watch.provoked(fault if number % 2 else {}, BEGAN + number * 2 * S)
        if number % 100 == 0:
            watch.look(BEGAN + number * 2 * S, WHOLE * S, 100, "p")
    recording = watch.recording
    assert len(recording) <= 2_000
    assert max(len(recording.names), len(recording.lasts), len(watch._numbers)) <= 2_001
    assert len(watch._same) <= 2_000
    assert not watch._open
    assert len(recording.states["a"]._times) < 1_200
    assert len(watch._faults) < 700
    take, now_us = watch.look(BEGAN + 12_000 * S, WHOLE * S, 100, "p")
    # Older than the kept events are, figures and lanes still go back as far as one looks.
    assert recording.times[0] > recording.begin_us
    assert recording.figures(now_us).requests == pytest.approx(450, abs=60)
    assert sum(one.arrived for one in recording.bins.columns(100, recording.ended_us, recording.begin_us)) == (
        pytest.approx(450, abs=8)
    )
    for position in recording.moments:
        event = recording.event(position)
        if isinstance(event, (FaultBegan, FaultEnded)):
            timed = take.scenario.faults[event.number]
            assert timed.provider == event.provider
            edge = timed.begin_us if isinstance(event, FaultBegan) else timed.end_us
            assert edge == recording.times[position]


def test_bins_of_long_ago_make_room() -> None:
    bins = RollingBins(1)
    for at_us in (0, 10 * S, 2_047 * S, 2_048 * S, 9_999_999 * S):
        index = bins.index(at_us)
        assert 0 <= index < bins.most
        bins.ok[0][index] += 1
        assert bins.width_us == BIN_US
        columns = bins.columns(10, at_us + BIN_US, at_us - 10 * BIN_US)
        assert columns[-1].ok == [1]
    assert sum(bins.ok[0]) == 1
    # What comes late for its bin is counted in the oldest there is.
    assert bins.index(0) == 0


# --- standing still ---------------------------------------------------------------------------------------------------


def test_what_stands_still_stays_as_it_is_while_more_is_written_down() -> None:
    watch = watched(("a", "b"), [event for n in range(40) for event in request(n, BEGAN + n * S)], kept=200)
    take, now_us = watch.look(BEGAN + 40 * S, 60 * S, 60, "p")
    still = watch.recording.still()

    def all_of(recording: Recording) -> tuple[Any, ...]:
        return (
            [recording.event(position) for position in range(len(recording))],
            [*recording.rows("requests")],
            recording.figures(now_us),
            recording.bins.columns(60, recording.ended_us, recording.begin_us),
            [(one.at(now_us), one.open_us(now_us)) for one in recording.states.values()],
            recording.of_request(len(recording) - 1),
        )

    before = all_of(still)
    assert before == all_of(take.recording)
    for number in range(40, 200):
        for event in request(number, BEGAN + number * S, ok=False):
            watch(event)
        watch(BreakerOpened(BEGAN + number * S, "", "a", "closed", "x", None))
    watch.look(BEGAN + 5_000 * S, 60 * S, 60, "p")
    assert all_of(still) == before
    assert watch.recording.seen > still.seen


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_faults_by_hand_are_windows_that_end_when_they_are_healed() -> None:
    watch = Watch(("a", "b"), BEGAN)
    down, slow = parse_fault("503"), parse_fault("latency:2")
    watch.provoked({"a": [down]}, BEGAN + 2 * S)
    watch.provoked({"a": [down], "b": [slow], "gone": [down]}, BEGAN + 3 * S)
    watch.provoked({"b": [slow]}, BEGAN + 5 * S)
    take, now_us = watch.look(BEGAN + 6 * S, 60 * S, 60, "p")
    assert [(one.provider, one.begin_us, one.end_us) for one in take.scenario.faults] == [
        ("a", 2 * S, 5 * S),
        ("b", 3 * S, None),
    ]
    moments = [take.recording.event(position) for position in take.recording.rows("moments")]
    assert [(type(event), event.provider) for event in moments] == [  # type: ignore[attr-defined]
        (FaultBegan, "a"),
        (FaultBegan, "b"),
        (FaultEnded, "a"),
    ]
    assert narrate(take, now_us).text.startswith("latency +2 s on b since 0:03")


@pytest.mark.parametrize(("state", "shown"), [("open", "open"), ("forced_open", "open"), ("half_open", "half_open")])
def test_a_breaker_that_was_open_before_is_shown_so(state: str, shown: str) -> None:
    watch = Watch(("a",), BEGAN)
    watch.found("a", state, BEGAN + S)
    watch.found("gone", state, BEGAN + S)
    assert watch.recording.states["a"].at(S)[0] == shown
    watch.found("a", "closed", BEGAN + 2 * S)
    assert watch.recording.states["a"].at(2 * S)[0] == "closed"
    assert not watch.recording.seen


def test_what_is_too_old_to_be_looked_at_goes_by_time_too() -> None:
    watch = watched(("a", "b"), request(1, BEGAN))
    after_us = BEGAN + 2 * KEPT_US
    for event in request(2, after_us):
        watch(event)
    take, _ = watch.look(after_us + S, 60 * S, 60, "p")
    assert {take.recording.event(position).request_id for position in range(len(take.recording))} == {"r00000002"}
    assert bisect_left(take.recording.times, 1) == 0
