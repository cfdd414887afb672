"""What the running gateway does, written down for the Lab from the start of the program on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sandbox.core.events import Event
from sandbox.tui.reports import Opened, Provoked

if TYPE_CHECKING:
    from sandbox.scenarios.watching import Watch
    from sandbox.tui.reports import Report

SPANS_S: Final = (60, 300, 900)
"""How far one looks back; the first at first."""
REAL: Final = ("live", "record")
"""Modes in which nothing is simulated."""
_APART_US: Final = 2_000_000
"""By so much the clock of a gateway elsewhere may differ before it is corrected: that is what a message may take."""


class Feed:
    """Begins anew when the gateway has other providers, or answers in another mode."""

    def __init__(self, now_us: Callable[[], int], *, elsewhere: bool) -> None:
        """`elsewhere`: the gateway runs on another machine, maybe with another time."""
        self._now_us = now_us
        self._elsewhere = elsewhere
        self._late_us: int | None = None if elsewhere else 0
        """By how much its clock is behind."""
        self.watch: Watch | None = None
        self.preset = ""
        self._mode = ""
        self._provoked = Provoked({})

    def catch_up(self, opened: Opened, early: Sequence[tuple[int, Event | Provoked]]) -> None:
        """Take in what happened before this was made, each with the time at which it came."""
        for at_us, item in early:
            if self.watch is None:
                self.report(opened, at_us)
            if isinstance(item, Event):
                self.take(item, at_us)
            else:
                self.report(item, at_us)

    def take(self, event: Event, now_us: int | None = None) -> None:
        """An event of the bus."""
        watch = self.watch
        if watch is None:
            return
        if self._late_us is None:
            late_us = (self._now_us() if now_us is None else now_us) - event.t_us
            self._late_us = late_us if abs(late_us) > _APART_US else 0
        watch(event, self._late_us)

    def report(self, report: Report, now_us: int | None = None) -> None:
        """Which providers there are, and what is provoked on them."""
        now_us = self._now_us() if now_us is None else now_us
        if isinstance(report, Opened):
            self._opened(report, now_us)
        elif isinstance(report, Provoked):
            self._provoked = report
            if self.watch is not None:
                self.watch.provoked(report.faults, now_us)

    def _opened(self, opened: Opened, now_us: int) -> None:
        from sandbox.scenarios.watching import Watch

        ids = tuple(one.id for one in opened.providers)
        self.preset = opened.preset
        watch = self.watch
        if watch is None or watch.recording.ids != ids or self._mode != opened.mode:
            self._mode = opened.mode
            watch = self.watch = Watch(ids, now_us, simulated=opened.mode not in REAL)
            watch.provoked(self._provoked.faults, now_us)
        for light in opened.lights:
            watch.found(light.id, light.state, now_us)
