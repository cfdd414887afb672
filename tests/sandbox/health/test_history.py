"""Latency and success over time: slices on the clock, within a bound."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sandbox.core.events import AttemptFailed, AttemptSucceeded, HealthChecked, RequestCancelled
from sandbox.health.history import MAX_PROVIDERS, SLICES, HealthHistory
from tests.fake_clock import FakeClock


def answered(clock: FakeClock, provider: str, latency: float, ttft: float | None = None) -> AttemptSucceeded:
    return AttemptSucceeded(clock.time_us(), "r", provider, "m", 0, latency, ttft)


def failed(clock: FakeClock, provider: str) -> AttemptFailed:
    return AttemptFailed(clock.time_us(), "r", provider, "m", 0, "RateLimitError", "no", 429, 5.0)


def checked(clock: FakeClock, provider: str, ok: bool) -> HealthChecked:
    return HealthChecked(clock.time_us(), "", provider, ok, 12.0, None if ok else "no", True, ok, True)


def test_traffic_and_checks_are_kept_apart() -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    for event in (
        answered(clock, "a", 100.0),
        answered(clock, "a", 900.0, ttft=300.0),
        failed(clock, "a"),
        checked(clock, "a", True),
        checked(clock, "a", False),
        RequestCancelled(clock.time_us(), "r", 1.0, 0),
    ):
        history(event)
    assert list(history) == ["a"]
    [slice_] = history.series("a", 10)
    assert (slice_.traffic.successes, slice_.traffic.failures) == (2, 1)
    assert slice_.traffic.success_rate == pytest.approx(2 / 3)
    assert slice_.traffic.average_latency_ms == 200.0, "a stream counts to its first text, a failure not at all"
    assert slice_.traffic.slowest_ms == 300.0
    assert (slice_.checks.calls, slice_.checks.success_rate) == (2, 0.5)


def test_a_series_has_no_gap_and_ends_now() -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    history(answered(clock, "a", 100.0))
    clock.now += 25
    history(failed(clock, "a"))
    clock.now += 10
    series = history.series("a", 40)
    assert [one.traffic.calls for one in series] == [1, 0, 1, 0]
    assert [b.start_us - a.start_us for a, b in pairwise(series)] == [10_000_000] * 3
    assert series[0].traffic.average_latency_ms == 100.0
    assert series[1].traffic.success_rate is None
    assert series[1].traffic.average_latency_ms is None
    total = history.window("a", 40)
    assert (total.traffic.calls, total.traffic.failures) == (2, 1)
    assert history.window("a", 20).traffic.calls == 1
    assert series[0].traffic.calls == 1, "a window adds up into a slice of its own"
    assert history.window("nobody", 40).traffic.calls == 0


def test_what_is_kept_has_a_bound() -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    for _ in range(SLICES + 50):
        history(failed(clock, "a"))
        clock.now += 10
    assert len(history.series("a", 1e6)) == SLICES
    assert history.window("a", 1e6).traffic.calls == SLICES - 1, "all but the slice that has just begun are full"
    for number in range(MAX_PROVIDERS):
        history(failed(clock, f"p{number}"))
    assert len(list(history)) == MAX_PROVIDERS
    assert "a" not in list(history), "the one that was silent longest"


def test_a_clock_that_was_set_back_goes_on_in_the_newest_slice() -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    clock.now = 100
    history(failed(clock, "a"))
    clock.now = 50
    history(failed(clock, "a"))
    clock.now = 100
    assert history.window("a", 10).traffic.calls == 2


def test_columns_are_longer_slices_that_stay_where_they_are() -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    seen: list[set[int]] = []
    for number in range(40):
        history(answered(clock, "a", 100.0 + number))
        columns = history.columns("a", 300, 10)
        assert len(columns) <= 10
        assert {one.start_us % 30_000_000 for one in columns[1:]} == {0}, "three slices each"
        seen.append({one.start_us for one in columns[1:]})
        clock.now += 10
    assert max(one.traffic.calls for one in columns) == 3
    assert 28 <= sum(one.both.calls for one in columns) <= 30
    assert all(len(after - before) <= 1 for before, after in pairwise(seen)), "a new one at a time, no other moves"


@pytest.mark.parametrize("most", [1, 7, 30, 31, 1000])
def test_where_there_is_room_each_slice_is_a_column(most: int) -> None:
    clock = FakeClock()
    history = HealthHistory(clock)
    assert len(history.columns("nobody", 300, most)) == min(most, 30)
