"""An event loop whose time is virtual: an hour of sleeping takes milliseconds, in the same order every run.

Time moves only when nothing is ready to run, and then exactly to the next timer. Work outside the loop (threads,
sockets) is invisible to it, so only in-process transports belong here.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

EPOCH_US = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z: where every virtual run begins."""


class _JumpingSelector(selectors.BaseSelector):
    """Asks the real selector without waiting, and turns the wait that the loop wanted into virtual time."""

    def __init__(self, loop: VirtualTimeLoop, real: selectors.BaseSelector) -> None:
        self._loop = loop
        self._real = real

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            # Nothing is scheduled at all: only another thread could wake this loop, so wait for it in earnest.
            return self._real.select(None)
        ready = self._real.select(0)
        if not ready and timeout > 0:
            self._loop.advance_to_next_timer()
        return ready

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Any:
        return self._real.get_map()


class _Timer(asyncio.TimerHandle):
    """Sorts by time and then by creation; a heap by itself keeps no order among equals."""

    __slots__ = ("_order",)

    _when: float
    _order: int

    def __lt__(self, other: _Timer) -> bool:  # type: ignore[override]  # this loop has no others
        when, its = self._when, other._when
        return when < its or (when == its and self._order < other._order)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Time is an integer count of microseconds, so that long runs do not drift by rounding."""

    def __init__(self) -> None:
        self.now_us = 0
        self.before_advance: Callable[[int, int], None] | None = None
        """Called with the present and the next instant before time moves; the loop waits for its return."""
        self._timers = 0
        super().__init__(_JumpingSelector(self, selectors.DefaultSelector()))
        # Less than the microsecond that lies between two instants, more than the rounding of a float.
        self._clock_resolution = 5e-7

    def time(self) -> float:
        return self.now_us / 1e6

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """A timer at the whole microsecond nearest to `when`: deadlines are sums of floats, instants are not."""
        self._check_closed()  # type: ignore[attr-defined]
        timer = _Timer(round(when * 1e6) / 1e6, callback, args, self, context)
        self._timers += 1
        timer._order = self._timers
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def advance_to_next_timer(self) -> None:
        # The timer's own deadline, not the timeout that select() was given: that one has been through a subtraction.
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if scheduled:
            then = max(self.now_us, round(scheduled[0].when() * 1e6))
            if self.before_advance is not None and then > self.now_us:
                self.before_advance(self.now_us, then)
            self.now_us = then


class VirtualClock:
    """A Clock that reads the running VirtualTimeLoop."""

    __slots__ = ("_loop", "start_us")

    def __init__(self, loop: VirtualTimeLoop, start_us: int = EPOCH_US) -> None:
        self._loop = loop
        self.start_us = start_us

    def monotonic(self) -> float:
        return self._loop.time()

    def time_us(self) -> int:
        return self.start_us + self._loop.now_us

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(seconds)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time; `VirtualClock(asyncio.get_running_loop())` inside gives its clock."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
