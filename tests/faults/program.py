"""A program that asks a gateway in mock mode, at a pace, its records going to DynamoDB.

    python -m tests.faults.program FOLDER TABLE URL REQUESTS PER_SECOND

For each answer it prints the request's id. Then it says `done` and waits for a line on its standard input before it
closes the store. With FILE_LIMIT in the environment none of its files grows beyond so many bytes, until a line comes
that says `room`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path

from providers import GenerationRequest, OpenAIProvider
from providers.attempts import RetryPolicy
from providers.clock import SYSTEM_CLOCK, random_id
from sandbox.gateway.gateway import Gateway
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore

AGENTS = ("reader", "writer")
TENANTS = ("acme", "globex", "initech")


async def main(folder: str, table: str, url: str, requests: str, per_second: str) -> None:
    if limit := os.environ.get("FILE_LIMIT"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    store = DynamoUsageStore(
        table,
        AwsAccess(region="eu-north-1", endpoint_url=url, profile=os.environ.get("AWS_PROFILE")),
        folder=Path(folder),
        clock=SYSTEM_CLOCK,
        patience=RetryPolicy(base_delay=0.05, max_delay=0.3),
        linger=0.05,
    )
    ids: list[str] = []

    def new_id() -> str:
        ids.append(random_id())
        return ids[-1]

    gateway = Gateway(mode="mock", ids=new_id, record=store.record)
    gateway.register("openai", OpenAIProvider(mock_mode=True, model="gpt-4"))
    try:
        began = SYSTEM_CLOCK.monotonic()
        for number in range(int(requests)):
            await gateway.generate(
                GenerationRequest(f"question {number}", tenant_id=TENANTS[number % 3], agent_id=AGENTS[number % 2])
            )
            print(ids[-1], flush=True)
            ahead = began + (number + 1) / float(per_second) - SYSTEM_CLOCK.monotonic()
            await asyncio.sleep(max(0.0, ahead))
        print("done", flush=True)
        while (line := await asyncio.to_thread(sys.stdin.readline)).strip() == "room":
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        del line
    finally:
        await store.close()
        await gateway.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
