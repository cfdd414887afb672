"""The periods of roll-ups in UTC microseconds: where they begin, and what they are called in reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, get_args

Grain = Literal["ten_minutes", "hour", "six_hours", "day", "month"]
GRAINS: tuple[Grain, ...] = get_args(Grain)
"""Finest first; each divides the next."""

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
SIZES_US: dict[Grain, int] = {"ten_minutes": HOUR_US // 6, "hour": HOUR_US, "six_hours": 6 * HOUR_US, "day": DAY_US}
"""All but the month, whose length differs."""

_BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 1, tzinfo=UTC)
BEGINNING_US = 0
"""1970-01-01: no record is older."""
END_US = round(_END.timestamp()) * 1_000_000
"""The last month that datetime knows; no record is newer. Both bounds begin a month, so no period is cut by them."""


def floor(time_us: int, grain: Grain) -> int:
    """The beginning of the period that holds `time_us`."""
    size = SIZES_US.get(grain)
    if size is not None:
        return time_us - time_us % size
    start = _datetime(time_us).replace(day=1, hour=0, minute=0, second=0)
    return round(start.timestamp()) * 1_000_000


def following(start_us: int, grain: Grain) -> int:
    """The beginning of the next period, given the beginning of one."""
    # A month has at most 31 days, so 32 days later is always in the next one.
    return start_us + SIZES_US[grain] if grain in SIZES_US else floor(start_us + 32 * DAY_US, grain)


def ceil(time_us: int, grain: Grain) -> int:
    """The first beginning of a period at or after `time_us`."""
    start = floor(time_us, grain)
    return start if start == time_us else following(start, grain)


def name(start_us: int, dimension: Literal["hour", "day", "month"]) -> str:
    """`2025-01-31T13:00Z`, `2025-01-31` or `2025-01`: sorts by time."""
    at = _datetime(start_us)
    text = f"{at.year:04}-{at.month:02}"
    if dimension == "month":
        return text
    return f"{text}-{at.day:02}" if dimension == "day" else f"{text}-{at.day:02}T{at.hour:02}:00Z"


def named(text: str) -> datetime:
    """The beginning of a period that a record can be in, from its name. Raises ValueError for anything else."""
    for pattern in ("%Y-%m-%dT%H:00Z", "%Y-%m-%d", "%Y-%m"):
        try:
            start = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
        if _BEGINNING <= start < _END:
            return start
    raise ValueError(f"{text!r} names no hour, day or month, such as 2025-01-31T13:00Z, 2025-01-31 or 2025-01")


def _datetime(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)
