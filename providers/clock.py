"""The only door to real time, randomness and ids.

Everything else receives these three by injection, so that a scenario can run the unmodified code in virtual time
with seeded draws. Raw `time`, `random`, `uuid` and `asyncio.sleep` are banned elsewhere by the linter.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Time for one event loop: monotonic seconds for durations, UTC microseconds for records."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def time_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock's time."""
        ...

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """An async context manager that raises TimeoutError after `seconds` of this clock's time."""
        ...


class SystemClock:
    """Real time."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(asyncio.sleep)

    def time_us(self) -> int:
        return time.time_ns() // 1000

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(seconds)


SYSTEM_CLOCK = SystemClock()


class Randomness(Protocol):
    """What the program draws: jitter, random routing, simulated latency."""

    def random(self) -> float: ...

    def uniform(self, a: float, b: float) -> float: ...


def seeded(seed: int | str | None = None) -> random.Random:
    """A source of draws; `None` seeds it from the system."""
    return random.Random(seed)


def random_id() -> str:
    """A random id of 32 hexadecimal digits: a version 4 UUID's entropy without the cost of building one."""
    return os.urandom(16).hex()


def sequential_ids(prefix: str = "req") -> Callable[[], str]:
    """Ids `prefix-000001`, `prefix-000002`, …: for scenarios and tests that must repeat to the byte."""
    count = 0

    def new() -> str:
        nonlocal count
        count += 1
        return f"{prefix}-{count:06d}"

    return new


def utc(time_us: int) -> datetime:
    """The aware UTC datetime of a microsecond count since 1970."""
    seconds, micros = divmod(time_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def iso(time_us: int) -> str:
    """ISO 8601 UTC with microseconds, as usage records carry it: `2025-01-01T00:00:00.000000Z`."""
    seconds, micros = divmod(time_us, 1_000_000)
    return f"{_second(seconds)}.{micros:06d}Z"
