"""A recording that never ends and never grows beyond a bound: what is old goes, and one looks at its last minutes.

Times stay microseconds since the start; positions of events are counted anew whenever the oldest go.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from copy import copy
from itertools import islice
from sys import maxsize
from typing import ClassVar, Final

from sandbox.scenarios.bins import Bins
from sandbox.scenarios.recording import Figures, Level, Recording

BIN_US: Final = 250_000
KEPT_US: Final = 1_000_000_000
"""What is older than this is not looked at any more."""
_GONE: Final = maxsize
"""In place of the position of a mark whose events are not there any more: none follow it."""


class RollingBins(Bins):
    """Bins of one width; the older half goes to make room for what comes."""

    most: ClassVar[int] = 8_192

    def __init__(self, providers: int) -> None:
        super().__init__(providers, BIN_US * (self.most // 2))

    def index(self, at_us: int) -> int:
        index = at_us // self.width_us - self.first
        if index >= self.most:
            self._roll(max(self.most // 2, index - self.most + 1))
            index = at_us // self.width_us - self.first
        return max(0, index)

    def _roll(self, gone: int) -> None:
        self.first += gone
        gone = min(gone, self.most)
        for counts in (self.arrived, self.failed, *self.ok, *self.bad):
            counts[:] = counts[gone:] + array("Q", bytes(8 * gone))
        self._latencies = [*self._latencies[gone:], *(None for _ in range(gone))]

    def still(self) -> RollingBins:
        other = copy(self)
        other.arrived, other.failed = self.arrived[:], self.failed[:]
        other.ok, other.bad = [one[:] for one in self.ok], [one[:] for one in self.bad]
        other._latencies = [None if one is None else {**one} for one in self._latencies]
        return other


class RollingRecording(Recording):
    """`begin_us` to `ended_us` is what is looked at: rows and figures are of that time alone.

    At first it begins before the start: then less than that has happened.
    """

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(ids, KEPT_US)
        self.bins: RollingBins = RollingBins(len(self.ids))
        self.forgotten = 0
        """How many events went."""

    # --- looking --------------------------------------------------------------------------------------------------

    def rows(self, level: Level) -> Sequence[int]:
        first, end = bisect_left(self.times, self.begin_us), self.until(self.ended_us)
        if level == "all":
            return range(first, end)
        listed = super().rows(level)
        return listed[bisect_left(listed, first) : bisect_left(listed, end)]

    def figures(self, at_us: int) -> Figures:
        """What happened from `begin_us` up to a time."""
        before_us = max(0, self.begin_us) - 1
        now, before = super().figures(max(at_us, before_us)).packed(), super().figures(before_us).packed()
        return Figures.unpacked(tuple(after - first for after, first in zip(now, before, strict=True)))

    def open_us(self, at_us: int, id: str | None = None) -> int:
        return super().open_us(at_us, id) - super().open_us(self.begin_us, id)

    # --- forgetting -----------------------------------------------------------------------------------------------

    def forget(self, count: int) -> int:
        """Let the oldest events go; returns how many requests went with them: the others are numbered anew."""
        if not count:
            return 0
        self._forget_marks(count)
        for column in (self.times, self.codes, self.parts, self.requests, self.before):
            del column[:count]
        for listed in (self.moments, self.ends):
            del listed[: bisect_left(listed, count)]
        gone = min((number for number in self.requests if number >= 0), default=len(self.names))
        del self.names[:gone]
        self.requests = array("i", (number - gone if number >= 0 else -1 for number in self.requests))
        self.before = array("i", (at - count if at >= count else -1 for at in self.before))
        self.lasts = array("i", (at - count if at >= count else -1 for at in islice(self.lasts, gone, None)))
        self.moments = array("i", (at - count for at in self.moments))
        self.ends = array("i", (at - count for at in self.ends))
        self.forgotten += count
        return gone

    def _forget_marks(self, count: int) -> None:
        """What the events add up to that go stays known, and so does what it was before, here and there."""
        _, position, row = next(mark for mark in reversed(self.marks) if mark[1] <= count or mark[1] == _GONE)
        figures = Figures.unpacked(row)
        for at in range(position, count):
            figures.take(self.codes[at], self.parts[at], self.places)
        old = [(at_us, _GONE, row) for at_us, position, row in self.marks if position < count or position == _GONE]
        new = [(at_us, position - count, row) for at_us, position, row in self.marks if count <= position < _GONE]
        self.marks = [*old, (self.times[count - 1], 0, figures.packed()), *new]

    def forget_before(self, at_us: int) -> None:
        """Let the marks and the states of breakers go that say nothing about the time since."""
        del self.marks[: max(0, bisect_right(self.marks, at_us, key=lambda mark: mark[0]) - 1)]
        for states in self.states.values():
            states.forget(at_us)

    # --- keeping --------------------------------------------------------------------------------------------------

    def still(self) -> RollingRecording:
        """As it is now: what comes is not in it."""
        other = copy(self)
        other.times, other.codes, other.parts = self.times[:], self.codes[:], self.parts[:]
        other.requests, other.before = self.requests[:], self.before[:]
        other.names, other.lasts, other.marks = self.names[:], self.lasts[:], self.marks[:]
        other.moments, other.ends = self.moments[:], self.ends[:]
        other.bins = self.bins.still()
        other.states = {id: states.still() for id, states in self.states.items()}
        return other
