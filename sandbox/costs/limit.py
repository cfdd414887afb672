"""A budget's limit in picodollars: how many of its thresholds an amount has reached, and who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from sandbox.costs.base import Budget
from sandbox.usage.records import PICO

logger = logging.getLogger(__name__)

AlertCallback = Callable[[str | None, float, Decimal], None]
"""Called with the tenant (None: all together), the threshold as a share of the limit, and the USD used."""


class Limit:
    """A budget in picodollars."""

    __slots__ = ("budget", "marks", "pico")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        whole = budget.limit_usd * PICO
        self.pico = int(whole.to_integral_value(ROUND_FLOOR))
        self.marks = [int((whole * share).to_integral_value(ROUND_CEILING)) for share in budget.thresholds]

    def reached(self, used: int) -> int:
        """How many thresholds are at or below what was used."""
        return sum(used >= mark for mark in self.marks)

    def is_spent(self, used: int, refused: int) -> bool:
        """Whether what is left does not pay for a request that was refused, and hardly anything is left."""
        last = self.budget.thresholds[-1:] == (Decimal(1),)
        return last and refused > 0 and used + refused > self.pico and used * 10 >= self.pico * 9


def alert(callbacks: Iterable[AlertCallback], budget: Budget, share: Decimal, used: Decimal) -> None:
    """Call each of them; what one raises is logged and disturbs nobody."""
    for callback in callbacks:
        try:
            callback(budget.tenant, float(share), used)
        except Exception:
            logger.exception("a budget's alert callback failed")
