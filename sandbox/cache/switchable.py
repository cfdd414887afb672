"""A cache whose store can be changed under requests that are under way: none of them finds a closed one."""

from __future__ import annotations

from typing import NamedTuple

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

    async def replace(self, store: CacheStore | None) -> None:
        """Use that one from now on; returns when the one before is closed, after its last use."""
        before, self._seat = self._seat, _Seat(store, InUse())
        await before.uses.over()
        if before.store is not None:
            await before.store.close()

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
