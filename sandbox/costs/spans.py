"""Spans of time as callers give them, in UTC microseconds `[since, until)`, whatever the machine's time zone is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from providers.durations import seconds
from providers.errors import InputError
from sandbox.usage import periods

Moment = datetime | date | None
"""A naive datetime is UTC; a date is its beginning in UTC."""

LONGEST_S = 1e10
"""Some 300 years."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIDNIGHT = time()


class Span(NamedTuple):
    """`[since_us, until_us)`; None: without that bound."""

    since_us: int | None
    until_us: int | None


def moment_us(moment: datetime | date) -> int:
    """UTC microseconds of a moment. Raises InputError for what is none."""
    aware = _aware(moment)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def span(start: Moment = None, end: Moment = None) -> Span:
    """From the start up to the end; an end at midnight (or a date) includes that day. Raises InputError.

    Midnight and the day are those of the end's own time zone, which may have 23 or 25 hours.
    """
    since = None if start is None else moment_us(start)
    until = None if end is None else _end_us(end)
    if start is not None and end is not None and since is not None and until is not None and since >= until:
        raise InputError(f"the start {start.isoformat()} is not before the end {end.isoformat()}")
    return Span(since, until)


def look_back(text: str, now_us: int, *, option: str = "time_range") -> Span:
    """The time until now, from text such as 90m, 24h or 7d. Raises InputError naming the option.

    Without an end: what a clock that was set back has recorded for later belongs to it too.
    """
    return Span(max(periods.BEGINNING_US, now_us - round(duration(text, option) * 1e6)), None)


def duration(text: str, option: str) -> float:
    """Seconds of a duration that a user wrote. Raises InputError naming the option."""
    try:
        found = float(seconds(text))
    except (TypeError, ValueError) as error:
        raise InputError(f"{option} is {text!r}: {error}") from None
    if not 0 < found <= LONGEST_S:
        raise InputError(f"{option} is {text!r}: use more than nothing and less than 300 years")
    return found


def _end_us(end: datetime | date) -> int:
    aware = _aware(end)
    if aware.time() == _MIDNIGHT:
        try:
            aware += timedelta(days=1)
        except OverflowError:
            return periods.END_US
    return moment_us(aware)


def _aware(moment: datetime | date) -> datetime:
    if not isinstance(moment, date):
        raise InputError(f"{moment!r} is no day and no time: give a datetime or a date")
    if not isinstance(moment, datetime):
        return datetime.combine(moment, _MIDNIGHT, UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
