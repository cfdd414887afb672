"""The calendar of budgets: months in UTC, whatever their length."""

from __future__ import annotations

from sandbox.usage import periods

_ENOUGH_US = periods.DAY_US
"""How much of a month must have passed before its pace says anything; until then a day is taken to have."""


def month_of(time_us: int) -> int:
    """The beginning of the month that holds a time, both in UTC microseconds."""
    return periods.floor(time_us, "month")


def month_after(start_us: int) -> int:
    """The beginning of the next month, given the beginning of one."""
    return periods.following(start_us, "month")


def projected(used: int, start_us: int, now_us: int) -> int:
    """What a whole month comes to at the pace so far, rounded up; never less than what was used."""
    length = month_after(start_us) - start_us
    passed = min(max(now_us - start_us, _ENOUGH_US), length)
    return -(-used * length // passed)
