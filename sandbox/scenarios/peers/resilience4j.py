"""The circuit breaker of resilience4j with its defaults: a rate over the last calls, however long ago they were.

Facts of its state machine (io.github.resilience4j.circuitbreaker, 2.x): COUNT_BASED window of 100, minimum 100 calls,
50 %, 60 s open, 10 calls let through half open and judged together once as many results have come. Every exception is a
failure, whatever it says. A result counts in the state that it finds, not in the one that let its call through. The
wait is over strictly after its end. Slow calls and automatic transitions are off by default.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from providers.clock import Clock
from providers.errors import ProviderError
from sandbox.gateway.breaker import OnChange, Snapshot
from sandbox.scenarios.peers.held import Held, moment

WINDOW: Final = 100
MINIMUM_CALLS: Final = 100
FAILURE_RATE: Final = 0.5
OPEN_SECONDS: Final = 60.0
HALF_OPEN_CALLS: Final = 10


class CountedBreaker(Held):
    def __init__(self, clock: Clock, on_change: OnChange, providers: Callable[[], int]) -> None:
        super().__init__(clock, on_change)
        self._until = 0.0
        self._permits = 0
        """Calls that may still be let through half open."""
        self._clear()

    def _clear(self) -> None:
        self._count_to(WINDOW)

    def _count_to(self, size: int) -> None:
        self._results: deque[bool] = deque(maxlen=size)
        """Whether each of the last calls failed."""
        self._failures = 0

    # --- admission ------------------------------------------------------------------------------------------------

    def admit(self) -> int | None:
        if self.state == "open" and self._monotonic() > self._until:
            self._change("half_open", "wait passed")
            self._permits = HALF_OPEN_CALLS
            self._count_to(HALF_OPEN_CALLS)
        if not self.would_admit():
            return None
        if self.state == "half_open":
            self._permits -= 1
        return self.generation

    def would_admit(self) -> bool:
        if self.state == "open":
            return self._monotonic() > self._until
        return self._permits > 0 if self.state == "half_open" else self.state != "forced_open"

    def retry_after(self) -> float | None:
        if self.state == "open":
            return max(0.0, self._until - self._monotonic())
        return 0.0 if self.state == "half_open" else None

    # --- results --------------------------------------------------------------------------------------------------

    def success(self, permit: int, seconds: float = 0.0) -> None:
        self._ended(False)

    def failed(self, permit: int, error: ProviderError, seconds: float = 0.0) -> None:
        self._ended(True)

    def neutral(self, permit: int) -> None:
        if self.state == "half_open":
            self._permits += 1

    def _ended(self, failed: bool) -> None:
        if self.state not in ("closed", "half_open"):
            return
        results = self._results
        if len(results) == results.maxlen:
            self._failures -= results[0]
        results.append(failed)
        self._failures += failed
        total = len(results)
        if total < (MINIMUM_CALLS if self.state == "closed" else HALF_OPEN_CALLS):
            return
        told = f"{self._failures} of {total} calls failed"
        if self._failures / total >= FAILURE_RATE:
            self._until = moment(self._monotonic() + OPEN_SECONDS)
            self._clear()
            self._change("open", told, self._until)
        elif self.state == "half_open":
            self._clear()
            self._change("closed", told)

    def snapshot(self) -> Snapshot:
        return Snapshot(self.state, self._failures, int(WINDOW * FAILURE_RATE), self.retry_after() or None)
