"""Scale: many records, many providers, many requests in one process."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path

from providers.clock import SYSTEM_CLOCK
from providers.types import GenerationRequest
from providers.vendors.openai import OpenAIProvider
from sandbox.gateway.call import CallOptions
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.usage.base import UsageFilter
from sandbox.usage.sqlite import SqliteUsageStore
from tests.benchmarks import cost_reports
from tests.benchmarks.memory import resident_mb
from tests.benchmarks.parts import record
from tests.benchmarks.report import Row, bound_row, timed, timed_async

DAY_US = 86_400_000_000
END_US = 1_735_689_600_000_000 + 90 * DAY_US


async def measure(*, records: int = 1_000_000, requests: int = 100_000) -> list[Row]:
    return [*await _reports(records), *_plans(), await _memory(requests)]


async def _reports(records: int) -> list[Row]:
    """A 30-day summary that begins and ends in the middle of an hour, over records spread evenly over 90 days."""
    step = 90 * DAY_US // records
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteUsageStore(Path(folder) / "usage.db", clock=SYSTEM_CLOCK)
        for number in range(records):
            one = record(number)
            one.timestamp_us = END_US - number * step
            store.record(one)
            if number % 10_000 == 9_999:
                await store.flush()
        await store.flush()
        where = UsageFilter(
            "mock", since_us=END_US - 45 * DAY_US + 1_234_567_890, until_us=END_US - 15 * DAY_US + 2_345_678_901
        )
        seen = await timed_async(
            {
                "totals": lambda: store.totals(where),
                "by model": lambda: store.breakdown(where, "model"),
                "by day": lambda: store.breakdown(where, "day"),
            },
            number=5,
            cpu=False,
            warm=1,
        )
        faces = await cost_reports.rows(store, where, records, Path(folder))
        await store.close()
    limit = 10.0 if records <= 1_000_000 else 15.0
    sums = [
        bound_row(
            f"30-day report {name}, {records:,} records",
            value / 1000,
            limit,
            "ms",
            "a raw scan takes 470–800 ms for 1 M",
        )
        for name, value in seen.items()
    ]
    return [*sums, *faces]


def _plans() -> list[Row]:
    gateway = Gateway(Policy(), mode="mock")
    for index in range(1000):
        gateway.register(f"p{index}", OpenAIProvider(model="gpt-4o-mini", mock_mode=True))
    request = GenerationRequest(prompt="hello")
    seen = timed(
        {s.value: lambda s=s: gateway.plan(request, CallOptions(strategy=s)) for s in RoutingStrategy}, number=50
    )
    return [bound_row(f"plan over 1,000 providers, {name}", value, 100.0, "µs") for name, value in seen.items()]


async def _memory(requests: int) -> Row:
    """Growth of the resident set between the ten-thousandth request and the last."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteUsageStore(Path(folder) / "usage.db", clock=SYSTEM_CLOCK)
        gateway = Gateway(Policy(), mode="mock", record=store.record)
        gateway.register("openai", OpenAIProvider(model="gpt-4o-mini", mock_mode=True))
        early = 0.0
        for number in range(requests):
            await gateway.generate(f"question {number}")
            # A provider that answers at once never waits, and a loop that is never waited on forgets no ended timer.
            await asyncio.sleep(0)
            if number == 10_000:
                await store.flush()
                gc.collect()
                early = resident_mb()
        await store.flush()
        gc.collect()
        grown = resident_mb() - early
        await gateway.close()
        await store.close()
    return bound_row(f"memory growth from 10,000 to {requests:,} requests", max(0.0, grown), 10.0, "MB")
