"""The cost tracker of a gateway: the same questions, answered from its usage records and its budgets.

The gateway itself books every request, so nothing is to be told here. The calls are coroutines, for the records may be
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path

from providers.clock import Clock
from providers.errors import InputError
from providers.types import money
from sandbox.costs.base import THRESHOLDS, Budget
from sandbox.costs.budgets import Budgets
from sandbox.costs.export import Form, export
from sandbox.costs.limit import AlertCallback
from sandbox.costs.reports import CostReports, Granularity
from sandbox.costs.spans import Moment, Span, span
from sandbox.costs.status import BudgetStatus
from sandbox.costs.summary import CostSummary, pairs, summary_of
from sandbox.usage.base import UsageFilter, UsageStore

Progress = Callable[[int], None]
"""Called with how many records were written so far."""
_STEP = 1000


class GatewayCosts:
    """Of one mode. Reports raise UsageUnavailable where the records cannot be read."""

    def __init__(self, usage: UsageStore, budgets: Budgets, *, clock: Clock) -> None:
        self.reports = CostReports(usage, clock=clock)
        self._budgets = budgets
        self.mode = budgets.mode

    def set_budget(
        self,
        tenant_id: str | None,
        monthly_limit_usd: Decimal | float,
        alert_thresholds: Iterable[Decimal | float] = THRESHOLDS,
    ) -> None:
        """What a tenant (None: all together) may spend in a month, USD; the gateway asks nobody who costs beyond it.

        Raises InputError for what is no budget.
        """
        try:
            limit = money(monthly_limit_usd)
            shares = tuple(Decimal(str(share)) for share in alert_thresholds)
        except (ArithmeticError, ValueError):
            limit = None
        if limit is None:
            raise InputError(
                f"the budget is {monthly_limit_usd!r} with thresholds at {alert_thresholds!r}: not numbers"
            )
        self._budgets.set(Budget(tenant_id, limit, shares))

    def register_alert_callback(self, callback: AlertCallback) -> None:
        """Call it with tenant, threshold and USD spent when a threshold is reached, once a month for each."""
        self._budgets.register_alert_callback(callback)

    async def check_budget(self, tenant_id: str | None = None) -> BudgetStatus:
        """How a tenant's budget stands, or that of all together. Raises InputError where there is none."""
        return await self._budgets.check_budget(tenant_id)

    async def get_summary(
        self, start_date: Moment = None, end_date: Moment = None, tenant_id: str | None = None
    ) -> CostSummary:
        """What some time came to. Naive times are UTC, an end at midnight includes that day. Raises InputError."""
        limits = span(start_date, end_date)
        where = self._where(limits, tenant_id)
        return summary_of(*await self.reports.summary(where), limits)

    async def get_time_series(
        self,
        start_date: Moment = None,
        end_date: Moment = None,
        granularity: Granularity = "daily",
        tenant_id: str | None = None,
    ) -> list[tuple[datetime, Decimal]]:
        """The beginning of every period (aware, UTC) and the USD spent in it, 0 where nothing was. Raises InputError.

        Without a start from the first request on, without an end up to now.
        """
        return pairs(await self.reports.series(self._where(span(start_date, end_date), tenant_id), granularity))

    async def export_csv(
        self,
        path: str | PathLike[str],
        start_date: Moment = None,
        end_date: Moment = None,
        tenant_id: str | None = None,
        *,
        include_summary: bool = False,
    ) -> None:
        """One line for each request; the summary goes into a file of its own beside it. An older file is replaced.

        Raises InputError for a path that cannot be written.
        """
        where = self._where(span(start_date, end_date), tenant_id)
        await write(self.reports, where, Path(path), "csv", include_summary=include_summary)

    async def export_json(
        self,
        path: str | PathLike[str],
        start_date: Moment = None,
        end_date: Moment = None,
        tenant_id: str | None = None,
        *,
        include_summary: bool = False,
    ) -> None:
        """One document with an item for each request. An older file is replaced.

        Raises InputError for a path that cannot be written.
        """
        where = self._where(span(start_date, end_date), tenant_id)
        await write(self.reports, where, Path(path), "json", include_summary=include_summary)

    def _where(self, limits: Span, tenant: str | None) -> UsageFilter:
        return UsageFilter(self.mode, limits.since_us, limits.until_us, tenant_id=tenant)


async def write(
    reports: CostReports,
    where: UsageFilter,
    path: Path,
    form: Form,
    *,
    include_summary: bool = False,
    overwrite: bool = True,
    option: str = "path",
    otherwise: str = "",
    progress: Progress | None = None,
) -> int:
    """Write the records that `where` names to a file, in constant memory. Returns how many they were.

    Raises InputError naming the option for a path that cannot be written, UsageUnavailable, OSError.
    """
    totals, parts = await reports.summary(where) if include_summary else (None, None)
    limits = Span(where.since_us, where.until_us)
    with export(
        path,
        form,
        mode=where.mode,
        span=limits,
        totals=totals,
        parts=parts,
        overwrite=overwrite,
        option=option,
        otherwise=otherwise,
    ) as file:
        async for record in reports.usage.scan(where):
            file.add(record)
            if progress is not None and file.written % _STEP == 0:
                progress(file.written)
        return file.written
