"""The switch between this machine and AWS, in a running program: no record is lost, none is in both places."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK
from providers.types import GenerationRequest
from sandbox.core.events import BackendSwitched, ComponentFailed, Event
from sandbox.gateway.call import CallOptions
from sandbox.runtime import Runtime
from sandbox.settings.model import Settings
from sandbox.stores import BackendUnavailable, open_usage, with_backends
from sandbox.usage.base import UsageFilter
from sandbox.usage.dynamodb import DynamoUsageStore
from tests.dynamo import servers
from tests.dynamo.stores import made
from tests.redis_server import RedisServer

AWS = {"cache": "redis", "usage": "dynamodb"}
LOCAL = {"cache": "disk", "usage": "sqlite"}


@pytest.fixture
def settings(tmp_path: Path, redis_server: RedisServer) -> Settings:
    url = servers.moto()
    return Settings(
        data_dir=tmp_path,
        chain=["bedrock", "openai"],
        aws={"region": "eu-north-1"},
        cache={"endpoint_url": redis_server.url, "timeout": 2},
        usage={"endpoint_url": url, "table": made(url, tmp_path)},
    )


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    async with Runtime.of(settings) as opened:
        yield opened


async def records(settings: Settings, backend: str) -> list[str]:
    """The request ids in a store."""
    store = open_usage(with_backends(settings, {"usage": backend}), clock=SYSTEM_CLOCK)
    try:
        await store.flush()
        return [record.request_id async for record in store.scan(UsageFilter("mock"))]
    finally:
        await store.close()


async def test_the_spool_is_as_large_as_the_settings_say(settings: Settings) -> None:
    usage = settings.usage.model_copy(update={"backend": "dynamodb", "spool_limit": 2**21})
    async with Runtime.of(settings.model_copy(update={"usage": usage})) as runtime:
        _, kept = await runtime.store_health()
        assert kept.spool is not None
        assert kept.spool.limit_bytes == 2**21


async def test_a_switch_in_flight_loses_no_record_and_doubles_none(runtime: Runtime, settings: Settings) -> None:
    asked: list[str] = []
    over = asyncio.Event()

    async def customer(name: int) -> None:
        number = 0
        while not over.is_set():
            number += 1
            options = CallOptions(request_id=f"customer-{name}-{number}")
            if number % 5:
                await runtime.gateway.generate(GenerationRequest(f"question {number % 7}"), options)
            else:
                async for _ in runtime.gateway.stream(GenerationRequest(f"question {number}"), options):
                    pass
            asked.append(options.request_id or "")
            # At a pace: whatever they ask while a store is left has to be counted in the end.
            await asyncio.sleep(0.02)

    customers = [asyncio.create_task(customer(name)) for name in range(20)]
    seen = [runtime.backends]
    for place in ("aws", "local", "aws"):
        before = len(asked)
        while len(asked) < before + 200:
            await asyncio.sleep(0.01)
        await runtime.switch_backend(place)  # type: ignore[arg-type]
        seen.append(runtime.backends)
    over.set()
    await asyncio.gather(*customers)
    await runtime.close()
    assert seen == [LOCAL, AWS, LOCAL, AWS]
    here, there = await records(settings, "sqlite"), await records(settings, "dynamodb")
    assert len(here) > 100
    assert len(there) > 100
    counted = Counter([*here, *there])
    assert set(counted) == set(asked)
    assert set(counted.values()) == {1}, "each in exactly one store, once"


async def test_who_watches_is_told(runtime: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    runtime.bus.subscribe(events.append)
    changes = await runtime.switch_backend("aws", part="cache")
    assert [(one.part, one.before, one.after) for one in changes] == [("cache", "disk", "redis")]
    assert await runtime.switch_backend("aws", part="cache") == [], "it is there already"
    await runtime.switch_backend("local")
    told = [(one.part, one.from_backend, one.to_backend) for one in events if isinstance(one, BackendSwitched)]
    assert told == [("cache", "disk", "redis"), ("cache", "redis", "disk")]
    assert runtime.settings.cache.backend == "disk"


async def test_the_log_has_a_line_for_each_switch(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sandbox"):
        async with Runtime.of(settings) as runtime:
            await runtime.switch_backend("aws", part="usage")
    lines = [json.loads(record.getMessage()) for record in caplog.records if "backend_switched" in record.getMessage()]
    expected = {"event": "backend_switched", "part": "usage", "from_backend": "sqlite", "to_backend": "dynamodb"}
    assert lines == [expected]


async def test_answers_are_kept_where_the_cache_is_now(runtime: Runtime) -> None:
    question = GenerationRequest("Why do circuit breakers trip?")
    await runtime.gateway.generate(question)
    assert (await runtime.gateway.generate(question)).cached
    await runtime.switch_backend("aws")
    assert not (await runtime.gateway.generate(question)).cached, "each side keeps its own"
    assert (await runtime.gateway.generate(question)).cached
    await runtime.switch_backend("local")
    assert (await runtime.gateway.generate(question)).cached


async def test_a_gateway_of_before_uses_the_stores_of_now(runtime: Runtime, settings: Settings) -> None:
    """A request under way when the preset changes belongs to the gateway of before."""
    before = runtime.gateway
    runtime.use_preset("happyos")
    await runtime.switch_backend("aws")
    answer = await before.generate(GenerationRequest("Who keeps this?"))
    await runtime.close()
    assert await records(settings, "dynamodb") == [answer.request_id]
    assert await records(settings, "sqlite") == []


async def test_a_backend_that_cannot_be_opened_changes_nothing(runtime: Runtime, settings: Settings) -> None:
    spoilt = settings.model_copy(update={"cache": settings.cache.model_copy(update={"endpoint_url": None})})
    runtime.settings = runtime._stores.settings = spoilt
    for checked in (False, True):
        with pytest.raises(BackendUnavailable, match=r"cache\.endpoint_url.*nothing was changed"):
            await runtime.switch_backend("aws", checked=checked)
    with pytest.raises(BackendUnavailable, match=r"cache\.endpoint_url.*nothing was changed"):
        await runtime.switch_backend("aws")
    assert runtime.backends == LOCAL
    answer = await runtime.gateway.generate(GenerationRequest("Still here?"))
    await runtime.close()
    assert await records(settings, "sqlite") == [answer.request_id]


async def test_leaving_a_table_that_is_away_keeps_its_records_for_later(settings: Settings, monkeypatch: Any) -> None:
    monkeypatch.setattr("sandbox.stores.LEAVE_S", 0.5)
    gone = settings.model_copy(
        update={"usage": settings.usage.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})}
    )
    events: list[Event] = []
    async with Runtime.of(with_backends(gone, AWS)) as runtime:  # type: ignore[arg-type]
        runtime.bus.subscribe(events.append)
        await runtime.gateway.generate(GenerationRequest("Is anybody there?"))
        await runtime.switch_backend("local")
        assert runtime.backends == LOCAL
        assert [one for one in events if isinstance(one, ComponentFailed)]
        assert runtime.usage is not None
        assert runtime.usage.pending == 0
    assert await records(settings, "sqlite") == []
    waiting = open_usage(with_backends(gone, {"usage": "dynamodb"}), clock=SYSTEM_CLOCK)
    assert isinstance(waiting, DynamoUsageStore)
    assert (await waiting.spool_state()).depth == 1
    await waiting.close()


async def test_what_does_not_answer_is_refused_before_anything_changes(runtime: Runtime, settings: Settings) -> None:
    away = settings.model_copy(
        update={"usage": settings.usage.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})}
    )
    runtime.settings = runtime._stores.settings = away
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:9 cannot be reached; nothing was changed"):
        await runtime.switch_backend("aws")
    assert runtime.backends == LOCAL
    found = await runtime.check_backend("aws")
    assert [(one.part, one.ok) for one in found] == [("cache", True), ("usage", False)]
    [redis] = await runtime.check_backend("aws", part="cache")
    assert (redis.identity, redis.problem) == ("default", None)
    assert redis.latency_ms is not None


async def test_a_budget_set_after_a_switch_knows_what_was_spent_before_it(settings: Settings) -> None:
    """Of the records that are left behind it could not learn it: the ledgers stay, and are told in time."""
    async with Runtime.of(settings) as runtime:
        answers = [
            await runtime.gateway.generate(GenerationRequest(f"question {n}", tenant_id=tenant))
            for n, tenant in enumerate(("acme", "acme", "globex"))
        ]
        costs = [answer.cost_usd for answer in answers if answer.cost_usd]
        await runtime.switch_backend("aws", part="usage")
        runtime.set_budget(None, Decimal(20))
        assert (await runtime.budgets.check_budget()).used_usd == sum(costs) > 0
    later = settings.model_copy(
        update={"usage": settings.usage.model_copy(update={"backend": "dynamodb"}), "budget_limit": Decimal(20)}
    )
    async with Runtime.of(later) as runtime:
        runtime.set_budget("acme", Decimal(5))
        stand = await runtime.budgets.statuses()
        assert [one.used_usd for one in stand] == [sum(costs), costs[0] + costs[1]]
