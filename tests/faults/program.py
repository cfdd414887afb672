"""A program that asks a gateway in mock mode, at a pace, its records going to DynamoDB.

    python -m tests.faults.program FOLDER TABLE URL REQUESTS PER_SECOND

For each answer it prints the request's id. Then it says `done`, with the seconds that the slowest answer took but for
the first, and waits for a line on its standard input before it closes the store. With FILE_LIMIT in the environment
none of its files grows beyond so many bytes, until a line comes that says `room`. With REDIS_URL it is wired as the
settings do it: the cache, the breakers, the turns and a budget's ledger are there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from providers import GenerationRequest, OpenAIProvider
from providers.attempts import RetryPolicy
from providers.clock import SYSTEM_CLOCK
from sandbox.gateway.gateway import Gateway
from sandbox.runtime import Runtime
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore
from tests.faults.shared import settings_of

AGENTS = ("reader", "writer")
TENANTS = ("acme", "globex", "initech")
QUESTIONS = 60
"""Then they come again, so that a cache has something to answer."""


async def main(folder: str, table: str, url: str, requests: str, per_second: str) -> None:
    if limit := os.environ.get("FILE_LIMIT"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    redis = os.environ.get("REDIS_URL")
    wired = _bare(folder, table, url) if redis is None else _by_settings(folder, table, url, redis)
    async with wired as gateway:
        began, slowest = SYSTEM_CLOCK.monotonic(), 0.0
        for number in range(int(requests)):
            asked = SYSTEM_CLOCK.monotonic()
            answer = await gateway.generate(
                GenerationRequest(
                    f"question {number % QUESTIONS}", tenant_id=TENANTS[number % 3], agent_id=AGENTS[number % 2]
                )
            )
            if number:
                # The first one waits for what was spent this month, whatever Redis does.
                slowest = max(slowest, SYSTEM_CLOCK.monotonic() - asked)
            print(answer.request_id, flush=True)
            ahead = began + (number + 1) / float(per_second) - SYSTEM_CLOCK.monotonic()
            await asyncio.sleep(max(0.0, ahead))
        print(f"done {slowest}", flush=True)
        while (await asyncio.to_thread(sys.stdin.readline)).strip() == "room":
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@asynccontextmanager
async def _bare(folder: str, table: str, url: str) -> AsyncIterator[Gateway]:
    store = DynamoUsageStore(
        table,
        AwsAccess(region="eu-north-1", endpoint_url=url, profile=os.environ.get("AWS_PROFILE")),
        folder=Path(folder),
        clock=SYSTEM_CLOCK,
        patience=RetryPolicy(base_delay=0.05, max_delay=0.3),
        linger=0.05,
    )
    gateway = Gateway(mode="mock", record=store.record)
    gateway.register("openai", OpenAIProvider(mock_mode=True, model="gpt-4"))
    try:
        yield gateway
    finally:
        await store.close()
        await gateway.close()


@asynccontextmanager
async def _by_settings(folder: str, table: str, url: str, redis: str) -> AsyncIterator[Gateway]:
    async with await Runtime.open(settings_of(Path(folder), table, url, redis)) as runtime:
        yield runtime.gateway


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
