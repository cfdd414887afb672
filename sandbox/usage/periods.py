"""Hours, days and months in UTC microseconds: where they begin, and what they are called in reports."""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime
from typing import Literal

from providers.clock import utc

Grain = Literal["hour", "day", "month"]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

BEGINNING_US = 0
"""1970-01-01: no record is older."""
END_US = timegm((9999, 12, 1, 0, 0, 0)) * 1_000_000
"""The last month that datetime knows; no record is newer. Both bounds begin a month, so no period is cut by them."""

_NAMES: dict[Grain, str] = {"hour": "%Y-%m-%dT%H:00Z", "day": "%Y-%m-%d", "month": "%Y-%m"}


def floor(time_us: int, grain: Grain) -> int:
    """The beginning of the hour, day or month that holds `time_us`."""
    if grain == "hour":
        return time_us - time_us % HOUR_US
    if grain == "day":
        return time_us - time_us % DAY_US
    day = utc(time_us)
    return timegm((day.year, day.month, 1, 0, 0, 0)) * 1_000_000


def ceil(time_us: int, grain: Grain) -> int:
    """The first beginning of an hour, day or month at or after `time_us`."""
    start = floor(time_us, grain)
    return start if start == time_us else following(start, grain)


def following(start_us: int, grain: Grain) -> int:
    """The beginning of the next period, given the beginning of one."""
    if grain == "hour":
        return start_us + HOUR_US
    if grain == "day":
        return start_us + DAY_US
    # A month has at most 31 days, so 32 days later is always in the next one.
    return floor(start_us + 32 * DAY_US, "month")


def name(start_us: int, grain: Grain) -> str:
    """`2025-01-31T13:00Z`, `2025-01-31` or `2025-01`: sorts by time."""
    return utc(start_us).strftime(_NAMES[grain])


def named(text: str) -> datetime:
    """The beginning of a period, from its name. Raises ValueError for anything else."""
    for pattern in _NAMES.values():
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise ValueError(f"{text!r} names no hour, day or month, such as 2025-01-31T13:00Z, 2025-01-31 or 2025-01")
