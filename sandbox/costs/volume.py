"""What a steady load costs: the one place that knows how long a week and a month are."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

DAYS_PER_WEEK = 7
DAYS_PER_MONTH = 30


class SteadyCost(NamedTuple):
    """USD."""

    daily: Decimal
    weekly: Decimal
    monthly: Decimal


def steady_cost(each: Decimal | None, requests_per_day: int) -> SteadyCost | None:
    """So many requests a day that cost `each`, day after day; None is unpriced."""
    if each is None:
        return None
    daily = each * requests_per_day
    return SteadyCost(daily, daily * DAYS_PER_WEEK, daily * DAYS_PER_MONTH)
