"""Days as options name them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from providers.errors import InputError


def noon(text: str, option: str = "--as-of") -> int:
    """UTC microseconds of a day's noon, so that no time zone moves it to another day. Raises InputError."""
    try:
        day = date.fromisoformat(text)
        # Python reads other forms of ISO 8601 too, such as weeks.
        if day.isoformat() != text:
            raise ValueError(text)
    except ValueError:
        raise InputError(f"{option} is {text!r}; write a day as YYYY-MM-DD, such as 2024-06-30") from None
    return int(datetime.combine(day, time(12), UTC).timestamp()) * 1_000_000
