"""How providers did over time: what real traffic and the background checks said, in slices of equal length.

What is kept has a bound whatever the traffic: so many slices for each provider, and so many providers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from providers.clock import Clock
from sandbox.core.events import AttemptFailed, AttemptSucceeded, Event, HealthChecked

SLICE_SECONDS: Final = 10.0
SLICES: Final = 360
"""An hour of slices of ten seconds."""
MAX_PROVIDERS: Final = 256
"""Beyond it the provider that has been silent longest is forgotten."""


@dataclass(slots=True)
class Tally:
    """Outcomes of one kind. Latencies are milliseconds of successes: of streams, to the first text."""

    successes: int = 0
    failures: int = 0
    latency_ms_sum: float = 0.0
    slowest_ms: float = 0.0

    @property
    def calls(self) -> int:
        return self.successes + self.failures

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None where nothing was tried."""
        return self.successes / self.calls if self.calls else None

    @property
    def average_latency_ms(self) -> float | None:
        """None where nothing succeeded."""
        return self.latency_ms_sum / self.successes if self.successes else None

    def add(self, ok: bool, latency_ms: float) -> None:
        if not ok:
            self.failures += 1
            return
        self.successes += 1
        self.latency_ms_sum += latency_ms
        self.slowest_ms = max(self.slowest_ms, latency_ms)

    def take(self, other: Tally) -> None:
        """Add another tally to this one."""
        self.successes += other.successes
        self.failures += other.failures
        self.latency_ms_sum += other.latency_ms_sum
        self.slowest_ms = max(self.slowest_ms, other.slowest_ms)


@dataclass(slots=True)
class Slice:
    """What happened from `start_us` (UTC microseconds) on, for the length of a slice or of a longer time."""

    start_us: int
    traffic: Tally = field(default_factory=Tally)
    """Attempts of requests."""
    checks: Tally = field(default_factory=Tally)
    """Questions of the monitor."""

    @property
    def both(self) -> Tally:
        """All that the provider was asked."""
        total = Tally()
        total.take(self.traffic)
        total.take(self.checks)
        return total

    def take(self, other: Slice) -> None:
        """Add another slice to this one."""
        self.traffic.take(other.traffic)
        self.checks.take(other.checks)


class HealthHistory:
    """An observer of the bus. Slices begin at whole multiples of their length, so that all providers' fall together."""

    def __init__(self, clock: Clock, *, seconds: float = SLICE_SECONDS, slices: int = SLICES) -> None:
        self._clock = clock
        self._length_us = round(seconds * 1e6)
        self._slices = slices
        self._kept: dict[str, deque[Slice]] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            latency = event.latency_ms if event.ttft_ms is None else event.ttft_ms
            self._slice(event.provider, event.t_us).traffic.add(True, latency)
        elif isinstance(event, AttemptFailed):
            self._slice(event.provider, event.t_us).traffic.add(False, event.latency_ms)
        elif isinstance(event, HealthChecked):
            self._slice(event.provider, event.t_us).checks.add(event.is_healthy, event.latency_ms or 0.0)

    def __iter__(self) -> Iterator[str]:
        """The providers of which anything is known."""
        return iter(list(self._kept))

    def series(self, provider: str, seconds: float) -> list[Slice]:
        """The slices of the last `seconds`, oldest first, without a gap; those in which nothing happened are empty.

        No more of them than are kept. What is known is handed out as it stands and is not to be changed.
        """
        length = self._length_us
        last = self._start(self._clock.time_us())
        count = max(1, min(self._slices, -(-round(seconds * 1e6) // length)))
        known = {one.start_us: one for one in self._kept.get(provider, ())}
        starts = range(last - (count - 1) * length, last + 1, length)
        return [known.get(start) or Slice(start) for start in starts]

    def window(self, provider: str, seconds: float) -> Slice:
        """The sums of `series`."""
        return _summed(self.series(provider, seconds))

    def columns(self, provider: str, seconds: float, most: int) -> list[Slice]:
        """`series` in no more than so many longer slices, of which the first and the last may be cut short.

        They too begin at whole multiples of their length, so that what is drawn of them stays where it is until a new
        one begins.
        """
        parts = self.series(provider, seconds)
        length = self._length_us * -(-len(parts) // max(1, most))
        longer = [list(group) for _, group in groupby(parts, lambda part: part.start_us // length)]
        return [_summed(group) for group in longer[-max(1, most) :]]

    def _start(self, time_us: int) -> int:
        return time_us - time_us % self._length_us

    def _slice(self, provider: str, time_us: int) -> Slice:
        kept = self._kept.get(provider)
        if kept is None:
            if len(self._kept) >= MAX_PROVIDERS:
                del self._kept[min(self._kept, key=lambda name: self._kept[name][-1].start_us)]
            kept = self._kept[provider] = deque(maxlen=self._slices)
        start = self._start(time_us)
        # A clock that was set back goes on in the newest slice.
        if not kept or start > kept[-1].start_us:
            kept.append(Slice(start))
        return kept[-1]


def _summed(parts: Sequence[Slice]) -> Slice:
    total = Slice(parts[0].start_us)
    for part in parts:
        total.take(part)
    return total
