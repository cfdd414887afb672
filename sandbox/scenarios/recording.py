"""One run, kept so that any moment of it can be looked at again at once: every event by time, and what they add up to.

The events lie in columns. What a request cost, failed ones too, only its usage record says, so the recorder writes into
the place of each `UsageRecorded` by how much the run's tally has grown with it.

What is kept of an event or a moment is a plain tuple of plain values: the garbage collector lets go of those after one
look. Objects of a class in their place held a screen up for 30 to 70 ms each time it looked through all of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from decimal import Decimal
from operator import attrgetter
from sys import maxsize
from typing import Any, Final, Literal, NamedTuple

from sandbox.core.events import (
    EVENT_TYPES,
    AttemptFailed,
    AttemptStarted,
    BackendSwitched,
    BreakerChanged,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    BudgetThresholdCrossed,
    CacheHit,
    ComponentFailed,
    Event,
    ProviderDisabled,
    ProviderEnabled,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    StreamRestartedElsewhere,
    UsageRecorded,
)
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.bins import Bins

Level = Literal["moments", "requests", "all"]
LEVELS: Final[tuple[Level, ...]] = ("moments", "requests", "all")
"""What is listed: what matters, also how each request ended, every event."""


@dataclass(frozen=True, slots=True)
class FaultBegan(Event):
    """The window of a fault opens; `number` is its place in the scenario. Not on the bus: the gateway cannot know."""

    provider: str
    number: int


@dataclass(frozen=True, slots=True)
class FaultEnded(Event):
    provider: str
    number: int


KINDS: Final[tuple[type[Event], ...]] = (*EVENT_TYPES.values(), FaultBegan, FaultEnded)
CODES: Final = {kind: code for code, kind in enumerate(KINDS)}
_MOMENTS: Final = (
    FaultBegan, FaultEnded, AttemptFailed, BreakerChanged, ProviderDisabled, ProviderEnabled, StreamRestartedElsewhere,
    RequestFailed, RequestCancelled, BudgetThresholdCrossed, ComponentFailed, BackendSwitched,
)  # fmt: skip
MOMENTS: Final = frozenset(code for kind, code in CODES.items() if issubclass(kind, _MOMENTS))
_STARTED, _FAILED, _HIT, _RECORDED, _COMPLETED = (
    CODES[kind] for kind in (AttemptStarted, AttemptFailed, CacheHit, UsageRecorded, RequestCompleted)
)


def reader(kind: type[Event]) -> Callable[[Any], tuple[Any, ...]]:
    """Reads an event's own fields, without time and request."""
    names = [one.name for one in fields(kind)][2:]
    read = attrgetter(*names)
    return read if len(names) > 1 else lambda event: (read(event),)


class Growth(NamedTuple):
    """By how much a request that has ended makes the sums larger; kept as a plain tuple."""

    log_id: str
    succeeded: int
    failovers: int
    unpriced: int
    cost: Decimal
    """Of its answer, without waste."""
    baseline: Decimal
    waste: Decimal


@dataclass(slots=True)
class Figures:
    """What a run adds up to at one moment. Lists are by provider, in the order of the chain; money is USD."""

    requests: int = 0
    """That have ended."""
    succeeded: int = 0
    cached: int = 0
    failovers: int = 0
    retries: int = 0
    unpriced: int = 0
    cost: Decimal = Decimal(0)
    baseline: Decimal = Decimal(0)
    waste: Decimal = Decimal(0)
    attempts: list[int] = field(default_factory=list)
    failed_attempts: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def availability(self) -> float:
        return self.succeeded / self.requests if self.requests else 1.0

    @property
    def premium(self) -> Decimal | None:
        """Paid for failing over; None where something is unpriced."""
        return None if self.unpriced else self.cost - self.baseline

    def packed(self) -> tuple[int | Decimal, ...]:
        """All of it in one row, the lists one after the other."""
        return (
            self.requests, self.succeeded, self.cached, self.failovers, self.retries, self.unpriced, self.cost,
            self.baseline, self.waste, *self.attempts, *self.failed_attempts, *self.answers,
        )  # fmt: skip

    @classmethod
    def unpacked(cls, row: tuple[Any, ...]) -> Figures:
        """What was packed."""
        sums, lists = row[:9], row[9:]
        providers = len(lists) // 3
        return cls(*sums, *([*lists[at * providers : (at + 1) * providers]] for at in range(3)))

    def take(self, code: int, parts: tuple[Any, ...], places: dict[str, int]) -> None:
        """Add one event by its kind's code and its own fields; `places` are those of the providers."""
        if code == _STARTED:
            self.attempts[places[parts[0]]] += 1
            self.retries += parts[3] > 0
        elif code == _FAILED:
            self.failed_attempts[places[parts[0]]] += 1
        elif code == _COMPLETED:
            self.answers[places[parts[0]]] += 1
        elif code == _HIT:
            self.cached += 1
        elif code == _RECORDED:
            self.requests += 1
            _, succeeded, failovers, unpriced, cost, baseline, waste = parts
            self.succeeded += succeeded
            self.failovers += failovers
            self.unpriced += unpriced
            self.cost += cost
            self.baseline += baseline
            self.waste += waste


