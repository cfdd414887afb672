"""Single parts: breaker, price, event, usage record."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from providers.clock import SYSTEM_CLOCK
from providers.pricing import catalogue
from providers.types import TokenUsage
from sandbox.core.bus import Bus
from sandbox.core.events import AttemptStarted
from sandbox.gateway.breaker import BreakerPolicy, CircuitBreaker
from sandbox.usage.base import UsageRecord
from sandbox.usage.sqlite import SqliteUsageStore
from tests.benchmarks.report import Row, bound_row, timed


def record(number: int) -> UsageRecord:
    """A usage record that differs in id, time, tenant and model."""
    return UsageRecord(
        log_id=f"t{number % 50}#a#{number}",
        request_id=f"r{number:012d}",
        tenant_id=f"t{number % 50}",
        agent_id="a",
        timestamp_us=1_735_689_600_000_000 + number * 1000,
        mode="mock",
        model=f"m{number % 12}",
        requested_model=None,
        provider="openai",
        tokens_used=150,
        prompt_tokens=100,
        completion_tokens=50,
        estimated_cost=Decimal("0.000045"),
        catalogue_version="x",
        latency_ms=800.0,
    )


async def measure() -> list[Row]:
    closed = CircuitBreaker(BreakerPolicy(), SYSTEM_CLOCK)
    refusing = CircuitBreaker(BreakerPolicy(), SYSTEM_CLOCK)
    refusing.force_open()

    def through() -> None:
        permit = closed.admit()
        assert permit is not None
        closed.success(permit, 0.1)

    prices = catalogue("current")
    usage = TokenUsage(1200, 340)
    at = 1_793_800_000_000_000
    # A prompt beyond a tier, partly read from and partly written to the cache, in a region; and a batch.
    long = TokenUsage(
        220_000, 3400, cached_input_tokens=60_000, cache_write_tokens=9000, cache_write_1h_tokens=500, region="us"
    )
    batch = TokenUsage(12_000, 340, cached_input_tokens=6000, reasoning_tokens=200, service_tier="batch")
    cost_in, cost_out = Decimal("0.00000015"), Decimal("0.0000006")
    silent, heard = Bus(), Bus()
    heard.subscribe(lambda event: None)

    def emit(bus: Bus) -> None:
        if bus.active:
            bus.publish(AttemptStarted(1, "request", "openai", "gpt-4o-mini", 0, 0, "closed"))

    seen = timed(
        {
            "closed": through,
            "refusing": refusing.admit,
            "price": lambda: prices.price("openai", "gpt-4o-mini", usage, at=1_760_000_000_000_000),
            "long": lambda: prices.price("anthropic", "claude-haiku-5-5", long, at=at),
            "batch": lambda: prices.price("openai", "o3", batch, at=at),
            "dict": lambda: 1200 * cost_in + 340 * cost_out,
            "silent": lambda: emit(silent),
            "heard": lambda: emit(heard),
        },
        number=20_000,
    )
    rows = [
        bound_row("breaker, closed", seen["closed"], 0.8, "µs", "purgatory 0.86, circuitbreaker 1.2 µs"),
        bound_row("breaker, refusing", seen["refusing"], 2.0, "µs", "purgatory 15, circuitbreaker 1.9 µs"),
        bound_row(
            "cost of one call",
            seen["price"],
            3.0,
            "µs",
            "genai-prices 114, litellm 156–181 µs",
            floor=seen["dict"],
            floor_name="Decimal alone",
        ),
        bound_row("cost of one call: cache, tier and region", seen["long"], 3.0, "µs"),
        bound_row("cost of one call: a dated batch", seen["batch"], 3.0, "µs"),
        bound_row("an event with no subscriber", seen["silent"], 0.5, "µs"),
        bound_row("an event with one subscriber", seen["heard"], 2.0, "µs"),
    ]
    return rows + await _usage()


async def _usage(number: int = 50_000) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteUsageStore(Path(folder) / "usage.db", clock=SYSTEM_CLOCK)
        records = [replace(record(i)) for i in range(number)]
        spent = 0.0
        started = time.perf_counter()
        for batch in range(0, number, 100):
            before = time.thread_time()
            for one in records[batch : batch + 100]:
                store.record(one)
            spent += time.thread_time() - before
            await asyncio.sleep(0)
        await store.flush()
        rate = number / (time.perf_counter() - started)
        await store.close()
    return [
        bound_row("usage record, on the request path", spent / number * 1e6, 20.0, "µs"),
        bound_row("usage records drained", rate, 20_000, "/s", "raw executemany with two indexes 32,000/s", more=True),
    ]
