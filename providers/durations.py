"""Spans of time as people write them: `250ms`, `30s`, `5m`, `24h`, `30d`."""

from __future__ import annotations

import math
import re
from typing import Any, Final

_SECONDS: Final = {
    "": 1.0,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86_400.0,
    "w": 604_800.0,
}
QUANTITY: Final = r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*"
"""A number and its unit."""


def seconds(value: Any) -> Any:
    """Seconds from a number or from text; what is neither comes back as it is. Raises ValueError for other text."""
    if isinstance(value, bool):
        raise ValueError("a duration is a number of seconds, or text such as 30s, 5m or 24h")
    if not isinstance(value, str):
        return value
    match = re.fullmatch(QUANTITY, value)
    factor = _SECONDS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("a duration is a number of seconds, or text such as 30s, 5m or 24h")
    amount = float(match[1]) * factor
    if not math.isfinite(amount):
        raise ValueError("the duration is too long")
    return amount
