"""Values as people write them: `500 MB`, `gpt-4, claude-3-opus`. What cannot be read raises ValueError."""

from __future__ import annotations

import math
import re
from typing import Any

from providers.durations import QUANTITY

_BYTES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def size(value: Any) -> Any:
    """Bytes from a whole number or from text such as `500MB` or `1 GiB`."""
    if isinstance(value, bool):
        raise ValueError("a size is a number of bytes, or text such as 500MB or 1GiB")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(QUANTITY, value)
    factor = _BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("a size is a number of bytes, or text such as 500MB or 1GiB")
    amount = float(match[1]) * factor
    if not math.isfinite(amount):
        raise ValueError("the size is too large")
    return round(amount)


def number(value: Any) -> Any:
    """Anything but a truth value, which Python would take for 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def names(value: Any) -> Any:
    """A list of names; text is split at its commas, as environment variables need it."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    return [part for part in parts if part]
