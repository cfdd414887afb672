"""Daily quotas: so many attempts on a provider in a calendar day (UTC), however they are spread over it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from providers.clock import Clock
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.periods import floor, following

if TYPE_CHECKING:
    from sandbox.usage.base import UsageStore


class DayQuota:
    """`per_day` attempts, all there again at midnight."""

    __slots__ = ("_clock", "_day", "_used", "per_day")

    def __init__(self, per_day: int, clock: Clock) -> None:
        self.per_day = per_day
        self._clock = clock
        self._day = 0
        self._used = 0

    def wait(self) -> float:
        """Seconds until an attempt may go; 0 when it may."""
        now = self._clock.time_us()
        self._turn(now)
        return 0.0 if self._used < self.per_day else (following(self._day, "day") - now) / 1e6

    def take(self, amount: int = 1) -> None:
        """Attempts go, or have gone today."""
        self._turn(self._clock.time_us())
        self._used += amount

    def _turn(self, now_us: int) -> None:
        day = floor(now_us, "day")
        # A clock that was set back gives nobody a second day.
        if day > self._day:
            self._day, self._used = day, 0


class Quotas:
    """Those of all providers. They outlive the gateway, so that another preset begins no new day."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, DayQuota] = {}

    def of(self, id: str, per_day: int | None) -> DayQuota | None:
        """A provider's; None where it has none."""
        if per_day is None:
            return None
        quota = self._kept.get(id)
        if quota is None:
            quota = self._kept[id] = DayQuota(per_day, self._clock)
        quota.per_day = per_day
        return quota

    async def recall(self, usage: UsageStore | None, mode: str) -> None:
        """Count what the records of today say was answered before this start. Where there are none, nothing was."""
        if not self._kept or usage is None:
            return
        today = UsageFilter(mode=mode, since_us=floor(self._clock.time_us(), "day"))
        with suppress(UsageUnavailable):
            for id, totals in await usage.breakdown(today, "provider"):
                if id in self._kept:
                    self._kept[id].take(totals.requests - totals.cached)
