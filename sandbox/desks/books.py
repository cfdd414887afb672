"""What the Costs room has the engine do, on the engine's thread, and what it is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from sandbox.costs.advice import Recommendation, recommendations
from sandbox.costs.export import Form, summary_file
from sandbox.costs.periods import month_of
from sandbox.costs.reports import Bucket, CostReports, Granularity, Outlook, deeper, inside
from sandbox.costs.spans import look_back
from sandbox.costs.status import BudgetStatus
from sandbox.costs.whatif import Repriced, targets_of, what_if
from sandbox.desks.base import RoomReport, Tell
from sandbox.usage import periods
from sandbox.usage.base import Dimension, UsageFilter, UsageRecord, UsageTotals, UsageUnavailable

if TYPE_CHECKING:
    from sandbox.runtime import Runtime
    from sandbox.settings import Settings

SPANS: Final = {
    "24h": "the last 24 hours",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "month": "this month",
    "all": "all times",
}
"""How far one can look back, the shortest first, and how that is told."""
REQUEST: Final = "request"
By = Dimension | Literal["request"]
MOST_REQUESTS: Final = 500
"""Single requests that are listed, the newest first."""
_HOURLY_US: Final = 2 * periods.DAY_US
"""Up to that time a series goes by hours."""
_FEW_MONTHS: Final = 3

Step = tuple[Dimension, str]
"""One row that was entered: its dimension and its value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked at."""

    span: str = "24h"
    path: tuple[Step, ...] = ()
    """The rows that were entered, one inside the other."""
    by: str = ""
    """What the rows are; empty: what comes next on the way to single requests."""

    def where(self, mode: str, now_us: int) -> UsageFilter:
        """The records that count. Like `sandbox costs --since` for the spans that both know."""
        since = None
        if self.span == "month":
            since = month_of(now_us)
        elif self.span != "all":
            since = look_back(self.span, now_us).since_us
        found = UsageFilter(mode, since_us=since)
        for by, key in self.path:
            found = inside(found, by, key)
        return found


@dataclass(frozen=True, slots=True)
class Gauge:
    """A budget and how it stands."""

    status: BudgetStatus
    thresholds: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Seen(RoomReport):
    """Everything that is shown at once, of one moment."""

    asked: Asked
    mode: str
    at_us: int
    by: By
    totals: UsageTotals
    granularity: Granularity
    buckets: tuple[Bucket, ...]
    rows: tuple[tuple[str, UsageTotals], ...]
    records: tuple[UsageRecord, ...]
    """In place of rows, where they are single requests."""
    outlook: Outlook
    """Of this month, for what is looked at."""
    budgets: tuple[Gauge, ...]
    problem: str | None
    """What is wrong with the records."""

    @property
    def simulated(self) -> bool:
        return self.mode != "live"


@dataclass(frozen=True, slots=True)
class Unreadable(RoomReport):
    """There are no records to be told from, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Advised(RoomReport):
    """What the same requests would have cost elsewhere, and what could be saved."""

    asked: Asked
    targets: tuple[str, ...]
    repriced: tuple[Repriced, ...]
    recommendations: tuple[Recommendation, ...]
    problem: str = ""
    """A target that no catalogue knows."""


@dataclass(frozen=True, slots=True)
class Priced(RoomReport):
    """Every model that traffic can be repriced with: its name for that, its provider, USD per million in and out."""

    models: tuple[tuple[str, str, Decimal | None, Decimal | None], ...]


@dataclass(frozen=True, slots=True)
class Exporting(RoomReport):
    """So many of about so many requests are in the file."""

    written: int
    whole: int


@dataclass(frozen=True, slots=True)
class Exported(RoomReport):
    """The files, and how many requests are in them."""

    paths: tuple[Path, ...]
    records: int


@dataclass(frozen=True, slots=True)
class Budgeted(RoomReport):
    """A budget is another now. `settings` say so too; `file` was changed, if any."""

    tenant: str | None
    limit_usd: Decimal | None
    settings: Settings
    file: Path | None


def _reports(runtime: Runtime) -> CostReports | None:
    usage = runtime.usage
    return None if usage is None else CostReports(usage, clock=runtime.clock)


OFF = "usage records are off, or their store could not be opened: nothing is known of what was spent"


async def look(asked: Asked, runtime: Runtime, tell: Tell) -> None:
    """Everything about what is asked."""
    reports = _reports(runtime)
    if reports is None:
        tell(Unreadable("; ".join(runtime.notes) or OFF))
        return
    now_us, mode = runtime.clock.time_us(), runtime.gateway.mode
    where = asked.where(mode, now_us)
    by: By = asked.by or deeper(where) or REQUEST  # type: ignore[assignment]
    try:
        totals = await reports.totals(where)
        granularity, buckets = await _series(reports, where, now_us)
        rows: Sequence[tuple[str, UsageTotals]] = ()
        records: Sequence[UsageRecord] = ()
        if by == REQUEST:
            records = await reports.requests(where, MOST_REQUESTS)
        else:
            rows = await reports.breakdown(where, by)
        outlook = await reports.outlook(where)
    except UsageUnavailable as error:
        tell(Unreadable(str(error)))
        return
    tell(
        Seen(
            asked,
            mode,
            now_us,
            by,
            totals,
            granularity,
            tuple(buckets),
            tuple(rows),
            tuple(records),
            outlook,
            await _gauges(runtime),
            reports.usage.problem,
        )
    )


