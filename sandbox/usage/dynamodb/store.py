"""The usage store of AWS: what is recorded goes to the spool, what is asked comes from the table."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal, TypeVar

from providers.attempts import RetryPolicy
from providers.clock import Clock, Randomness, seeded
from providers.vendors.aws_settings import region_of_environment
from sandbox.settings.backends import SPOOL_BYTES
from sandbox.usage.base import (
    DIMENSIONS,
    Dimension,
    Summary,
    UsageFilter,
    UsageRecord,
    UsageTotals,
    UsageUnavailable,
)
from sandbox.usage.dynamodb import names, reports, search
from sandbox.usage.dynamodb.access import AwsAccess
from sandbox.usage.dynamodb.client import Table
from sandbox.usage.dynamodb.outbox import Outbox
from sandbox.usage.dynamodb.sender import LINGER_S, PATIENCE, Sender
from sandbox.usage.periods import DAY_US
from sandbox.usage.spool_state import SpoolState

T = TypeVar("T")

_SYNC_WAIT_S: Final = 5.0
_CLOSE_WAIT_S: Final = 3.0
"""How long closing waits for DynamoDB; what it does not take by then is sent when the store is opened next."""


class DynamoUsageStore:
    """Implements UsageStore. A record is safe when it is in the spool, which `durability` is about, as in the SQLite
    store; `flush` is done when the table has it.

    `retention_days`: DynamoDB deletes records some time after that (its TTL); roll-ups stay.
    `spool_limit`: bytes; when the spool has them, later records are lost, and `problem` says how many.
    `patience`, `linger`, `pause` are for tests: waits between batches, and of a thread between two tries of a call.

    Raises ConfigError for a region in AWS's files that is none, and UsageUnavailable for a spool that is not ours.
    """

    def __init__(
        self,
        table: str,
        access: AwsAccess,
        *,
        folder: Path,
        clock: Clock,
        draws: Randomness | None = None,
        durability: Literal["async", "sync"] = "async",
        retention_days: float | None = None,
        spool_limit: int = SPOOL_BYTES,
        patience: RetryPolicy = PATIENCE,
        linger: float = LINGER_S,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        if access.region is None:
            access = replace(access, region=region_of_environment(access.profile))
        draws = draws or seeded()
        self._clock = clock
        self._sync = durability == "sync"
        self._kept_us = None if retention_days is None else int(retention_days * DAY_US)
        self._table = Table(table, access, draws=draws, pause=pause)
        self._outbox = Outbox(spool_path(folder, table, access), clock=clock, sync=self._sync, limit=spool_limit)
        self._sender = Sender(
            self._outbox,
            self._table,
            clock=clock,
            draws=draws,
            kept_s=None if self._kept_us is None else self._kept_us / 1e6,
            patience=patience,
            linger=linger,
        )
        self._outbox.arrived = self._sender.wake
        # For what an earlier run left there.
        self._sender.wake()

    @property
    def problem(self) -> str | None:
        """Trouble of the spool, or of DynamoDB with how many records wait for it."""
        trouble = self._sender.trouble
        waiting = self._outbox.pending
        away = None if trouble is None else f"{trouble}; {waiting} usage records wait in the spool"
        return "; ".join(filter(None, (self._outbox.problem, away))) or None

    @property
    def pending(self) -> int:
        return self._outbox.pending

    async def spool_state(self) -> SpoolState:
        """Raises UsageUnavailable when the spool cannot be read."""
        await self._settled()
        try:
            stored = await asyncio.to_thread(self._outbox.read)
        except (sqlite3.Error, OSError) as error:
            raise UsageUnavailable(f"the usage spool {self._outbox.path} cannot be read: {error}") from error
        return SpoolState(
            path=self._outbox.path,
            depth=self._outbox.pending,
            oldest_us=stored.oldest_us,
            bytes=stored.bytes,
            limit_bytes=self._outbox.limit,
            sent=self._sender.sent,
            lost=self._outbox.refused,
            problem=self._sender.trouble or self._outbox.problem,
            problem_since_us=self._sender.trouble_since_us,
        )

    def record(self, record: UsageRecord) -> None:
        """Take the record, which is not to be changed afterwards."""
        self._outbox.put(record)
        if self._sync:
            # Else `problem` says it; the record is on its way.
            with suppress(UsageUnavailable, TimeoutError):
                self._outbox.flush().result(_SYNC_WAIT_S)

    async def check(self) -> None:
        """Read one small item. Raises UsageUnavailable where that cannot be done now."""
        await asyncio.to_thread(reports.pruned_before, self._table)

    async def flush(self) -> None:
        await asyncio.wrap_future(self._outbox.flush())
        await asyncio.wrap_future(self._sender.flush())

    async def totals(self, where: UsageFilter) -> UsageTotals:
        return await self._read(lambda: reports.totals(self._table, _fitted(where), self._pruned_us()))

    async def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        return await self._read(lambda: reports.breakdown(self._table, _fitted(where), by, self._pruned_us()))

    async def summary(self, where: UsageFilter) -> Summary:
        return Summary(await self.totals(where), {by: await self.breakdown(where, by) for by in DIMENSIONS})

    async def get(self, request_id: str) -> UsageRecord | None:
        return await self._read(lambda: search.find(self._table, request_id))

    async def recent(self, where: UsageFilter, limit: int = 50) -> Sequence[UsageRecord]:
        return await self._read(lambda: search.recent(self._table, _fitted(where), limit))

    async def scan(self, where: UsageFilter) -> AsyncIterator[UsageRecord]:
        pages = search.scan(self._table, _fitted(where))
        while True:
            page = await self._read(lambda: next(pages, None))
            if page is None:
                return
            for record in page:
                yield record

    async def prune(self, *, before_us: int) -> int:
        return await self._read(lambda: search.prune(self._table, before_us))

    async def close(self) -> None:
        """Everything is in the spool then, and in the table if it took it within a few seconds; safe to call twice."""
        await asyncio.shield(asyncio.wrap_future(self._outbox.close_writer()))
        if self._sender.trouble is None:
            with suppress(UsageUnavailable, TimeoutError):
                async with self._clock.timeout(_CLOSE_WAIT_S):
                    await asyncio.wrap_future(self._sender.flush())
        self._sender.hasten()
        self._table.close()
        with suppress(TimeoutError):
            async with self._clock.timeout(_CLOSE_WAIT_S):
                await asyncio.wrap_future(self._sender.close())

    def _pruned_us(self) -> int:
        """Up to when records may be gone, by hand or by their age."""
        by_age = 0 if self._kept_us is None else self._clock.time_us() - self._kept_us
        return max(by_age, reports.pruned_before(self._table))

    async def _settled(self) -> None:
        if self._outbox.waiting and not self._outbox.in_trouble:
            await asyncio.wrap_future(self._outbox.settled())

    async def _read(self, query: Callable[[], T]) -> T:
        """Run the query in a thread, when the table has what this process recorded. Raises UsageUnavailable."""
        await self._settled()
        if self._outbox.stored.depth and self._sender.trouble is None:
            await asyncio.wrap_future(self._sender.flush())
        return await asyncio.to_thread(query)


def _fitted(where: UsageFilter) -> UsageFilter:
    """With every name as the table has it."""

    def fitted(name: str | None) -> str | None:
        return None if name is None else names.shortened(name)

    return replace(
        where,
        tenant_id=fitted(where.tenant_id),
        agent_id=fitted(where.agent_id),
        provider=fitted(where.provider),
        model=fitted(where.model),
    )


def spool_path(folder: Path, table: str, access: AwsAccess) -> Path:
    """Where the spool of a table is: another one for each table, place and account, so that no record goes astray."""
    place = "\n".join((access.endpoint_url or "", access.region or "", access.profile or ""))
    digest = blake2b(place.encode(), digest_size=4).hexdigest()
    return folder / f"usage-{table}-{digest}.spool.db"
