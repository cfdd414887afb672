"""A cache whose store can be changed under requests that are under way: none of them finds a closed one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple

from sandbox.cache.base import CacheStore
from sandbox.core.in_use import InUse


class _Seat(NamedTuple):
    store: CacheStore | None
    uses: InUse


class SwitchableCacheStore:
    """A CacheStore over another, or over none: then nothing is found and nothing is kept."""

    def __init__(self, store: CacheStore | None) -> None:
        self._seat = _Seat(store, InUse())

    @property
    def current(self) -> CacheStore | None:
        return self._seat.store

    def replace(self, store: CacheStore | None) -> Coroutine[Any, Any, None]:
        """Use that one from now on. To be awaited: what this returns closes the one before, after its last use."""
        before, self._seat = self._seat, _Seat(store, InUse())
        return _leave(before)

    async def get(self, key: str) -> bytes | None:
        store, uses = self._seat
        if store is None:
            return None
        with uses:
            return await store.get(key)

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        store, uses = self._seat
        if store is not None:
            with uses:
                await store.set(key, value, ttl=ttl)

    async def delete(self, key: str) -> None:
        store, uses = self._seat
        if store is not None:
            with uses:
                await store.delete(key)

    async def clear(self) -> int:
        store, uses = self._seat
        if store is None:
            return 0
        with uses:
            return await store.clear()

    async def size_bytes(self) -> int:
        store, uses = self._seat
        if store is None:
            return 0
        with uses:
            return await store.size_bytes()

    async def close(self) -> None:
        if self._seat.store is not None:
            await self._seat.store.close()


async def _leave(seat: _Seat) -> None:
    await seat.uses.over()
    if seat.store is not None:
        await seat.store.close()