async def _gauges(runtime: Runtime) -> tuple[Gauge, ...]:
    thresholds = {budget.tenant: budget.thresholds for budget in runtime.budgets}
    return tuple(Gauge(one, thresholds[one.tenant]) for one in await runtime.budgets.statuses())


async def _series(reports: CostReports, where: UsageFilter, now_us: int) -> tuple[Granularity, list[Bucket]]:
    """By hours, days or months, so that there are enough of them and not too many."""
    if where.since_us is None:
        months = await reports.series(where, "monthly")
        if len(months) > _FEW_MONTHS:
            return "monthly", months
        return "daily", await reports.series(where, "daily")
    until = now_us if where.until_us is None else where.until_us
    granularity: Granularity = "hourly" if until - where.since_us <= _HOURLY_US else "daily"
    return granularity, await reports.series(where, granularity)


async def advise(asked: Asked, targets: Sequence[str], runtime: Runtime, tell: Tell) -> None:
    """Reprice what is asked for on the targets (`provider/model`), and see what could be saved."""
    from providers.errors import InputError
    from sandbox.settings.prices import kinds_of

    reports = _reports(runtime)
    if reports is None:
        return
    now_us, prices, kinds = runtime.clock.time_us(), runtime.prices, kinds_of(runtime.settings)
    where = asked.where(runtime.gateway.mode, now_us)
    found, problem = [], ""
    for name in targets:
        try:
            found += targets_of([name], prices)
        except InputError as error:
            problem = str(error)
    try:
        repriced = await what_if(reports, where, found, prices, kinds=kinds) if found else []
        advice = await recommendations(
            reports,
            where,
            prices,
            tiers=runtime.gateway.policy.equivalents,
            kinds=kinds,
            served=runtime.gateway.registry.serving,
            budgets=await runtime.budgets.statuses(),
            now_us=now_us,
        )
    except UsageUnavailable:
        return  # `look` says it
    tell(Advised(asked, tuple(targets), tuple(repriced), tuple(advice), problem))


async def models(runtime: Runtime, tell: Tell) -> None:
    """All models with a price by tokens."""
    prices = runtime.prices
    rows = [(kind, model, prices.find(kind, model)) for kind in prices.providers() for model in prices.models_of(kind)]
    tell(Priced(tuple((model, kind, row.input, row.output) for kind, model, row in rows if row is not None)))


async def export(asked: Asked, form: Form, folder: Path, runtime: Runtime, tell: Tell) -> None:
    """Every request of what is asked into a file of a new name, its sums too. What is not whole is not left behind."""
    from providers.errors import InputError

    reports = _reports(runtime)
    if reports is None:
        raise InputError(OFF)
    await write_out(reports, asked.where(runtime.gateway.mode, runtime.clock.time_us()), form, folder, tell)


async def write_out(reports: CostReports, where: UsageFilter, form: Form, folder: Path, tell: Tell) -> None:
    """Every request that `where` names into a file of a new name in that folder. Raises InputError."""
    import asyncio

    from providers.errors import InputError
    from sandbox.costs.bound import write

    try:
        whole = (await reports.totals(where)).requests
        tell(Exporting(0, whole))
        path = await asyncio.to_thread(_new_file, folder, form)
        written = await write(
            reports,
            where,
            path,
            form,
            include_summary=True,
            overwrite=False,
            option="the file",
            progress=lambda count: tell(Exporting(count, whole)),
        )
    except UsageUnavailable as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {(error.strerror or str(error)).lower()}") from None
    tell(Exported((path, summary_file(path)) if form == "csv" else (path,), written))


def _new_file(folder: Path, form: Form) -> Path:
    from sandbox.core.whole_file import free_stem

    folder.mkdir(parents=True, exist_ok=True)
    return free_stem(folder, "costs", (".csv", ".json", ".summary.csv")).with_suffix(f".{form}")


async def set_budget(
    tenant: str | None, limit_usd: Decimal | None, file: Path | None, runtime: Runtime, tell: Tell
) -> None:
    """From now on here, and in the settings file for whatever starts later. Raises InputError, with nothing changed."""
    import asyncio

    from sandbox.costs.setting import write_budget

    if file is not None:
        await asyncio.to_thread(write_budget, file, tenant, limit_usd)
    runtime.set_budget(tenant, limit_usd)
    tell(Budgeted(tenant, limit_usd, runtime.settings, file))
