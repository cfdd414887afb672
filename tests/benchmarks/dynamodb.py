"""Usage records on their way to DynamoDB: what a request waits for, and how many a second reach the table.

Beside the batch writer that comes with boto3, which puts the same records and nothing else: no spool, no sums, no
index of requests, no second try of what was left half done.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from boto3.dynamodb.types import TypeDeserializer

from providers.clock import SYSTEM_CLOCK, seeded
from sandbox.usage.base import UsageRecord
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore
from sandbox.usage.dynamodb import table as tables
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.items import record_item
from sandbox.usage.records import to_row
from tests.benchmarks.parts import record
from tests.benchmarks.report import Row, bound_row, ratio_row
from tests.dynamo import servers

RECORDS = 10_000
FEW = 2_000
"""For emulators, which keep what they are sent and take milliseconds for an update: they set the pace, not this."""
PEER = "boto3's batch writer by itself"


@contextmanager
def null_endpoint() -> Iterator[str]:
    """A server in a process of its own that answers every write at once and keeps nothing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.dynamodb"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def measure() -> list[Row]:
    rows: list[Row] = []
    with null_endpoint() as url:
        rows += await _drained("an endpoint that keeps nothing", url, RECORDS, least=1000.0)
        rows.append(await _on_the_path(url))
    rows += await _drained("moto's server", servers.moto(), FEW)
    if servers.no_dynalite() is None:
        rows += await _drained("dynalite", servers.dynalite(), FEW)
    return rows


async def _drained(name: str, url: str, number: int, *, least: float | None = None) -> list[Row]:
    access = AwsAccess(region="eu-north-1", endpoint_url=url)
    records = [record(one) for one in range(number)]
    with tempfile.TemporaryDirectory() as folder:
        if least is None:
            table = Table("benchmark", access, draws=seeded(0))
            tables.create(table)
            table.close()
        floor = await asyncio.to_thread(_plainly, access, records)
        store = DynamoUsageStore("benchmark", access, folder=Path(folder), clock=SYSTEM_CLOCK)
        try:
            for one in records[: number // 10]:
                store.record(one)
            await store.flush()
            began = time.perf_counter()
            for one in records[number // 10 :]:
                store.record(one)
            await store.flush()
            ours = (number - number // 10) / (time.perf_counter() - began)
        finally:
            await store.close()
    rows = [
        ratio_row(f"usage records to {name}", ours, floor, "/s", PEER, 0.05 if least is None else 0.25, more=True),
    ]
    if least is not None:
        rows.append(bound_row(f"usage records to {name}", ours, least, "/s", more=True))
    return rows


def _plainly(access: AwsAccess, records: list[UsageRecord]) -> float:
    """The same records through boto3's own batch writer, a second."""
    values = TypeDeserializer()
    items = []
    for one in records:
        item = record_item(to_row(0, one), kept_s=None)
        items.append({name: values.deserialize(value) for name, value in item.items()} | {"log_id": f"~{one.log_id}"})
    session = boto3.Session("local", "local", region_name=access.region)
    table = session.resource("dynamodb", endpoint_url=access.endpoint_url).Table("benchmark")
    began = time.perf_counter()
    with table.batch_writer() as writer:
        for item in items:
            writer.put_item(Item=item)
    took = time.perf_counter() - began
    table.meta.client.close()
    return len(records) / took


async def _on_the_path(url: str, number: int = 5_000) -> Row:
    """What `record` takes of the event loop while the spool is being written and sent, at a thousand a second."""
    records = [record(number) for number in range(number)]
    with tempfile.TemporaryDirectory() as folder:
        store = DynamoUsageStore(
            "benchmark", AwsAccess(region="eu-north-1", endpoint_url=url), folder=Path(folder), clock=SYSTEM_CLOCK
        )
        spent: list[float] = []
        began = time.perf_counter()
        for position, one in enumerate(records):
            started = time.perf_counter()
            store.record(one)
            spent.append(time.perf_counter() - started)
            await asyncio.sleep(max(0.0, began + position / 1000 - time.perf_counter()))
        await store.close()
    spent.sort()
    return bound_row("usage record for DynamoDB, on the request path", spent[len(spent) // 2] * 1e6, 20.0, "µs")


async def _serve() -> None:
    from aiohttp import web

    answers = {
        "BatchWriteItem": b'{"UnprocessedItems":{}}',
        "BatchGetItem": b'{"Responses":{},"UnprocessedKeys":{}}',
        "UpdateItem": b"{}",
    }

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        operation = request.headers["X-Amz-Target"].rpartition(".")[2]
        return web.Response(body=answers[operation], headers={"Content-Type": "application/x-amz-json-1.0"})

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_serve())
