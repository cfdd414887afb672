"""How long a vendor asks to wait, out of headers and bodies, without a clock."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

MAX_RETRY_AFTER = 31 * 24 * 3600.0
"""Seconds; longer than any quota period, so a larger figure is a mistake and is ignored."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, or None. Header names are lower case.

    Milliseconds count before whole seconds, being finer; but Azure sends `retry-after-ms: 0` beside `retry-after: 1`,
    and then the longer one is meant. An HTTP date is taken relative to the answer's own `date` header, or not at all.
    """
    fine = _seconds(headers.get("retry-after-ms"), 1000.0)
    if fine is None:
        fine = _seconds(headers.get("x-ms-retry-after-ms"), 1000.0)
    if fine:
        return fine
    coarse = headers.get("retry-after")
    if coarse is None:
        return fine
    seconds = _seconds(coarse, 1.0)
    if seconds is None:
        seconds = _until(coarse, headers.get("date"))
    return fine if seconds is None else seconds


def google_delay(text: object) -> float | None:
    """Seconds of a protobuf duration such as `7.5s` (google.rpc.RetryInfo)."""
    return _seconds(text[:-1], 1.0) if isinstance(text, str) and text.endswith("s") else None


def _seconds(text: str | None, per_second: float) -> float | None:
    if text is None:
        return None
    try:
        value = float(text) / per_second
    except ValueError:
        return None
    return value if isfinite(value) and 0 <= value <= MAX_RETRY_AFTER else None


def _until(date: str, now: str | None) -> float | None:
    if now is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        seconds = (parsedate_to_datetime(date) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, seconds) if seconds <= MAX_RETRY_AFTER else None
