"""What processes share through Redis, by the settings: here each runtime stands for a process of its own machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.errors import BudgetExceededError
from providers.faults import parse_fault
from providers.types import GenerationRequest
from sandbox.core.events import ComponentFailed
from sandbox.runtime import Runtime
from sandbox.settings.model import Settings
from tests.redis_server import PASSWORD, RedisServer

Made = Callable[..., Settings]


@pytest.fixture
def made(tmp_path: Path, redis_server: RedisServer) -> Made:
    """Settings of one machine after the other."""
    count = 0

    def settings(**more: Any) -> Settings:
        nonlocal count
        count += 1
        shared = {"state": "redis", "endpoint_url": redis_server.url}
        values = {"shared": shared, "cache": {"backend": "off", "timeout": 2}, "chain": ["openai"], **more}
        return Settings(data_dir=tmp_path / str(count), **values)

    return settings


async def spend(runtime: Runtime, times: int = 1) -> Decimal:
    paid = Decimal(0)
    for number in range(times):
        answer = await runtime.gateway.generate(GenerationRequest(f"question {number}", max_tokens=50))
        paid += answer.cost_usd or 0
    return paid


async def used(runtime: Runtime) -> Decimal:
    [status] = await runtime.budgets.statuses()
    return status.used_usd


async def test_what_one_spends_another_sees(made: Made) -> None:
    async with await Runtime.open(made(budget_limit=1)) as here, await Runtime.open(made(budget_limit=1)) as there:
        paid = await spend(here, 3)
        assert paid > 0
        assert await used(there) == paid
        paid += await spend(there, 2)
        assert await used(here) == paid
    async with await Runtime.open(made(budget_limit=paid)) as later:
        assert await used(later) == paid
        with pytest.raises(BudgetExceededError):
            await spend(later)


async def test_a_breaker_that_one_opens_is_open_for_another(made: Made) -> None:
    chain = ["bedrock", "openai"]
    async with await Runtime.open(made(chain=chain)) as here, await Runtime.open(made(chain=chain)) as there:
        here.faults.set("bedrock", parse_fault("503"))
        for number in range(10):
            await here.gateway.generate(GenerationRequest(f"question {number}"))
        assert here.gateway.breaker("bedrock").state == "open"
        async with asyncio.timeout(5):
            while there.gateway.breaker("bedrock").state != "open":
                await there.gateway.generate(GenerationRequest("How is Bedrock?"))
                await asyncio.sleep(0.02)
        answer = await there.gateway.generate(GenerationRequest("And now?"))
        assert answer.provider == "openai"
        there.gateway.breaker("bedrock").force_close()
        async with asyncio.timeout(5):
            while here.gateway.breaker("bedrock").state != "forced_closed":
                await asyncio.sleep(0.02)


async def test_it_is_off_unless_it_is_asked_for(made: Made) -> None:
    local = {"state": "local"}
    async with Runtime.of(made(budget_limit=1, shared=local)) as here, Runtime.of(made(budget_limit=1)) as there:
        await spend(here)
        assert await used(there) == 0


async def test_with_users_and_passwords_of_the_cache(made: Made, start_redis: Any) -> None:
    server = start_redis(user="app")
    cache = {
        "backend": "off", "timeout": 2, "username": "app", "password": PASSWORD,
        "endpoint_url": f"127.0.0.1:{server.port}",
    }  # fmt: skip
    settings = made(budget_limit=1, cache=cache, shared={"state": "redis"})
    async with await Runtime.open(settings) as here, await Runtime.open(settings) as there:
        assert await spend(here) == await used(there)
        assert (here.notes, there.notes) == ([], [])


async def test_a_server_that_is_not_there_keeps_nobody_from_asking(made: Made) -> None:
    away = {"state": "redis", "endpoint_url": "127.0.0.1:1"}
    async with await Runtime.open(made(budget_limit=1, shared=away)) as runtime:
        paid = await spend(runtime, 2)
        assert await used(runtime) == paid, "this process keeps to the limit alone"


async def test_a_preset_that_was_left_listens_to_redis_no_more(made: Made, start_redis: Any) -> None:
    server = start_redis()
    shared = {"state": "redis", "endpoint_url": server.url}
    cache = {"backend": "off", "timeout": 0.05}
    told: list[ComponentFailed] = []
    async with await Runtime.open(made(budget_limit=1, shared=shared, cache=cache)) as runtime:
        runtime.bus.subscribe(lambda event: told.append(event) if isinstance(event, ComponentFailed) else None)
        await spend(runtime)
        tasks = len(asyncio.all_tasks())
        for name in ("happyos", "sandbox") * 3:
            runtime.use_preset(name)
            await spend(runtime)
        async with asyncio.timeout(5):
            while len(asyncio.all_tasks()) > tasks:
                await asyncio.sleep(0.02)
        server.kill()
        async with asyncio.timeout(5):
            while not told:
                await spend(runtime)
                await asyncio.sleep(0.02)
        await spend(runtime, 3)
    assert [event.component for event in told if event.component == "breakers"] == ["breakers"]


async def test_what_cannot_be_shared_is_told(made: Made) -> None:
    async with Runtime.of(made(shared={"state": "redis"})) as runtime:
        assert any("nothing is shared" in note for note in runtime.notes)
        await spend(runtime)
    async with Runtime.of(made(shared={"state": "redis", "endpoint_url": "cache.example"})) as runtime:
        await spend(runtime)
        assert runtime.notes == [], "mock mode stays on this machine"
