"""The usage statistics of the AWS adapter: every field of its document, from the records."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Decimal as D
from pathlib import Path

import pytest

from providers.errors import InputError
from sandbox.costs.statistics import UsageStats, usage_stats
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, HOUR_US, START_US, a_record
from tests.fake_clock import FakeClock
from tests.sandbox.compat.snippets import needs_seeds, snippets


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteUsageStore]:
    store = SqliteUsageStore(tmp_path / "usage.db", clock=FakeClock())
    for number in range(1000):
        hit, failed = number < 300, 300 <= number < 305
        store.record(
            a_record(
                number,
                timestamp_us=START_US - number * 80_000_000,
                provider="openai" if number % 20 == 0 else "bedrock",
                cached=hit,
                success=not failed,
                estimated_cost=D(0) if hit or failed else D("0.0064"),
                waste_cost=D("0.004") if failed else D(0),
                latency_ms=850.5,
                tenant_id="t1",
                agent_id="a1",
            )
        )
    store.record(a_record(1000, timestamp_us=START_US - 2 * DAY_US, tenant_id="t1", agent_id="a2"))
    store.record(a_record(1001, tenant_id="t2", provider="", success=False, estimated_cost=D(0)))
    yield store
    await store.close()


async def asked(store: SqliteUsageStore, **arguments: str) -> UsageStats:
    return await usage_stats(store, clock=FakeClock(), mode="mock", **arguments)


async def test_the_figures_are_those_of_the_records(store: SqliteUsageStore) -> None:
    assert await asked(store, tenant_id="t1", agent_id="a1") == {
        "agent_id": "a1",
        "tenant_id": "t1",
        "time_range": "24h",
        "start_time": "2024-12-31T00:00:00.000000Z",
        "total_requests": 1000,
        "cached_requests": 300,
        "failed_requests": 5,
        "success_rate": 99.5,
        "total_tokens": 150_000,
        "total_cost": D("4.468"),
        "average_latency_ms": 850.5,
        "average_tokens_per_request": 150.0,
        "average_cost_per_request": D("0.004468"),
        "cache_hit_rate": 30.0,
        "provider_breakdown": {"bedrock": 950, "openai": 50},
        "waste_cost": D("0.02"),
        "unpriced_requests": 0,
    }


async def test_tenant_agent_and_time_narrow_it_down(store: SqliteUsageStore) -> None:
    assert (await asked(store))["total_requests"] == 1001
    assert (await asked(store, time_range="7d"))["total_requests"] == 1002
    assert (await asked(store, agent_id="a2", time_range="3d"))["total_requests"] == 1
    assert (await asked(store, tenant_id="t1", time_range="1h"))["total_requests"] == 1 + HOUR_US // 80_000_000
    nothing = await asked(store, tenant_id="nobody")
    assert (nothing["total_requests"], nothing["success_rate"], nothing["provider_breakdown"]) == (0, 0.0, {})


async def test_a_request_that_asked_nobody_is_with_no_provider(store: SqliteUsageStore) -> None:
    stats = await asked(store, tenant_id="t2")
    assert (stats["failed_requests"], stats["provider_breakdown"]) == (1, {})


async def test_what_is_no_time_range_is_refused(store: SqliteUsageStore) -> None:
    with pytest.raises(InputError, match="time_range is 'yesterday'"):
        await asked(store, time_range="yesterday")


@needs_seeds
async def test_every_field_of_the_document_is_there(store: SqliteUsageStore) -> None:
    [example] = [block for block in snippets("001") if '"cache_hit_rate"' in block]
    stats = await asked(store)
    names = re.findall(r'^    "(\w+)":', example, re.MULTILINE)
    assert len(names) == 15
    assert set(names) <= set(stats)
