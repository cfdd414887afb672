"""What one request holds of its budgets, until it is settled to what it really cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from providers.clock import iso
from providers.errors import BudgetExceededError
from sandbox.core.figures import dollars
from sandbox.costs.base import Balance, BudgetStore, Debt, Grant, tenant_of, whose
from sandbox.costs.periods import month_after
from sandbox.usage.records import MAX_PICO, to_pico, to_usd

SOON_S: Final = 1.0
"""When another try is worth it, where only requests under way stand in the way: they end soon, nobody knows when."""


def pico(usd: Decimal | None) -> int:
    """Picodollars of an amount to be held or booked: unpriced counts nothing, and no price is below nothing."""
    if usd is None or usd <= 0:
        return 0
    try:
        return to_pico(usd)
    except ValueError:
        return MAX_PICO


class Reservation:
    """`amount` is what is held, in picodollars; None where nothing was granted."""

    __slots__ = ("_asked", "_grant", "_limits", "_period", "_settled", "_simulated", "_store", "amount")

    def __init__(
        self,
        grant: Grant,
        store: BudgetStore,
        *,
        period: int,
        limits: Mapping[str, int],
        asked: int,
        simulated: bool,
        settled: Callable[[Mapping[str, Balance]], None],
    ) -> None:
        """`asked` is the least that was asked for; `settled` hears what the ledgers say in the end."""
        self.amount: int | None = None if grant.hold is None else grant.amount
        self._grant = grant
        self._store = store
        self._period = period
        self._limits = limits
        self._asked = asked
        self._simulated = simulated
        self._settled = settled

    def covers(self, usd: Decimal, spent: Decimal) -> bool:
        """Whether another attempt that may cost `usd` is paid for, after `spent` was wasted on others."""
        return self.amount is not None and pico(usd) + pico(spent) <= self.amount

    def extend(self, usd: Decimal, spent: Decimal) -> bool:
        """Hold as much as that takes, where waste has eaten from what was held; False: there is no room."""
        hold, wanted = self._grant.hold, pico(usd) + pico(spent)
        if hold is None or not self._store.extend(hold, self._period, self._limits, wanted):
            return False
        self.amount = wanted
        return True

    def settle(self, *spent: Decimal | None) -> None:
        """Let go, and book what was spent."""
        debt = Debt(self._grant.hold, self._period, tuple(self._limits), sum(map(pico, spent)))
        self._settled(self._store.settle(debt))

    def refusal(self, now_us: int) -> BudgetExceededError:
        """Why the request may not be paid, and what would have to change."""
        scope, balance = next(
            (
                (scope, self._grant.balances[scope])
                for scope, limit in self._limits.items()
                if sum(self._grant.balances[scope]) + max(1, self._asked) > limit
            ),
            next(iter(self._grant.balances.items())),
        )
        limit = self._limits[scope]
        spent, held, asked = (dollars(to_usd(one), simulated=self._simulated) for one in (*balance, self._asked))
        whole = dollars(to_usd(limit))
        which = f"the budget of {whose(tenant_of(scope))}"
        needs = f"this request may cost {asked}" if self._asked else "what this request costs is unknown"
        reset_us = month_after(self._period)
        if balance.used + max(1, self._asked) > limit:
            return BudgetExceededError(
                f"{which} is used up: {spent} of {whole} are spent this month, and {needs}; "
                f"it begins anew on {iso(reset_us)[:10]} (UTC)",
                retry_after=max(0.0, (reset_us - now_us) / 1e6),
            )
        return BudgetExceededError(
            f"{which} has no room just now: of {whole}, {spent} are spent this month and {held} held for requests "
            f"under way, and {needs}",
            retry_after=SOON_S,
        )
