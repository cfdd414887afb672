"""Budgets by month, over all tenants and for single ones: what a request may spend, and who is told when it is much.

The ledgers count what passes here. What was spent before a budget existed, or by a program without it, they take from
the usage records when a process first asks for a month.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final

from providers.clock import Clock
from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.core.bus import Bus
from sandbox.core.events import BudgetThresholdCrossed
from sandbox.core.figures import dollars
from sandbox.costs.base import ALL, Balance, Budget, BudgetStore, Debt, Grant, scope_of, tenant_of, whose
from sandbox.costs.limit import AlertCallback, Limit, alert
from sandbox.costs.periods import month_after, month_of
from sandbox.costs.rates import spent_usd
from sandbox.costs.reservation import Reservation, pico
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.costs.status import BudgetStatus, status_of
from sandbox.usage.base import UsageFilter, UsageStore, UsageUnavailable
from sandbox.usage.records import to_usd

logger = logging.getLogger(__name__)

GRACE_US: Final = 2_000_000
"""A hold outlives the request's deadline by this, so that its own settling always finds it."""
FIRST_S: Final = 1.0
"""Longest that a request waits for what the usage records know, which may take a report of AWS; then the ledgers alone
count until it is known."""
AGAIN_S: Final = 0.05
"""The same after ledgers were lost: the new ones hold what this process knew of the old."""


