"""Stores over a server of `tests.dynamo.servers`, each with a table of its own."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

from providers.attempts import RetryPolicy
from providers.clock import seeded
from sandbox.usage.dynamodb import AwsAccess, DynamoUsageStore
from sandbox.usage.dynamodb import table as tables
from sandbox.usage.dynamodb.client import Table
from tests.fake_clock import FakeClock

QUICK = RetryPolicy(base_delay=0.02, max_delay=0.1)


def access(url: str) -> AwsAccess:
    return AwsAccess(region="eu-north-1", endpoint_url=url)


def table_of(folder: Path) -> str:
    return f"usage-{blake2b(str(folder).encode(), digest_size=6).hexdigest()}"


def made(url: str, folder: Path) -> str:
    """The name of the folder's table, which is there then."""
    table = Table(table_of(folder), access(url), draws=seeded(0))
    try:
        tables.create(table)
    finally:
        table.close()
    return table.name


def opened(url: str, folder: Path, **options: Any) -> DynamoUsageStore:
    """A store over the folder's own table, which it makes if need be."""
    return DynamoUsageStore(
        made(url, folder),
        access(url),
        folder=folder,
        **{"clock": FakeClock(), "draws": seeded(0), "patience": QUICK, "linger": 0.05, **options},
    )
