"""Values as people write them: `500 MB`, `gpt-4, claude-3-opus`. What cannot be read raises ValueError."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from providers.durations import QUANTITY

_BYTES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


LARGEST_BUDGET: Final = Decimal(9_000_000)
"""USD a month: in picodollars it fits into 64 bits, with room for what is spent beyond it."""
MOST_DECIMALS: Final = 12
"""Of a budget in USD: ledgers count whole picodollars."""


def is_budget(usd: Decimal) -> bool:
    exponent = usd.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -MOST_DECIMALS and 0 <= usd <= LARGEST_BUDGET


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


def amounts(value: Any) -> Any:
    """Numbers by name; text such as `acme = 5, zen = 10` is split."""
    if isinstance(value, str):
        pairs = [part.rpartition("=") for part in names(value)]
        value = {name.strip(): amount.strip() for name, _, amount in pairs}
    if not isinstance(value, Mapping) or not all(value):
        raise ValueError("write NAME = NUMBER for each")
    return value


def names(value: Any) -> Any:
    """A list of names; text is split at its commas, as environment variables need it."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",")]
    return [part for part in parts if part]