class Budgets:
    """The budgets of one mode, over one store of ledgers. Belongs to one event loop."""

    def __init__(
        self,
        store: BudgetStore,
        *,
        mode: str,
        clock: Clock,
        bus: Bus | None = None,
        usage: UsageStore | None = None,
        budgets: Iterable[Budget] = (),
        told: Callable[[str], None] | None = None,
    ) -> None:
        """`told` hears of each threshold in a sentence."""
        self.mode = mode
        self._store = store
        self._clock = clock
        self._bus = bus or Bus()
        self._usage = usage
        self._told = told
        self._limits: dict[str, Limit] = {}
        self._callbacks: list[AlertCallback] = []
        self._reached: dict[str, tuple[int, int, int]] = {}
        """Of each scope its month, its limit, and how many of its thresholds somebody was told of."""
        self._month = (0, 0)
        self._unread = False
        """The usage records could not be read when they were last needed."""
        self._generation = store.generation
        self._begun: set[tuple[int, str]] = set()
        self._known: set[tuple[int, str]] = set()
        """What was begun once, whatever has become of the ledgers."""
        self._beginning: dict[tuple[int, str], tuple[asyncio.Task[None], float]] = {}
        """Who begins, and until when a request waits for it, in monotonic seconds."""
        for budget in budgets:
            self.set(budget)

    # --- which there are ------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether there is any budget: without one a request passes at no cost."""
        return bool(self._limits)

    @property
    def blind(self) -> bool:
        """Whether neither ledgers nor usage records can be read: how the budgets stand is then not known at all."""
        return self._unread and isinstance(self._store, ShelteredBudgetStore) and self._store.in_trouble

    def __iter__(self) -> Iterator[Budget]:
        return iter([limit.budget for limit in self._limits.values()])

    def set(self, budget: Budget) -> None:
        """From now on; in place of the tenant's budget before."""
        self._limits[budget.scope] = Limit(budget)

    def remove(self, tenant: str | None = None) -> None:
        """Raises InputError where the tenant has none."""
        self._of(tenant)
        del self._limits[scope_of(tenant)]

    def register_alert_callback(self, callback: AlertCallback) -> None:
        """Call when a threshold is crossed; what it raises is logged and disturbs nobody."""
        self._callbacks.append(callback)

    def _of(self, tenant: str | None) -> Limit:
        limit = self._limits.get(scope_of(tenant))
        if limit is None:
            names = [whose(one.tenant) for one in self]
            hint = did_you_mean(whose(tenant), names)
            raise InputError(f"no budget is set for {whose(tenant)}: {hint}there are {', '.join(names) or 'none'}")
        return limit

    # --- how they stand -------------------------------------------------------------------------------------------

    async def check_budget(self, tenant: str | None = None) -> BudgetStatus:
        """How a tenant's budget stands, or that over all tenants. Raises InputError where there is none."""
        limit = self._of(tenant)
        return (await self._statuses([limit]))[0]

    async def statuses(self) -> list[BudgetStatus]:
        """How all of them stand, the one over all tenants first."""
        return await self._statuses(sorted(self._limits.values(), key=lambda one: one.budget.scope != ALL))

    async def _statuses(self, limits: Sequence[Limit]) -> list[BudgetStatus]:
        now_us = self._clock.time_us()
        period = self._month_of(now_us)
        scopes = [limit.budget.scope for limit in limits]
        await self._begin(period, scopes)
        balances = await self._store.balances(period, scopes) if scopes else {}
        return [status_of(one.budget, balances[one.budget.scope], period, now_us) for one in limits]

    # --- a request ------------------------------------------------------------------------------------------------

    async def reserve(
        self, request_id: str, tenant: str, amounts: Iterable[Decimal], *, at_us: int, seconds: float
    ) -> Reservation | None:
        """Hold the largest of the amounts (USD) for which there is room; None where no budget is the tenant's.

        Without amounts nothing is held, but what is spent counts. `at_us` is when the request came, by which it
        belongs to a month; it holds on for `seconds` at most.
        """
        limits = {scope: self._limits[scope].pico for scope in (ALL, scope_of(tenant)) if scope in self._limits}
        if not limits:
            return None
        period = self._month_of(at_us)
        await self._begin(period, limits, hasty=True)
        wanted = sorted({pico(amount) for amount in amounts}, reverse=True)
        if wanted:
            expires_us = self._clock.time_us() + round(seconds * 1e6) + GRACE_US
            grant = await self._store.reserve(period, limits, wanted, expires_us=expires_us)
        else:
            grant = Grant(None, 0, {})
        reservation = Reservation(
            grant,
            self._store,
            period=period,
            limits=limits,
            asked=wanted[-1] if wanted else 0,
            simulated=self.mode != "live",
            settled=lambda balances: self._look(request_id, period, balances),
        )
        if wanted and grant.hold is None:
            self._look(request_id, period, grant.balances, refused=max(1, wanted[-1]))
        return reservation

    async def correct(self, used: Decimal) -> None:
        """Let this month's ledger over all tenants say that this many USD were used.

        For what requests do not tell the whole of: a machine that costs something while nobody asks it.
        """
        if ALL not in self._limits:
            return
        period = self._month_of(self._clock.time_us())
        await self._begin(period, (ALL,))
        booked = (await self._store.balances(period, (ALL,)))[ALL].used
        if difference := pico(used) - booked:
            self._look("", period, self._store.settle(Debt(None, period, (ALL,), difference)))

    async def carry_over(self, usage: UsageStore) -> None:
        """Let this month's ledgers, of all tenants and of each, hold what these usage records know.

        For records that others take the place of: the ledgers stay, and a budget that is set later asks only the new
        records. Raises UsageUnavailable where they cannot be read.
        """
        period = self._month_of(self._clock.time_us())
        where = UsageFilter(mode=self.mode, since_us=period, until_us=month_after(period))
        spent = {scope_of(tenant): spent_usd(sums) for tenant, sums in await usage.breakdown(where, "tenant")}
        spent[ALL] = sum(spent.values(), Decimal(0))
        used = {scope: pico(amount) for scope, amount in spent.items() if amount}
        if used:
            await self._store.begin(period, used)

    def _month_of(self, time_us: int) -> int:
        start, end = self._month
        if not start <= time_us < end:
            start = month_of(time_us)
            self._month = (start, month_after(start))
        return start

    # --- what was spent before ------------------------------------------------------------------------------------

    async def _begin(self, period: int, scopes: Iterable[str], *, hasty: bool = False) -> None:
        """See to it that the ledgers know what the usage records know; once for each month and scope.

        `hasty`: for a request, which goes on without where that takes too long.
        """
        if self._usage is None:
            return
        if self._generation != self._store.generation:
            self._begun.clear()
        for scope in scopes:
            key = (period, scope)
            if key in self._begun:
                continue
            if key not in self._beginning:
                # A task of its own: many requests wait for it, and any of them may be cancelled.
                task = asyncio.create_task(self._learn(self._usage, period, scope))
                until = self._clock.monotonic() + (AGAIN_S if key in self._known else FIRST_S)
                self._beginning[key] = (task, until)
                task.add_done_callback(lambda _, key=key: self._beginning.pop(key, None))  # type: ignore[misc]
            task, until = self._beginning[key]
            with suppress(TimeoutError):
                async with self._clock.timeout(until - self._clock.monotonic() if hasty else None):
                    await asyncio.shield(task)

    async def _learn(self, usage: UsageStore, period: int, scope: str) -> None:
        where = UsageFilter(mode=self.mode, since_us=period, until_us=month_after(period), tenant_id=tenant_of(scope))
        try:
            used = pico(spent_usd(await usage.totals(where)))
            self._unread = False
        except UsageUnavailable as error:
            logger.warning("what was spent this month is known from the budget ledger alone: %s", error)
            used, self._unread = 0, True
        await self._store.begin(period, {scope: used})
        self._generation = self._store.generation
        self._begun.add((period, scope))
        self._known.add((period, scope))

    # --- thresholds -----------------------------------------------------------------------------------------------

    def _look(self, request_id: str, period: int, balances: Mapping[str, Balance], *, refused: int = 0) -> None:
        """Tell of thresholds that were crossed. `refused`: picodollars that a request asked for in vain.

        A limit is seldom met to the last digit: it counts as reached too when nine tenths are spent, every other
        threshold is behind, and what is left does not pay for a request.
        """
        for scope, balance in balances.items():
            limit = self._limits.get(scope)
            if limit is None:
                continue
            reached = limit.reached(balance.used)
            reached += limit.is_spent(balance.used, refused) and reached == len(limit.marks) - 1
            known = self._reached.get(scope)
            before = known[2] if known is not None and known[:2] == (period, limit.pico) else 0
            if reached <= before:
                continue
            self._reached[scope] = (period, limit.pico, reached)
            for share in limit.budget.thresholds[before:reached]:
                # Another limit is another matter: its thresholds are still to come.
                if self._store.claim(period, scope, f"{limit.pico}:{share.normalize()}"):
                    self._tell(request_id, limit.budget, share, to_usd(balance.used))

    def _tell(self, request_id: str, budget: Budget, share: Decimal, used: Decimal) -> None:
        if self._told is not None:
            spent, limit = dollars(used, simulated=self.mode != "live"), dollars(budget.limit_usd)
            self._told(
                f"the budget of {whose(budget.tenant)} has reached {float(share) * 100:g} %: {spent} of {limit} are "
                f"spent this month{'; only free and cached answers go on' if share == 1 else ''}"
            )
        if self._bus.active:
            self._bus.publish(
                BudgetThresholdCrossed(
                    self._clock.time_us(),
                    request_id,
                    whose(budget.tenant),
                    float(share),
                    used,
                    budget.limit_usd,
                )
            )
        alert(self._callbacks, budget, share, used)

    async def close(self) -> None:
        """Safe to call twice."""
        beginning = [task for task, _ in self._beginning.values()]
        for task in beginning:
            task.cancel()
        await asyncio.gather(*beginning, return_exceptions=True)
        await self._store.close()
