"""What was spent, told from the usage records: sums, breakdowns that lead deeper, series without holes, the month.

Pure reading. Everything but single requests comes from roll-ups, so it costs the same over a thousand records and over
ten million.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, get_args

from providers.clock import Clock
from providers.errors import InputError
from providers.hints import did_you_mean
from sandbox.costs.periods import month_after, month_of, projected
from sandbox.costs.rates import spent_usd
from sandbox.usage import periods
from sandbox.usage.base import Dimension, Summary, UsageFilter, UsageRecord, UsageStore, UsageTotals
from sandbox.usage.records import PICO, to_usd

Granularity = Literal["hourly", "daily", "monthly"]
_STEPS: Final[dict[str, Literal["hour", "day", "month"]]] = {"hourly": "hour", "daily": "day", "monthly": "month"}

MAX_BUCKETS: Final = 100_000
"""Of a series: hours of eleven years. More are asked for by mistake."""
DRILL: Final[tuple[Dimension, ...]] = ("tenant", "agent", "model")
"""From the whole to single requests, one dimension after the other."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One period of a series."""

    start_us: int
    name: str
    """As in `sandbox.usage.periods`: 2025-01-31T13:00Z, 2025-01-31 or 2025-01."""
    totals: UsageTotals


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a month stands. Money is USD, for answers and for waste."""

    period_start_us: int
    period_end_us: int
    spent_usd: Decimal
    projected_usd: Decimal
    """What the month comes to at its pace so far."""
    before_usd: Decimal
    """What the month before came to."""
    unpriced: int
    """Requests of this month that neither figure holds."""


class CostReports:
    """The reports of one usage store. Each may raise UsageUnavailable."""

    def __init__(self, usage: UsageStore, *, clock: Clock) -> None:
        self.usage = usage
        self._clock = clock

    async def totals(self, where: UsageFilter) -> UsageTotals:
        """The sums over all that `where` names."""
        return await self.usage.totals(where)

    async def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        """Sums for each value of a dimension, dearest first; times in order, and only those with requests."""
        return await self.usage.breakdown(where, by)

    async def summary(self, where: UsageFilter) -> Summary:
        """The sums, and those of each provider, model, tenant and agent, which agree."""
        return await self.usage.summary(where)

    async def requests(self, where: UsageFilter, limit: int = 50) -> Sequence[UsageRecord]:
        """Single requests, the newest first: where drilling down ends."""
        return await self.usage.recent(where, limit)

    async def series(self, where: UsageFilter, granularity: Granularity) -> list[Bucket]:
        """Sums of every hour, day or month (UTC) in the range, those without requests too.

        Without a beginning it starts at the first request; without an end it goes up to now, or to the last request
        where a clock ran ahead. Raises InputError for another granularity and for more than MAX_BUCKETS.
        """
        step = step_of(granularity)
        have = dict(await self.usage.breakdown(where, step))
        if not have and (where.since_us is None or where.until_us is None):
            return []
        return list(filled(where, step, have, self._clock.time_us()))

    async def outlook(self, where: UsageFilter) -> Outlook:
        """How this month stands for what `where` names, whatever its times are."""
        now_us = self._clock.time_us()
        start = month_of(now_us)
        end, before = month_after(start), month_of(start - 1)
        so_far = await self.usage.totals(replace(where, since_us=start, until_us=end))
        earlier = await self.usage.totals(replace(where, since_us=before, until_us=start))
        used = spent_usd(so_far)
        month = to_usd(projected(int(used * PICO), start, now_us))
        return Outlook(start, end, used, month, spent_usd(earlier), so_far.unpriced)


def filled(
    where: UsageFilter, step: Literal["hour", "day", "month"], have: dict[str, UsageTotals], now_us: int
) -> Iterator[Bucket]:
    """Every period of a range with its sums, or with none. Raises InputError for more than MAX_BUCKETS."""
    # Names sort as the times do, so that only the two at the ends have to be read.
    since = _start_of(min(have)) if where.since_us is None else max(where.since_us, periods.BEGINNING_US)
    until = max(now_us, _start_of(max(have)) if have else 0) + 1 if where.until_us is None else where.until_us
    start, until = periods.floor(since, step), min(until, periods.END_US)
    if since >= until:
        return
    for number in range(MAX_BUCKETS + 1):
        if start >= until:
            return
        if number == MAX_BUCKETS:
            raise InputError(f"that are more than {MAX_BUCKETS:,} periods; use a longer one, or a shorter time")
        name = periods.name(start, step)
        yield Bucket(start, name, have.get(name) or UsageTotals())
        start = periods.following(start, step)


def deeper(where: UsageFilter) -> Dimension | None:
    """What to break down by next, from tenant over agent to model; None: single requests are next."""
    fixed = {"tenant": where.tenant_id, "agent": where.agent_id, "model": where.model}
    return next((by for by in DRILL if fixed[by] is None), None)


def inside(where: UsageFilter, by: Dimension, key: str) -> UsageFilter:
    """The filter for one row of a breakdown."""
    if by == "tenant":
        return replace(where, tenant_id=key)
    if by == "agent":
        return replace(where, agent_id=key)
    if by == "provider":
        return replace(where, provider=key)
    if by == "model":
        return replace(where, model=key)
    start = _start_of(key)
    end = periods.following(start, by)
    since, until = where.since_us, where.until_us
    return replace(
        where,
        since_us=start if since is None else max(start, since),
        until_us=end if until is None else min(end, until),
    )


def step_of(granularity: str) -> Literal["hour", "day", "month"]:
    """The period of a granularity. Raises InputError for another one."""
    step = _STEPS.get(granularity)
    if step is None:
        known = get_args(Granularity)
        hint = did_you_mean(str(granularity), known)
        raise InputError(f"the granularity is {granularity!r}; {hint}it is one of {', '.join(known)}")
    return step


def _start_of(name: str) -> int:
    return round(periods.named(name).timestamp()) * 1_000_000
