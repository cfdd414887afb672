"""What the faces ask of a store of usage records: summaries, series, statistics, repricing, and all of it as a file."""

from __future__ import annotations

import gc
import time
from pathlib import Path

from providers.clock import SYSTEM_CLOCK
from providers.pricing import catalogue
from sandbox.costs.bound import write
from sandbox.costs.reports import CostReports
from sandbox.costs.spans import Span
from sandbox.costs.statistics import usage_stats
from sandbox.costs.summary import CostSummary, summary_of
from sandbox.costs.whatif import Target, what_if
from sandbox.usage.base import UsageFilter
from sandbox.usage.sqlite import SqliteUsageStore
from tests.benchmarks.memory import resident_mb
from tests.benchmarks.report import Row, bound_row, timed_async

EXPORTED = 1_000_000


async def rows(store: SqliteUsageStore, where: UsageFilter, records: int, folder: Path) -> list[Row]:
    """Reports through the facade that every face calls."""
    reports = CostReports(store, clock=SYSTEM_CLOCK)
    prices = catalogue("current")

    async def summary() -> CostSummary:
        return summary_of(*await reports.summary(where), Span(where.since_us, where.until_us))

    seen = await timed_async(
        {
            "summary by provider, model, tenant and agent": summary,
            "daily series": lambda: reports.series(where, "daily"),
            "hourly series of a tenant": lambda: reports.series(_of_tenant(where), "hourly"),
            "usage statistics of a tenant": lambda: usage_stats(
                store, clock=SYSTEM_CLOCK, mode="mock", tenant_id="t7", time_range="9000d"
            ),
            "repriced on another model": lambda: what_if(reports, where, [Target("claude-3-haiku")], prices),
        },
        number=3,
        warm=1,
    )
    limit = 10.0 if records <= EXPORTED else 15.0
    found = [
        bound_row(f"30-day {name}, {records:,} records, CPU", value / 1000, limit, "ms") for name, value in seen.items()
    ]
    return found if records > EXPORTED else [*found, *await _exports(reports, records, folder)]


def _of_tenant(where: UsageFilter) -> UsageFilter:
    return UsageFilter(where.mode, where.since_us, where.until_us, tenant_id="t7")


async def _exports(reports: CostReports, records: int, folder: Path) -> list[Row]:
    found = []
    for form in ("csv", "json"):
        gc.collect()
        before, highest = resident_mb(), 0.0

        def look(done: int) -> None:
            nonlocal highest
            if done % 50_000 == 0:
                highest = max(highest, resident_mb())

        began = time.process_time()
        path = folder / f"all.{form}"
        written = await write(reports, UsageFilter("mock"), path, form, progress=look)  # type: ignore[arg-type]
        seconds = time.process_time() - began
        path.unlink()
        found += [
            bound_row(f"export of {written:,} requests as {form}, CPU", written / seconds, 20_000.0, "/s", more=True),
            bound_row(f"memory it takes, {form}", max(0.0, highest - before), 20.0, "MB"),
        ]
    return found
