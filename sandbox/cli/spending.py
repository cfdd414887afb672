"""How `costs` shows what was spent: a table, single requests, a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from providers.clock import iso
from sandbox.cli.output import Output, decimal
from sandbox.cli.progress import Progress
from sandbox.core.figures import dollars, duration_ms
from sandbox.costs import summary as summaries
from sandbox.costs.bound import write
from sandbox.costs.rates import average_latency_ms
from sandbox.costs.reports import DRILL, CostReports, Outlook, deeper
from sandbox.usage.base import UsageFilter, UsageTotals
from sandbox.usage.records import as_json as record_json

if TYPE_CHECKING:
    from sandbox.costs.reports import Granularity
    from sandbox.usage.base import Dimension, UsageRecord

_SERIES: dict[str, Granularity] = {"hour": "hourly", "day": "daily", "month": "monthly"}


@dataclass(frozen=True, slots=True)
class View:
    """What is looked at, and how it is to be shown."""

    output: Output
    where: UsageFilter
    span: str
    """The time in a sentence."""
    now_us: int
    json: bool

    @property
    def simulated(self) -> bool:
        return self.where.mode != "live"

    def head(self) -> dict[str, Any]:
        """What every JSON document of `costs` begins with."""
        where = self.where
        return {
            "mode": where.mode,
            "since": None if where.since_us is None else iso(where.since_us),
            "until": iso(self.now_us),
            "tenant": where.tenant_id,
            "agent": where.agent_id,
            "provider": where.provider,
            "model": where.model,
        }

    def what(self) -> str:
        """The same for a person."""
        where = self.where
        named = {"tenant": where.tenant_id, "agent": where.agent_id, "provider": where.provider, "model": where.model}
        return ", ".join([f"{where.mode} mode", self.span, *(f"{k} {v}" for k, v in named.items() if v is not None)])

    def nothing(self) -> None:
        """Say that there is nothing to say."""
        self.output.note(f"no requests in {self.what()}; `sandbox ask` makes one")


async def table(view: View, reports: CostReports, by: Dimension) -> None:
    """Sums for each value of a dimension; of times every period, those without requests too."""
    total = await reports.totals(view.where)
    series = _SERIES.get(by)
    if series is not None:
        parts = [(bucket.name, bucket.totals) for bucket in await reports.series(view.where, series)]
    else:
        parts = await reports.breakdown(view.where, by)
    outlook = await reports.outlook(view.where)
    output = view.output
    if view.json:
        output.json(
            {
                **view.head(),
                "by": by,
                "items": [{by: key, **totals_json(part)} for key, part in parts],
                "total": totals_json(total),
                "month": _outlook_json(outlook),
            }
        )
        return
    if not total.requests:
        view.nothing()
        return
    columns = _columns(total, view.simulated)
    output.table(
        [[name, *(cell(part) for cell in columns.values())] for name, part in [*_named(parts), ("total", total)]],
        (by, *columns),
        right=range(1, len(columns) + 1),
    )
    if total.unpriced:
        output.note(f"{total.unpriced:,} of the requests are unpriced and not in the cost", "yellow")
    output.note(view.what(), "dim")
    output.note(_outlook_text(outlook, view.simulated), "dim")
    further = deeper(view.where)
    if by in DRILL and further == by:
        after = DRILL[DRILL.index(by) + 1 :]
        output.note(f"--{by} NAME --by {after[0] if after else 'request'} goes deeper", "dim")


async def requests(view: View, reports: CostReports, limit: int) -> None:
    """The latest requests."""
    records = await reports.requests(view.where, limit)
    if view.json:
        view.output.json({**view.head(), "by": "request", "items": [record_json(record) for record in records]})
        return
    if not records:
        view.nothing()
        return
    view.output.table(
        [_request(record, view.simulated) for record in records],
        ("time (UTC)", "request", "tenant", "agent", "answered by", "tokens", "cost", "time"),
        right=(5, 6, 7),
    )
    view.output.note(f"{view.what()}; `sandbox explain REQUEST` tells the story of one", "dim")


async def export(
    view: View, reports: CostReports, form: Literal["csv", "json"], path: Path, *, summary: bool, force: bool
) -> None:
    """Every request into a file, with the way it has come on a terminal."""
    from sandbox.costs.export import summary_file

    whole = (await reports.totals(view.where)).requests
    with Progress(view.output.err, whole, "requests") as progress:
        written = await write(
            reports,
            view.where,
            path,
            form,
            include_summary=summary,
            overwrite=force,
            option="--export",
            otherwise=", or replace it with --force",
            progress=progress,
        )
    beside = summary_file(path) if summary and form == "csv" else None
    if view.json:
        shown = None if beside is None else str(beside)
        view.output.json({**view.head(), "path": str(path), "format": form, "records": written, "summary_path": shown})
        return
    files = f"{path}" if beside is None else f"{path}, the sums to {beside}"
    view.output.note(f"{written:,} request{'' if written == 1 else 's'} written to {files} ({view.what()})")


def totals_json(totals: UsageTotals) -> dict[str, Any]:
    """Sums as `costs --json` prints them; money is USD as decimal strings."""
    return summaries.as_json(totals)


def _outlook_json(outlook: Outlook) -> dict[str, Any]:
    return {
        "period": iso(outlook.period_start_us)[:7],
        "spent_usd": decimal(outlook.spent_usd),
        "projected_usd": decimal(outlook.projected_usd),
        "before_usd": decimal(outlook.before_usd),
    }


def _outlook_text(outlook: Outlook, simulated: bool) -> str:
    spent, month = (dollars(usd, simulated=simulated) for usd in (outlook.spent_usd, outlook.projected_usd))
    text = f"{iso(outlook.period_start_us)[:7]}: {spent} so far, {month} by its end at this pace"
    if outlook.before_usd:
        text += f"; the month before {dollars(outlook.before_usd, simulated=simulated)}"
    return text


def _named(parts: Sequence[tuple[str, UsageTotals]]) -> list[tuple[str, UsageTotals]]:
    return [(key or "(none)", part) for key, part in parts]


def _columns(total: UsageTotals, simulated: bool) -> dict[str, Callable[[UsageTotals], str]]:
    """The columns that have anything to say, so that the others fit a narrow terminal."""

    def usd(value: Decimal, *, signed: bool = False) -> str:
        return dollars(value, simulated=simulated, signed=signed)

    found: dict[str, Callable[[UsageTotals], str] | None] = {
        "requests": lambda one: f"{one.requests:,}",
        "failed": (lambda one: f"{one.failed:,}") if total.failed else None,
        "cached": (lambda one: f"{one.cached:,}") if total.cached else None,
        "tokens": lambda one: f"{one.tokens:,}",
        "cost": lambda one: usd(one.cost_usd),
        "waste": (lambda one: usd(one.waste_usd)) if total.waste_usd else None,
        "saved": (lambda one: usd(one.saved_usd)) if total.saved_usd else None,
        "premium": (lambda one: usd(one.premium_usd, signed=True)) if total.failovers else None,
        "avg time": lambda one: duration_ms(average_latency_ms(one)) if one.requests else "",
    }
    return {name: cell for name, cell in found.items() if cell is not None}


def _request(record: UsageRecord, simulated: bool) -> tuple[str, ...]:
    if record.success:
        answered = f"{record.provider} {record.model}{' (cached)' if record.cached else ''}"
    else:
        answered = f"nobody: {record.error_type}"
    return (
        iso(record.timestamp_us)[:19].replace("T", " "),
        record.request_id[:12],
        record.tenant_id,
        record.agent_id,
        answered,
        f"{record.tokens_used:,}",
        dollars(record.estimated_cost, simulated=simulated),
        duration_ms(record.latency_ms),
    )
