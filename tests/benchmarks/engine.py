"""The engine in process against a loopback upstream: CPU time per request, the whole pipeline on."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

from providers.attempts import RetryPolicy
from providers.clock import SYSTEM_CLOCK
from providers.types import GenerationRequest, StreamFinished
from providers.vendors.openai import OpenAIProvider
from sandbox.cache.disk import DiskCacheStore
from sandbox.costs.base import Budget
from sandbox.costs.budgets import Budgets
from sandbox.costs.sqlite import SqliteBudgetStore
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.call import CallOptions
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.usage.sqlite import SqliteUsageStore
from tests.benchmarks.report import Row, bound_row, ratio_row, timed_async
from tests.benchmarks.upstream import upstream

MODEL = "gpt-4o-mini"
PROMPT = "Explain circuit breakers to a cook, in two sentences, without using the word fuse."


@asynccontextmanager
async def gateway(*bases: str, transport: str, breaker: BreakerPolicy | None = None) -> AsyncIterator[Gateway]:
    """A gateway with cache lookup, usage records and breakers over real stores, one provider for each base address."""
    with tempfile.TemporaryDirectory() as folder:
        cache = DiskCacheStore(Path(folder) / "cache", size_limit=2**28, clock=SYSTEM_CLOCK)
        usage = SqliteUsageStore(Path(folder) / "usage.db", clock=SYSTEM_CLOCK)
        policy = Policy(breaker=breaker or BreakerPolicy(), retry=RetryPolicy("last_candidate", retries=0))
        built = Gateway(policy, cache=cache, record=usage.record)
        for index, base in enumerate(bases):
            provider = OpenAIProvider(
                model=MODEL, api_key="x", base_url=base, transport_kind=transport, max_connections=200
            )
            built.register(f"openai{index}", provider)
        try:
            yield built
        finally:
            await built.close()
            await cache.close()
            await usage.close()


async def measure(*, number: int = 200) -> list[Row]:
    import aiohttp

    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    rows: list[Row] = []
    with upstream() as base:
        target = f"{base}/v1/chat/completions"
        headers = {"Authorization": "Bearer x"}
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
            gateway(f"{base}/v1", transport="aiohttp") as lean,
            gateway(f"{base}/v1", transport="sdk") as sdk,
            gateway(f"{base}/fail/v1", f"{base}/v1", transport="aiohttp", breaker=BreakerPolicy("off")) as failing,
        ):
            # Every question differs, so that the cache is looked up and missed, as for real traffic.
            turn = itertools.count()

            def question() -> GenerationRequest:
                return GenerationRequest(prompt=f"{PROMPT} {next(turn)}")

            async def raw_chat() -> None:
                async with session.post(target, json=body, headers=headers) as response:
                    assert (await response.json())["choices"][0]["message"]["content"]

            async def raw_stream() -> None:
                seen = 0
                async with session.post(target, json={**body, "stream": True}, headers=headers) as response:
                    async for line in response.content:
                        if line.startswith(b"data: {"):
                            seen += bool(json.loads(line[6:])["choices"])
                assert seen == 20

            async def stream(one: Gateway) -> None:
                async for event in one.stream(question()):
                    last = event
                assert isinstance(last, StreamFinished)

            async def chat(one: Gateway) -> None:
                assert (await one.generate(question())).text

            chats = await timed_async(
                {
                    "raw": raw_chat,
                    "lean": lambda: chat(lean),
                    "sdk": lambda: chat(sdk),
                    "failover": lambda: chat(failing),
                },
                number=number,
            )
            streams = await timed_async({"raw": raw_stream, "lean": lambda: stream(lean)}, number=number)
            raw = chats["raw"]
            rows += [
                ratio_row(
                    "chat, aiohttp transport, CPU",
                    chats["lean"],
                    raw,
                    "µs",
                    "raw aiohttp",
                    1.5,
                    "TensorZero 1.4–1.6×, openai SDK 6.6–7.9×, LiteLLM Router 16–19×",
                ),
                ratio_row(
                    "chat, vendor SDK transport, CPU",
                    chats["sdk"],
                    raw,
                    "µs",
                    "raw aiohttp",
                    4.5,
                    "openai SDK by itself 6.6–7.9×",
                ),
                ratio_row(
                    "stream of 20 chunks, aiohttp transport, CPU",
                    streams["lean"],
                    streams["raw"],
                    "µs",
                    "raw aiohttp + json",
                    2.0,
                    "TensorZero 6–7×, openai SDK 11×, LiteLLM Router 31–38×",
                ),
                ratio_row(
                    "failover: first answers 500, CPU",
                    chats["failover"],
                    raw,
                    "µs",
                    "raw aiohttp, one call",
                    2.5,
                    "pydantic-ai 12×, LiteLLM Router 42× of TensorZero's",
                ),
            ]
            rates = await _throughput({"raw": raw_chat, "ours": lambda: chat(lean)})
            rows.append(
                ratio_row(
                    "throughput at 100 concurrent",
                    rates["ours"],
                    rates["raw"],
                    "/s",
                    "raw aiohttp",
                    0.6,
                    "TensorZero 0.5×, openai SDK 0.07×, LiteLLM Router 0.03×",
                    more=True,
                )
            )
            added = await timed_async(
                {"ok": lambda: chat(lean), "failover": lambda: chat(failing), "raw": raw_chat}, number=number, cpu=False
            )
            own = (added["failover"] - added["ok"] - added["raw"]) / 1000
            rows.append(
                bound_row(
                    "failover: delay of our own beside the second call",
                    max(0.0, own),
                    1.0,
                    "ms",
                    "LiteLLM Router 14.5 ms",
                )
            )
    return rows + await _without_network()


async def _throughput(
    calls: dict[str, object], *, concurrent: int = 100, total: int = 2000, rounds: int = 3
) -> dict[str, float]:
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, call in calls.items():
            left = itertools.count()

            async def worker(call: object = call, left: itertools.count[int] = left) -> None:
                while next(left) < total:
                    await call()  # type: ignore[operator]

            started = time.perf_counter()
            await asyncio.gather(*(worker() for _ in range(concurrent)))
            best[name] = max(best.get(name, 0.0), total / (time.perf_counter() - started))
    return best


async def _without_network() -> list[Row]:
    import diskcache

    with tempfile.TemporaryDirectory() as folder:
        usage = SqliteUsageStore(Path(folder) / "usage.db", clock=SYSTEM_CLOCK)
        cache = DiskCacheStore(Path(folder) / "cache", size_limit=2**28, clock=SYSTEM_CLOCK)
        mock = Gateway(Policy(), mode="mock", cache=cache, record=usage.record)
        mock.register("openai", OpenAIProvider(model=MODEL, mock_mode=True))
        question = GenerationRequest(prompt=PROMPT, max_tokens=400)
        no_cache = CallOptions(no_cache=True)
        long_answer = "A circuit breaker is a fuse for software. " * 48
        response = await mock.generate(question)
        response.text = long_answer  # a 2 KB answer, kept as the gateway keeps one
        from sandbox.gateway.answers import cache_key, pack

        key = cache_key(question, preset="sandbox", mode="mock", provider=None)
        await cache.set(key, pack(response), ttl=3600)
        plain = diskcache.Cache(str(Path(folder) / "plain"))
        plain.set(key, pack(response))

        async def bare_get() -> None:
            assert plain.get(key)

        async def hit() -> None:
            assert (await mock.generate(question)).cached

        async def mocked() -> None:
            assert (await mock.generate(question, no_cache)).text

        ledger = SqliteBudgetStore(Path(folder) / "budgets.db", mode="mock", clock=SYSTEM_CLOCK)
        budgets = Budgets(ledger, mode="mock", clock=SYSTEM_CLOCK, budgets=[Budget(None, Decimal(1_000_000))])
        bounded = Gateway(Policy(), mode="mock", record=usage.record, budgets=budgets)
        bounded.register("openai", OpenAIProvider(model=MODEL, mock_mode=True))

        async def within_a_budget() -> None:
            assert (await bounded.generate(question, no_cache)).text

        calls = {"mock": mocked, "hit": hit, "get": bare_get, "budget": within_a_budget}
        seen = await timed_async(calls, number=500)
        await bounded.close()
        await budgets.close()
        await mock.close()
        await cache.close()
        await usage.close()
        plain.close()
    return [
        bound_row("mock answer, no network", seen["mock"] / 1000, 0.1, "ms", "LiteLLM Router mock 3.0 ms"),
        bound_row(
            "mock answer within a budget, ledger on disk",
            seen["budget"] / 1000,
            0.4,
            "ms",
            floor=seen["mock"] / 1000,
            floor_name="without one",
        ),
        bound_row(
            "cache hit, 2 KB answer, through the gateway",
            seen["hit"] / 1000,
            0.1,
            "ms",
            "LiteLLM disk 1.6–3.0 ms",
            floor=seen["get"] / 1000,
            floor_name="diskcache get",
        ),
    ]
