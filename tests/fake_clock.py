"""A clock that never waits: sleeping moves it. For code that also does real input and output."""

from __future__ import annotations

import asyncio

from providers.clock import SystemClock


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time_us(self) -> int:
        return 1_735_689_600_000_000 + round(self.now * 1e6)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        # Real time limits real input and output, generously: a hang fails the test instead of stopping it.
        return asyncio.timeout(None if seconds is None else max(seconds, 5.0))


class MovedClock(SystemClock):
    """Real time, that a test can push forward."""

    __slots__ = ("ahead",)

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:  # type: ignore[override]
        return SystemClock.monotonic() + self.ahead

    def time_us(self) -> int:
        return super().time_us() + round(self.ahead * 1e6)
