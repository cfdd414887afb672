"""What a machine of one's own cost, shared out among those who kept it busy.

Each answer of a self-hosted model is priced by the machine's time that it took. The machine itself is paid for every
hour that it runs: idle hours cost too, and requests that it served side by side were not each paid for. So the bill,
uptime × hourly rate, is shared out in proportion to those prices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from providers.errors import InputError
from providers.pricing import Catalogue
from providers.pricing.row import self_hosted_cost
from sandbox.costs.rates import spent_usd
from sandbox.costs.reports import CostReports
from sandbox.usage.base import Dimension, UsageFilter
from sandbox.usage.records import PICO, to_usd


@dataclass(frozen=True, slots=True)
class MachineBill:
    """Money is USD."""

    provider: str
    uptime_hours: float
    hourly_usd: Decimal
    bill_usd: Decimal
    booked_usd: Decimal
    """What its answers were priced at, by the machine's time."""
    shares: list[tuple[str, Decimal]]
    """Of the bill, to its last digit; the largest first. Nobody's, where nobody used the machine."""

    @property
    def idle_usd(self) -> Decimal:
        """What of the bill no answer was priced with; 0 where requests ran side by side all the time."""
        return max(Decimal(0), self.bill_usd - self.booked_usd)

    @property
    def crowded_usd(self) -> Decimal:
        """What answers were priced at beyond the bill, each with the whole machine's time while they ran side by side;
        0 where that is not sure."""
        return max(Decimal(0), self.booked_usd - self.bill_usd)


async def machine_bill(
    reports: CostReports,
    where: UsageFilter,
    prices: Catalogue,
    *,
    provider: str = "vllm",
    kind: str | None = None,
    uptime_hours: float,
    by: Dimension = "tenant",
) -> MachineBill:
    """The bill of a self-hosted provider and each tenant's (agent's, model's, …) share of it.

    Raises InputError for a provider that is not paid by the hour, and for uptimes that cannot be.
    """
    row = prices.find(kind or provider, "any")
    if row is None or row.hourly_usd is None:
        raise InputError(f"the provider {provider} is not paid by the hour in the catalogue {prices.version}")
    bill = self_hosted_cost(uptime_hours * 3600, row.hourly_usd)
    parts = [(key, spent_usd(sums)) for key, sums in await reports.breakdown(replace(where, provider=provider), by)]
    booked = sum((amount for _, amount in parts), Decimal(0))
    return MachineBill(provider, uptime_hours, row.hourly_usd, bill, booked, shared_out(bill, parts))


def shared_out(bill: Decimal, parts: Sequence[tuple[str, Decimal]]) -> list[tuple[str, Decimal]]:
    """The bill in proportion to the parts, in whole picodollars that add up to it; the largest first."""
    weights = [(key, int(weight * PICO)) for key, weight in parts if weight > 0]
    whole, total = int(bill * PICO), sum(weight for _, weight in weights)
    shares, before, passed = [], 0, 0
    for key, weight in sorted(weights, key=lambda part: (-part[1], part[0])):
        # By how far the whole has come, so that what is rounded off one share is in the next.
        passed += weight
        upto = whole * passed // total
        shares.append((key, to_usd(upto - before)))
        before = upto
    return shares
