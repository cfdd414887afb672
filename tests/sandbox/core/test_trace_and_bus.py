"""Traces keep every event to the last digit; a bus carries events in order, whoever fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import InputError
from sandbox.core import events
from sandbox.core.bus import Bus
from sandbox.core.events import (
    EVENT_TYPES,
    ChunkReceived,
    CostComputed,
    Event,
    PlannedCandidate,
    RequestCancelled,
    RequestFailed,
    RouteChosen,
)
from sandbox.core.trace import SCHEMA, VERSION, TraceWriter, decode, encode, header, read

INT64 = st.integers(-(2**63), 2**63 - 1)
MONEY = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**6), max_value=10**6),
    st.sampled_from([Decimal(0), Decimal("0.0000875"), Decimal("1E-12"), Decimal("1E+3"), Decimal("0.006000")]),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLANNED = st.builds(PlannedCandidate, st.text(), st.text(), st.text(), st.none() | st.text())
BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    int: INT64,
    str: st.text(),
    bool: st.booleans(),
    bool | None: st.none() | st.booleans(),
    float: FLOATS,
    Decimal: MONEY,
    int | None: st.none() | INT64,
    str | None: st.none() | st.text(),
    float | None: st.none() | FLOATS,
    Decimal | None: st.none() | MONEY,
    tuple[PlannedCandidate, ...]: st.lists(PLANNED, max_size=4).map(tuple),
}


def events_of(cls: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: BY_TYPE[hints[field.name]] for field in fields(cls)})


EVENTS = st.one_of(*(events_of(cls) for cls in EVENT_TYPES.values()))


def digits(event: Event) -> list[str]:
    """Every amount of money as it is written, so that 0.0060 and 0.006 differ."""
    values = (getattr(event, field.name) for field in fields(event))
    return [format(value, "f") for value in values if isinstance(value, Decimal)]


def traced(event: Event) -> Event:
    """What a trace keeps of an event: what it does without is as if nobody had said it."""
    untold = {one.name: one.default for one in fields(event) if not one.metadata.get("traced", True)}
    return replace(event, **untold)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_event_survives_a_trace(name: str) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True)
    @given(events_of(EVENT_TYPES[name]))
    def check(event: Event) -> None:
        for whole, kept in ((True, event), (False, traced(event))):
            line = encode(event, whole=whole)
            assert b"\n" not in line
            again = decode(line)
            assert type(again) is type(event)
            assert again == kept
            assert digits(again) == digits(kept)
            assert encode(again, whole=whole) == line
            assert decode(line.decode()) == kept

    check()


def test_every_event_class_can_be_traced() -> None:
    """Every class of the module but the two bases; else a live run would have steps that a replay lacks."""
    classes = {c for c in vars(events).values() if isinstance(c, type) and issubclass(c, Event)}
    assert classes - {Event, events.BreakerChanged} == set(EVENT_TYPES.values())
    assert all(name == cls.__name__ for name, cls in EVENT_TYPES.items())


def test_a_line_is_json_with_sorted_keys_and_money_as_text() -> None:
    line = encode(CostComputed(5, "req", Decimal("0.006000"), Decimal("1E-7"), None, "v1"))
    assert line == (
        b'{"catalogue":"v1","cost_usd":"0.006000","event":"CostComputed","premium_usd":null,'
        b'"request_id":"req","t_us":5,"waste_usd":"0.0000001"}'
    )


def test_a_trace_does_without_what_would_change_the_hashes_of_scenarios() -> None:
    failed = RequestFailed(5, "req", "X", "no", None, 1.0, 0, Decimal("0.5"))
    line = (
        b'{"error_type":"X","event":"RequestFailed","latency_ms":1.0,"message":"no","partial_chars":0,'
        b'"request_id":"req","retry_after_s":null,"t_us":5'
    )
    assert encode(failed) == line + b"}"
    assert encode(failed, whole=True) == line + b',"waste_usd":"0.5"}'
    assert encode(RequestCancelled(5, "req", 1.0, 0, Decimal("0.5"))) == (
        b'{"event":"RequestCancelled","latency_ms":1.0,"partial_chars":0,"request_id":"req","t_us":5}'
    )


JSON = st.recursive(
    st.none() | st.booleans() | INT64 | FLOATS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.binary(max_size=30)
    | st.text(max_size=30)
    | JSON.map(json.dumps)
    | st.tuples(EVENTS, st.sampled_from(["cost_usd", "candidates", "event", "t_us", "used_usd", "new"]), JSON).map(
        lambda t: json.dumps({**json.loads(encode(t[0])), t[1]: t[2]})
    )
)
def test_what_is_no_event_is_refused_in_one_sentence_or_read(line: bytes | str) -> None:
    event: Event | None
    try:
        event = decode(line)
    except InputError as refusal:
        event, sentence = None, str(refusal)
    else:
        sentence = ""
    assert "\n" not in sentence
    assert event is None or type(event) is EVENT_TYPES[type(event).__name__]


@pytest.mark.parametrize("amount", ['"ten"', "[]", "[1,2]", "{}", '"1e"'])
def test_an_amount_that_is_none_is_refused(amount: str) -> None:
    line = encode(CostComputed(5, "req", None, Decimal(0), None, "v1")).decode()
    with pytest.raises(InputError, match="not a trace event"):
        decode(line.replace('"cost_usd":null', f'"cost_usd":{amount}'))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(EVENTS, max_size=10))
def test_a_whole_trace_is_read_back_in_order(story: list[Event]) -> None:
    lines = [header(seed=7), *(encode(event) for event in story)]
    kept = [traced(event) for event in story]
    assert list(read(lines)) == kept
    assert list(read([line + b"\n" for line in lines] + [b"\n", b"  \n"])) == kept


def test_a_written_trace_is_what_the_bus_carried(tmp_path: Path) -> None:
    path, bus = tmp_path / "run.trace", Bus()
    story: list[Event] = [
        RouteChosen(1, "a", "priority", (PlannedCandidate("openai", "gpt-4", "first"),)),
        ChunkReceived(2, "a", "openai", "naïve\n\u2028text"),
    ]
    with TraceWriter(path, seed=7) as writer:
        stop = bus.subscribe(writer)
        for event in story:
            bus.publish(event)
        stop()
        bus.publish(ChunkReceived(3, "a", "openai", "after"))
    with path.open("rb") as file:
        assert list(read(file)) == story
    first = json.loads(path.read_bytes().splitlines()[0])
    assert first == {"schema": SCHEMA, "version": VERSION, "seed": 7}
    again: list[Event] = []
    replay = Bus()
    replay.subscribe(again.append)
    with path.open("rb") as file:
        for event in read(file):
            replay.publish(event)
    assert again == story


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"not json"],
        [b"[1]"],
        [b"null"],
        [b'{"schema": "another"}'],
        [f'{{"schema": "{SCHEMA}", "version": {VERSION + 1}}}'.encode()],
    ],
)
def test_a_foreign_or_newer_file_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(InputError, match="not a trace"):
        list(read(lines))


def test_a_trace_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot write the trace to"):
        TraceWriter(tmp_path / "missing" / "run.trace")


# --- bus -----------------------------------------------------------------------------------------------------------


def chunk(number: int) -> ChunkReceived:
    return ChunkReceived(number, "a", "openai", str(number))


def test_a_failing_observer_disturbs_neither_the_publisher_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bus, before, after = Bus(), list[Event](), list[Event]()

    def broken(event: Event) -> None:
        raise RuntimeError("the screen is gone")

    bus.subscribe(before.append)
    bus.subscribe(broken)
    bus.subscribe(after.append)
    with caplog.at_level(logging.ERROR):
        bus.publish(chunk(1))
        bus.publish(chunk(2))
    assert before == after == [chunk(1), chunk(2)]
    assert [record.getMessage() for record in caplog.records] == ["an observer of ChunkReceived failed"] * 2
    assert "the screen is gone" in caplog.text


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["subscribe", "break", "stop", "publish"]), max_size=40), st.randoms())
def test_each_observer_hears_what_is_published_while_it_listens(steps: list[str], choice: Any) -> None:
    logging.disable(logging.CRITICAL)
    try:
        bus = Bus()
        listening: dict[int, Callable[[], None]] = {}
        heard: dict[int, list[Event]] = {}
        expected: dict[int, list[Event]] = {}
        for number, step in enumerate(steps):
            if step in ("subscribe", "break"):
                heard[number], expected[number] = [], []

                def observer(event: Event, own: list[Event] = heard[number], fails: bool = step == "break") -> None:
                    own.append(event)
                    if fails:
                        raise ValueError

                listening[number] = bus.subscribe(observer)
            elif step == "stop" and listening:
                listening.pop(choice.choice(sorted(listening)))()
            elif step == "publish":
                bus.publish(chunk(number))
                for one in listening:
                    expected[one].append(chunk(number))
            assert bus.active == bool(listening)
        assert heard == expected
    finally:
        logging.disable(logging.NOTSET)


def test_an_observer_may_stop_itself_or_another_in_the_middle() -> None:
    bus, heard = Bus(), list[str]()

    def first(event: Event) -> None:
        heard.append("first")
        stop_first()
        stop_third()

    stop_first = bus.subscribe(first)
    bus.subscribe(lambda event: heard.append("second"))
    stop_third = bus.subscribe(lambda event: heard.append("third"))
    bus.publish(chunk(1))
    bus.publish(chunk(2))
    stop_first()
    # An event that is under way still reaches everyone who listened when it began.
    assert heard == ["first", "second", "third", "second"]