class States:
    """The states of one provider's breaker over time, and when the provider was out of rotation."""

    def __init__(self) -> None:
        self._times: array[int] = array("q", [0])
        self._names = ["closed"]
        self._changes: list[BreakerChanged | None] = [None]
        self._open_us: array[int] = array("q", [0])
        """Time open until each change."""
        self._out: array[int] = array("q")
        """When it went out of rotation and came back, in turn."""

    def change(self, at_us: int, event: BreakerChanged) -> None:
        self._open_us.append(self._open_us[-1] + self._since(len(self._times) - 1, at_us))
        self._times.append(at_us)
        self._names.append(_state_after(event))
        self._changes.append(event)

    def rotate(self, at_us: int, out: bool) -> None:
        if out != bool(len(self._out) % 2):
            self._out.append(at_us)

    def _since(self, index: int, at_us: int) -> int:
        return at_us - self._times[index] if self._names[index] == "open" else 0

    def at(self, at_us: int) -> tuple[str, int, BreakerChanged | None]:
        """The state, since when, and the change that brought it (None: it began so)."""
        index = max(0, bisect_right(self._times, at_us) - 1)
        return self._names[index], self._times[index], self._changes[index]

    def within(self, begin_us: int, end_us: int) -> str:
        """The state in [begin, end) not to be missed: half_open, disabled, open or closed, the first that occurs."""
        first = max(0, bisect_right(self._times, begin_us) - 1)
        last = max(first + 1, bisect_left(self._times, end_us))
        names = self._names[first:last]
        if "half_open" in names:
            return "half_open"
        outs = bisect_left(self._out, end_us)
        if outs % 2 or outs != bisect_right(self._out, begin_us):
            return "disabled"
        return "open" if "open" in names else "closed"

    def mostly(self, begin_us: int, end_us: int) -> str:
        """The state of the largest part of [begin, end)."""
        turns = bisect_right(self._out, begin_us)
        if turns % 2 and turns == bisect_left(self._out, end_us):
            return "disabled"
        first = max(0, bisect_right(self._times, begin_us) - 1)
        last = max(first + 1, bisect_left(self._times, end_us))
        spent: dict[str, int] = {}
        for index in range(first, last):
            until = self._times[index + 1] if index + 1 < last else end_us
            name = self._names[index]
            spent[name] = spent.get(name, 0) + until - max(begin_us, self._times[index])
        return max(spent, key=spent.__getitem__)

    def out_since(self, at_us: int) -> int | None:
        """Since when it is out of rotation; None: it is not."""
        turns = bisect_right(self._out, at_us)
        return self._out[turns - 1] if turns % 2 else None

    def open_us(self, at_us: int) -> int:
        """How long it was open until then."""
        index = max(0, bisect_right(self._times, at_us) - 1)
        return self._open_us[index] + self._since(index, at_us)

    @property
    def eventful(self) -> bool:
        return len(self._times) > 1 or bool(self._out) or self._names[0] != "closed"

    def forget(self, before_us: int) -> None:
        """Let go what says nothing about the time since."""
        old = max(0, bisect_right(self._times, before_us) - 1)
        for listed in (self._times, self._names, self._changes, self._open_us):
            del listed[:old]
        del self._out[: bisect_right(self._out, before_us) // 2 * 2]

    def still(self) -> States:
        """As they are now."""
        other = copy(self)
        other._times, other._names, other._changes = self._times[:], self._names[:], self._changes[:]
        other._open_us, other._out = self._open_us[:], self._out[:]
        return other


def _state_after(event: BreakerChanged) -> str:
    if isinstance(event, BreakerForced):
        return "open" if event.state == "forced_open" else "closed"
    return {BreakerOpened: "open", BreakerHalfOpened: "half_open"}.get(type(event), "closed")


class Recording:
    """What a Recorder has written. Times are microseconds since the start; events are known by their position."""

    def __init__(self, ids: Sequence[str], duration_us: int) -> None:
        self.ids = tuple(ids)
        """The providers, in the order of the chain."""
        self.places = {id: place for place, id in enumerate(self.ids)}
        self.times: array[int] = array("q")
        self.codes = bytearray()
        self.parts: list[tuple[Any, ...]] = []
        self.requests: array[int] = array("i")
        """Of each event the number of its request, -1 for none."""
        self.before: array[int] = array("i")
        """Of each event the one before it of the same request, -1 for none."""
        self.names: list[str] = []
        """The requests by number."""
        self.lasts: array[int] = array("i")
        """Of each request its last event."""
        self.moments: array[int] = array("i")
        self.ends: array[int] = array("i")
        """Positions of what the levels `moments` and `requests` list."""
        self.bins = Bins(len(self.ids), duration_us)
        self.begin_us = 0
        """From when on it is looked at."""
        self.states = {id: States() for id in self.ids}
        self.marks: list[tuple[int, int, tuple[int | Decimal, ...]]] = []
        """Figures here and there: a time, how many kept events are in them, and they, packed."""
        self.ended_us = 0
        self.simulated = True
        """What it costs is no real money."""
        self.reached_us = maxsize
        """What is after it has not happened yet."""
        self.seen = 0
        """Events that there were."""
        self.thinned_us: int | None = None
        """When it became too much: from then on only moments are kept, all else only counted."""

    def __len__(self) -> int:
        return len(self.times)

    # --- events ---------------------------------------------------------------------------------------------------

    def event(self, position: int) -> Event:
        code, number = self.codes[position], self.requests[position]
        name = self.names[number] if number >= 0 else ""
        parts = self.parts[position]
        return KINDS[code](self.times[position] + EPOCH_US, name, *(parts[:1] if code == _RECORDED else parts))

    def growth(self, position: int) -> Growth | None:
        """What the request of a UsageRecorded added to the sums; None for other events."""
        return Growth(*self.parts[position]) if self.codes[position] == _RECORDED else None

    def until(self, at_us: int) -> int:
        """How many events are kept up to a time, those at that time too."""
        return bisect_right(self.times, at_us)

    def of_request(self, position: int) -> list[int]:
        """The positions of all events of the request that an event belongs to, in order; its own, if it has none."""
        number = self.requests[position]
        if number < 0:
            return [position]
        found = []
        at = self.lasts[number]
        while at >= 0:
            found.append(at)
            at = self.before[at]
        return found[::-1]

    def nearby(self, position: int) -> Iterator[int]:
        """The positions of the events at the same time as one, the nearest first."""
        at_us = self.times[position]
        low, high = position - 1, position + 1
        while True:
            down = low >= 0 and self.times[low] == at_us
            up = high < len(self.times) and self.times[high] == at_us
            if not down and not up:
                return
            if down:
                yield low
                low -= 1
            if up:
                yield high
                high += 1

    # --- rows of a list -------------------------------------------------------------------------------------------

    def rows(self, level: Level) -> Sequence[int]:
        """The positions that a level lists."""
        if level == "all":
            return range(len(self))
        return self.moments if level == "moments" else self.ends

    def row_at(self, rows: Sequence[int], at_us: int) -> int:
        """The last row at or before a time; -1: all come later."""
        return bisect_right(rows, at_us, key=self.times.__getitem__) - 1

    # --- figures --------------------------------------------------------------------------------------------------

    def figures(self, at_us: int) -> Figures:
        """What there was at a time, exactly; where events were thinned out, at the last mark before it."""
        _, position, row = self.marks[bisect_right(self.marks, at_us, key=lambda mark: mark[0]) - 1]
        figures = Figures.unpacked(row)
        if self.thinned_us is None or at_us < self.thinned_us:
            for at in range(position, self.until(at_us)):
                figures.take(self.codes[at], self.parts[at], self.places)
        return figures

    def open_us(self, at_us: int, id: str | None = None) -> int:
        """How long a provider's breaker was open until then, or those of all together."""
        ids = self.ids if id is None else (id,)
        return sum(self.states[one].open_us(at_us) for one in ids)
