"""Usage records whose store can be changed while they come in: each goes to exactly one store, and none is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from sandbox.core.in_use import InUse
from sandbox.usage.base import Dimension, Summary, UsageFilter, UsageRecord, UsageStore, UsageTotals


class _Seat(NamedTuple):
    store: UsageStore
    uses: InUse


class SwitchableUsageStore:
    """A UsageStore over another."""

    def __init__(self, store: UsageStore) -> None:
        self._seat = _Seat(store, InUse())

    @property
    def current(self) -> UsageStore:
        return self._seat.store

    def replace(
        self, store: UsageStore, last: Callable[[UsageStore], Awaitable[None]] | None = None
    ) -> Coroutine[Any, Any, None]:
        """Record there from now on. To be awaited: what this returns commits what the store before took, and closes it.

        `last` may read it before it is closed. That raises UsageUnavailable where not all could be committed: the rest
        waits in that store's spool.
        """
        before, self._seat = self._seat, _Seat(store, InUse())
        return _leave(before, last)

    @property
    def problem(self) -> str | None:
        return self._seat.store.problem

    @property
    def pending(self) -> int:
        return self._seat.store.pending

    def record(self, record: UsageRecord) -> None:
        self._seat.store.record(record)

    async def flush(self) -> None:
        store, uses = self._seat
        with uses:
            await store.flush()

    async def totals(self, where: UsageFilter) -> UsageTotals:
        store, uses = self._seat
        with uses:
            return await store.totals(where)

    async def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        store, uses = self._seat
        with uses:
            return await store.breakdown(where, by)

    async def summary(self, where: UsageFilter) -> Summary:
        store, uses = self._seat
        with uses:
            return await store.summary(where)

    async def get(self, request_id: str) -> UsageRecord | None:
        store, uses = self._seat
        with uses:
            return await store.get(request_id)

    async def recent(self, where: UsageFilter, limit: int = 50) -> Sequence[UsageRecord]:
        store, uses = self._seat
        with uses:
            return await store.recent(where, limit)

    async def scan(self, where: UsageFilter) -> AsyncIterator[UsageRecord]:
        store, uses = self._seat
        with uses:
            async for record in store.scan(where):
                yield record

    async def prune(self, *, before_us: int) -> int:
        store, uses = self._seat
        with uses:
            return await store.prune(before_us=before_us)

    async def close(self) -> None:
        await self._seat.store.close()


async def _leave(seat: _Seat, last: Callable[[UsageStore], Awaitable[None]] | None) -> None:
    await seat.uses.over()
    try:
        await seat.store.flush()
        if last is not None:
            await last(seat.store)
    finally:
        await seat.store.close()
