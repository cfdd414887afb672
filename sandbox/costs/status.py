"""How a budget stands, as every face shows it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sandbox.costs.base import Balance, Budget
from sandbox.costs.periods import month_after, projected
from sandbox.usage.records import to_usd


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """Money is USD, times are UTC microseconds, percentages go from 0 to 100 and beyond."""

    tenant: str | None
    """None: all tenants together."""
    limit_usd: Decimal
    used_usd: Decimal
    reserved_usd: Decimal
    """Held for requests under way."""
    remaining_usd: Decimal
    """What new requests may still spend."""
    percentage_used: float
    projected_monthly_cost: Decimal
    """What the month comes to at its pace so far."""
    alert_level: float | None
    """The highest threshold that was reached, as a share of the limit."""
    period_start_us: int
    resets_at_us: int

    @property
    def alert_triggered(self) -> bool:
        return self.alert_level is not None


def status_of(budget: Budget, balance: Balance, period: int, now_us: int) -> BudgetStatus:
    """How the budget stands in that month."""
    used, limit = to_usd(balance.used), budget.limit_usd
    reached = [share for share in budget.thresholds if used >= limit * share]
    return BudgetStatus(
        tenant=budget.tenant,
        limit_usd=limit,
        used_usd=used,
        reserved_usd=to_usd(balance.reserved),
        remaining_usd=max(Decimal(0), limit - used - to_usd(balance.reserved)),
        percentage_used=float(used * 100 / limit) if limit else 100.0,
        projected_monthly_cost=to_usd(projected(balance.used, period, now_us)),
        alert_level=float(reached[-1]) if reached else None,
        period_start_us=period,
        resets_at_us=month_after(period),
    )
