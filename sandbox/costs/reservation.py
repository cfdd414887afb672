"""What one request holds of its budgets, until it is settled to what it really cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from providers.clock import iso
from providers.errors import BudgetExceededError
from sandbox.core.figures import dollars
from sandbox.costs.base import Balance, BudgetStore, Grant, tenant_of, whose
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

    __slots__ = ("_asked", "_grant", "_limits", "_period", "_settled", "_simulated", "_store", "amount", "granted")

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
        self.granted: int | None = None if grant.hold is None else grant.amount
        self.amount = self.granted
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
        """Hold more where waste has eaten from what an attempt may cost that was granted once; False: no room."""
        hold, wanted = self._grant.hold, pico(usd)
        if hold is None or self.granted is None or wanted > self.granted:
            return False
        wanted += pico(spent)
        if not self._store.extend(hold, self._period, self._limits, wanted):
            return False
        self.amount = wanted
        return True

    def settle(self, *spent: Decimal | None) -> None:
        """Let go, and book what was spent."""
        cost = sum(map(pico, spent))
        self._settled(self._store.settle(self._grant.hold, self._period, list(self._limits), cost))

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
        whole, spent, held, asked = (self._dollars(one) for one in (limit, *balance, self._asked))
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

    def _dollars(self, amount: int) -> str:
        return dollars(to_usd(amount), simulated=self._simulated)
