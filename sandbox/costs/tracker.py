"""A ledger of one's own: it knows what it is told by `track_usage`, warns at thresholds, and never blocks.

Beside a gateway, which keeps books itself, it counts nothing twice: neither knows of the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Final

from providers.clock import SYSTEM_CLOCK, Clock, random_id
from providers.errors import InputError
from providers.hints import did_you_mean
from providers.types import TokenUsage
from sandbox.costs.base import Balance, Budget, whose
from sandbox.costs.export import Form, export
from sandbox.costs.limit import AlertCallback, Limit, alert
from sandbox.costs.periods import month_of, projected
from sandbox.costs.reports import Granularity, filled, step_of
from sandbox.costs.spans import Moment, Span, moment_us, span
from sandbox.costs.status import BudgetStatus, status_of
from sandbox.costs.summary import CostSummary, pairs, summary_of
from sandbox.usage import periods
from sandbox.usage.base import UsageFilter, UsageRecord
from sandbox.usage.book import UsageBook
from sandbox.usage.records import LARGEST_COUNT, log_id, to_pico, to_usd

THRESHOLDS: Final = (0.8, 0.9, 1.0)
_MODE: Final = "tracked"
"""Its records are of no gateway's mode."""


class CostTracker:
    """May be used from several threads. Everything is kept as long as the object; a month is one in UTC.

    With `auto_reset_budgets=False` a budget counts on over the months, until `reset_budget`.
    """

    def __init__(
        self,
        auto_reset_budgets: bool = True,
        *,
        clock: Clock = SYSTEM_CLOCK,
        ids: Callable[[], str] = random_id,
    ) -> None:
        self._auto_reset = auto_reset_budgets
        self._clock = clock
        self._ids = ids
        self._book = UsageBook(clock)
        self._lock = threading.RLock()
        self._limits: dict[str | None, Limit] = {}
        self._callbacks: list[AlertCallback] = []
        self._spent: dict[tuple[str | None, int], int] = {}
        """Picodollars of a tenant (None: all together) in a month."""
        self._since_reset: dict[str | None, int] = {}
        """The same since the budget was last reset by hand."""
        self._reset_us: dict[str | None, int] = {}
        self._told: dict[tuple[str | None, int], int] = {}
        """How many thresholds of a budget somebody was told of in a month (0: since it was reset by hand)."""

    # --- budgets --------------------------------------------------------------------------------------------------

    def set_budget(
        self,
        tenant_id: str | None,
        monthly_limit_usd: Decimal | float,
        alert_thresholds: Iterable[Decimal | float] = THRESHOLDS,
    ) -> None:
        """What a tenant (None: all together) means to spend in a month, USD, and at which shares of it to be told.

        In place of its budget before. Raises InputError for what is no budget.
        """
        limit = _amount("monthly_limit_usd", monthly_limit_usd)
        shares = tuple(_amount("alert_thresholds", share) for share in alert_thresholds)
        with self._lock:
            self._limits[tenant_id] = Limit(Budget(tenant_id, limit, shares))
            self._forget_told(tenant_id)
            self._reset_us.setdefault(tenant_id, self._clock.time_us())

    def reset_budget(self, tenant_id: str | None = None) -> None:
        """Begin a budget anew now, where months do not do it. Raises InputError where it has none or they do."""
        with self._lock:
            self._limit_of(tenant_id)
            if self._auto_reset:
                raise InputError("budgets begin anew with each month here; auto_reset_budgets=False leaves that to you")
            self._since_reset.pop(tenant_id, None)
            self._reset_us[tenant_id] = self._clock.time_us()
            self._forget_told(tenant_id)

    def register_alert_callback(self, callback: AlertCallback) -> None:
        """Call it with tenant, threshold and USD spent when a threshold is reached, once a period for each.

        What it raises is logged and disturbs nobody.
        """
        with self._lock:
            self._callbacks.append(callback)

    def check_budget(self, tenant_id: str | None = None) -> BudgetStatus:
        """How a tenant's budget stands, or that of all together. Raises InputError where there is none."""
        with self._lock:
            limit = self._limit_of(tenant_id)
            now_us = self._clock.time_us()
            month = month_of(now_us)
            used = self._used(tenant_id, month)
            status = status_of(limit.budget, Balance(used, 0), month, now_us)
            if self._auto_reset:
                return status
            pace = projected(self._spent.get((tenant_id, month), 0), month, now_us)
            return replace(
                status,
                projected_monthly_cost=to_usd(pace),
                period_start_us=self._reset_us[tenant_id],
                resets_at_us=periods.END_US,
            )

    # --- usage ----------------------------------------------------------------------------------------------------

    def track_usage(
        self,
        provider: str,
        tenant_id: str,
        agent_id: str,
        model_id: str,
        usage: TokenUsage,
        *,
        timestamp: datetime | None = None,
        latency_ms: float = 0.0,
    ) -> None:
        """Book one answer, by default as of now. Without a cost in `usage` it counts as unpriced, not as free.

        Raises InputError for counts and costs that cannot be, and books nothing then.
        """
        cost = _cost_of(usage)
        at_us = self._clock.time_us() if timestamp is None else moment_us(timestamp)
        if not periods.BEGINNING_US <= at_us < periods.END_US:
            raise InputError(f"timestamp is {timestamp}; it must be between the years 1970 and 9999")
        tenant, agent = _text(tenant_id), _text(agent_id)
        id = self._ids()
        record = UsageRecord(
            log_id=log_id(tenant, agent, at_us, id[-12:]),
            request_id=id,
            tenant_id=tenant,
            agent_id=agent,
            timestamp_us=at_us,
            mode=_MODE,
            model=_text(model_id),
            requested_model=None,
            provider=_text(provider),
            tokens_used=_count("total_tokens", usage.total_tokens),
            prompt_tokens=_count("input_tokens", usage.input_tokens),
            completion_tokens=_count("output_tokens", usage.output_tokens),
            cached_tokens=_count("cached_input_tokens", usage.cached_input_tokens),
            cache_write_tokens=_count("cache_write_tokens", usage.cache_write_tokens),
            reasoning_tokens=_count("reasoning_tokens", usage.reasoning_tokens),
            estimated_cost=cost,
            latency_ms=float(_amount("latency_ms", latency_ms)),
            attempts=1,
            estimated_tokens=usage.estimated,
            cache_write_1h_tokens=_count("cache_write_1h_tokens", usage.cache_write_1h_tokens),
            service_tier=None if usage.service_tier is None else _text(usage.service_tier),
            region=None if usage.region is None else _text(usage.region),
        )
        with self._lock:
            self._book.add(record)
            crossed = self._count(tenant, at_us, 0 if cost is None else to_pico(cost))
            callbacks = tuple(self._callbacks)
        for budget, share, used in crossed:
            alert(callbacks, budget, share, used)

    # --- reports --------------------------------------------------------------------------------------------------

    def get_summary(
        self, start_date: Moment = None, end_date: Moment = None, tenant_id: str | None = None
    ) -> CostSummary:
        """What some time came to. Naive times are UTC, an end at midnight includes that day. Raises InputError."""
        limits = span(start_date, end_date)
        where = _where(limits, tenant_id)
        return summary_of(*self._book.summary(where), limits)

    def get_time_series(
        self,
        start_date: Moment = None,
        end_date: Moment = None,
        granularity: Granularity = "daily",
        tenant_id: str | None = None,
    ) -> list[tuple[datetime, Decimal]]:
        """The beginning of every period (aware, UTC) and the USD spent in it, 0 where nothing was. Raises InputError.

        Without a start from the first usage on, without an end up to now.
        """
        limits, step = span(start_date, end_date), step_of(granularity)
        where = _where(limits, tenant_id)
        have = dict(self._book.breakdown(where, step))
        if not have and None in limits:
            return []
        return pairs(filled(where, step, have, self._clock.time_us()))

    def export_csv(
        self,
        path: str | PathLike[str],
        start_date: Moment = None,
        end_date: Moment = None,
        tenant_id: str | None = None,
        *,
        include_summary: bool = False,
    ) -> None:
        """One line for each usage; the summary goes into a file of its own beside it. An older file is replaced.

        Raises InputError for a path that cannot be written.
        """
        self._export("csv", path, start_date, end_date, tenant_id, include_summary)

    def export_json(
        self,
        path: str | PathLike[str],
        start_date: Moment = None,
        end_date: Moment = None,
        tenant_id: str | None = None,
        *,
        include_summary: bool = False,
    ) -> None:
        """One document with an item for each usage. An older file is replaced.

        Raises InputError for a path that cannot be written.
        """
        self._export("json", path, start_date, end_date, tenant_id, include_summary)

    def close(self) -> None:
        """Forget everything; safe to call twice, and done by itself when nobody has the tracker any more."""
        self._book.close()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _export(
        self,
        form: Form,
        path: str | PathLike[str],
        start: Moment,
        end: Moment,
        tenant_id: str | None,
        include_summary: bool,
    ) -> None:
        limits = span(start, end)
        where = _where(limits, tenant_id)
        totals, parts = self._book.summary(where) if include_summary else (None, None)
        with export(Path(path), form, mode=None, span=limits, totals=totals, parts=parts) as file:
            for record in self._book.scan(where):
                file.add(record)

    def _limit_of(self, tenant: str | None) -> Limit:
        limit = self._limits.get(tenant)
        if limit is None:
            names = [whose(one) for one in self._limits]
            hint = did_you_mean(whose(tenant), names)
            raise InputError(f"no budget is set for {whose(tenant)}: {hint}there are {', '.join(names) or 'none'}")
        return limit

    def _forget_told(self, tenant: str | None) -> None:
        self._told = {key: count for key, count in self._told.items() if key[0] != tenant}

    def _used(self, tenant: str | None, month: int) -> int:
        """What counts against a budget."""
        return self._spent.get((tenant, month), 0) if self._auto_reset else self._since_reset.get(tenant, 0)

    def _count(self, tenant: str, at_us: int, amount: int) -> list[tuple[Budget, Decimal, Decimal]]:
        """Add to what was spent; which thresholds that crosses, and the USD used then."""
        crossed = []
        month = month_of(at_us)
        for scope in (tenant, None):
            self._spent[scope, month] = self._spent.get((scope, month), 0) + amount
            self._since_reset[scope] = self._since_reset.get(scope, 0) + amount
            limit = self._limits.get(scope)
            if limit is None:
                continue
            used, period = self._used(scope, month), (scope, month if self._auto_reset else 0)
            before, reached = self._told.get(period, 0), limit.reached(used)
            if reached > before:
                self._told[period] = reached
                crossed += [(limit.budget, share, to_usd(used)) for share in limit.budget.thresholds[before:reached]]
        return crossed


def _where(limits: Span, tenant: str | None) -> UsageFilter:
    return UsageFilter(_MODE, limits.since_us, limits.until_us, tenant_id=tenant)


def _cost_of(usage: TokenUsage) -> Decimal | None:
    total = usage.total_cost_usd
    if total is None and usage.input_cost_usd is not None and usage.output_cost_usd is not None:
        total = _amount("input_cost_usd", usage.input_cost_usd) + _amount("output_cost_usd", usage.output_cost_usd)
    return None if total is None else _amount("total_cost_usd", total)


def _amount(name: str, value: Decimal | float) -> Decimal:
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value))
        ok = amount.is_finite() and amount >= 0
        if ok:
            to_pico(amount)
    except (ArithmeticError, ValueError):
        ok = False
    if not ok:
        raise InputError(f"{name} is {value!r}; it must be a number from 0 to 9 million")
    return amount


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST_COUNT:
        raise InputError(f"{name} is {value!r}; it must be a whole number from 0 to {LARGEST_COUNT:,}")
    return value


def _text(value: str) -> str:
    """Lone surrogates spelled out, for no database takes them."""
    return str(value).encode("utf-8", "backslashreplace").decode()
