"""What Redis costs a request: a hit beside the bare client's call, and what sharing through it adds."""

from __future__ import annotations

import os
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

from providers.clock import SYSTEM_CLOCK
from providers.types import GenerationRequest
from providers.vendors.openai import OpenAIProvider
from sandbox.cache.redis import RedisCacheStore
from sandbox.costs.base import Budget
from sandbox.costs.budgets import Budgets
from sandbox.costs.redis import RedisBudgetStore
from sandbox.gateway.answers import cache_key, pack
from sandbox.gateway.call import CallOptions
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.gateway.shared_breakers import SharedBreakers
from sandbox.shared.address import RedisAddress
from sandbox.shared.link import RedisLink
from sandbox.usage.sqlite import SqliteUsageStore
from tests.benchmarks.report import Row, ratio_row, timed_async
from tests.redis_server import RedisServer, find_binary

PATIENT_S = 5.0
"""Nothing is to be given up while it is measured."""
PEER = "LiteLLM Redis 1.7–2.7 ms"


async def measure() -> list[Row]:
    if find_binary() is None:
        print("redis: left out, there is no redis-server on this machine", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder) / "redis").start()
        try:
            _beside(server)
            return await _beside_the_client(server, Path(folder))
        finally:
            server.stop()


def _beside(server: RedisServer) -> None:
    """On the other cores, as a server of another machine would be."""
    others = set(range(os.cpu_count() or 1)) - {0}
    if others and hasattr(os, "sched_setaffinity") and server._process is not None:
        os.sched_setaffinity(server._process.pid, others)


async def _beside_the_client(server: RedisServer, folder: Path) -> list[Row]:
    from redis.asyncio import Redis

    def link() -> RedisLink:
        return RedisLink(RedisAddress.parse(server.url), ask_s=PATIENT_S)

    def said(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    usage = SqliteUsageStore(folder / "usage.db", clock=SYSTEM_CLOCK)
    cache = RedisCacheStore(link(), clock=SYSTEM_CLOCK, failed=said, recovered=said)
    shared = link()
    breakers = SharedBreakers(shared, scope="benchmark", clock=SYSTEM_CLOCK, failed=said, recovered=said)
    ledgers = RedisBudgetStore(link(), mode="mock", clock=SYSTEM_CLOCK)
    budgets = Budgets(ledgers, mode="mock", clock=SYSTEM_CLOCK, budgets=[Budget(None, Decimal(1_000_000))])
    plain = Gateway(Policy(), mode="mock", cache=cache, record=usage.record)
    sharing = Gateway(Policy(), mode="mock", record=usage.record, breakers=breakers.breaker)
    bounded = Gateway(Policy(), mode="mock", record=usage.record, budgets=budgets)
    for gateway in (plain, sharing, bounded):
        gateway.register("openai", OpenAIProvider(model="gpt-4o-mini", mock_mode=True))

    question = GenerationRequest(prompt="Explain circuit breakers to a cook.", max_tokens=400)
    response = await plain.generate(question)
    response.text = "A circuit breaker is a fuse for software. " * 48  # a 2 KB answer, kept as the gateway keeps one
    key, kept = cache_key(question, preset="sandbox", mode="mock", provider=None), pack(response)
    await cache.set(key, kept, ttl=3600)
    await cache.size_bytes()
    client = Redis(port=server.port)
    await client.set("bare", kept)
    no_cache = CallOptions(no_cache=True)
    number = 0

    async def bare() -> None:
        assert await client.get("bare")

    async def hit() -> None:
        assert (await plain.generate(question)).cached

    async def uncached() -> None:
        assert (await plain.generate(question, no_cache)).text

    async def miss() -> None:
        nonlocal number
        number += 1
        assert not (await plain.generate(GenerationRequest(f"question {number}", max_tokens=400))).cached

    async def with_a_shared_breaker() -> None:
        assert (await sharing.generate(question, no_cache)).text

    async def with_shared_ledgers() -> None:
        assert (await bounded.generate(question, no_cache)).text

    calls = {
        "bare": bare, "hit": hit, "none": uncached, "miss": miss, "breaker": with_a_shared_breaker,
        "ledgers": with_shared_ledgers,
    }  # fmt: skip
    try:
        seen = await timed_async(calls, number=1000, rounds=7, cpu=False)
    finally:
        await client.aclose()
        for gateway in (plain, sharing, bounded):
            await gateway.close()
        await breakers.close()
        await shared.close()
        await budgets.close()
        await cache.close()
        await usage.close()
    floor = seen["bare"] / 1000

    def row(work: str, ms: float, limit: float, peer: str = "") -> Row:
        return ratio_row(work, ms / 1000, floor, "ms", "redis-py get", limit, peer)

    return [
        row("Redis cache hit, 2 KB answer, through the gateway", seen["hit"], 1.5, PEER),
        row("what the Redis cache adds to a miss, its write included", seen["miss"] - seen["none"], 3.0),
        row("what a breaker shared through Redis adds to a request", max(0.0, seen["breaker"] - seen["none"]), 0.5),
        row("what budgets shared through Redis add to a request", seen["ledgers"] - seen["none"], 5.0),
    ]
