"""How long a self-hosted server is up: spans of several programs, kept across restarts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.costs.uptime import Uptime, UptimeUnavailable
from tests.fake_clock import FakeClock

EVER = 4_000_000_000_000_000

Make = Callable[..., Uptime]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(tmp_path: Path, clock: FakeClock) -> Iterator[Make]:
    made = []

    def one(mode: str = "mock") -> Uptime:
        made.append(Uptime(tmp_path / "data" / "uptime.db", mode=mode, clock=clock))
        return made[-1]

    yield one
    for uptime in made:
        uptime.close()


def test_a_span_grows_and_outlives_its_program(make: Make, clock: FakeClock) -> None:
    first = make()
    assert first.seconds("vllm", 0, EVER) == 0
    span = first.begin("vllm")
    clock.now += 3600
    first.extend(span)
    clock.now += 60  # killed here: what was not written down is lost
    assert make().seconds("vllm", 0, EVER) == 3600
    again = make()
    again.extend(again.begin("vllm"))
    clock.now += 1800
    assert make().seconds("vllm", 0, EVER) == 3600


def test_what_overlaps_counts_once(make: Make, clock: FakeClock) -> None:
    one, other = make(), make()
    first = one.begin("vllm")
    clock.now += 100
    second = other.begin("vllm")
    clock.now += 100
    one.extend(first)
    clock.now += 100
    other.extend(second)
    assert one.seconds("vllm", 0, EVER) == 300


def test_modes_and_servers_are_kept_apart(make: Make, clock: FakeClock) -> None:
    uptime = make()
    span = uptime.begin("vllm")
    clock.now += 10
    uptime.extend(span)
    assert uptime.seconds("other", 0, EVER) == 0
    assert make("live").seconds("vllm", 0, EVER) == 0


def test_a_range_cuts_spans(make: Make, clock: FakeClock) -> None:
    uptime, start = make(), clock.time_us()
    span = uptime.begin("vllm", start - 5_000_000)
    clock.now += 10
    uptime.extend(span)
    assert uptime.seconds("vllm", 0, EVER) == 15
    assert uptime.seconds("vllm", start, EVER) == 10
    assert uptime.seconds("vllm", start, start + 3_000_000) == 3
    assert uptime.seconds("vllm", start + 10_000_000, EVER) == 0


def test_a_clock_that_was_set_back_takes_nothing_away(make: Make, clock: FakeClock) -> None:
    uptime = make()
    span = uptime.begin("vllm")
    clock.now += 10
    uptime.extend(span)
    clock.now -= 8
    uptime.extend(span)
    assert uptime.seconds("vllm", 0, EVER) == 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=12), st.integers(0, 90), st.integers(0, 90))
def test_the_length_of_the_union(tmp_path_factory: pytest.TempPathFactory, spans, since: int, until: int) -> None:  # type: ignore[no-untyped-def]
    clock = FakeClock()
    zero = clock.time_us()
    uptime = Uptime(tmp_path_factory.mktemp("up") / "uptime.db", mode="mock", clock=clock)
    seconds: set[int] = set()
    for start, length in spans:
        clock.now = start + length
        uptime.begin("vllm", zero + start * 1_000_000)
        seconds |= set(range(start, start + length))
    expected = len([one for one in seconds if since <= one < until])
    assert uptime.seconds("vllm", zero + since * 1_000_000, zero + until * 1_000_000) == expected
    uptime.close()


def test_a_damaged_file_is_set_aside(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    uptime = make()
    uptime.begin("vllm")
    uptime.close()
    uptime.path.write_bytes(b"no database" * 1000)
    uptime.begin("vllm")
    assert "was damaged" in caplog.text
    assert list(uptime.path.parent.glob("uptime.db.damaged-*"))


def test_a_file_of_others_is_left_alone(make: Make) -> None:
    uptime = make()
    uptime.path.parent.mkdir()
    other = sqlite3.connect(uptime.path)
    other.execute("CREATE TABLE precious (x)")
    other.commit()
    other.close()
    before = uptime.path.read_bytes()
    with pytest.raises(UptimeUnavailable, match="database of another program"):
        uptime.begin("vllm")
    assert uptime.path.read_bytes() == before


def test_a_locked_file_is_told(make: Make) -> None:
    uptime = make()
    span = uptime.begin("vllm")
    other = sqlite3.connect(uptime.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UptimeUnavailable, match=r"uptime\.db cannot be used: database is locked"):
        uptime.extend(span)
    other.execute("ROLLBACK")
    other.close()
    uptime.extend(span)
