"""A response cache that lives and dies with its process, on an injected clock: for runs in virtual time."""

from __future__ import annotations

from providers.clock import Clock


class MemoryCacheStore:
    """A CacheStore that nothing outlives. An entry is dropped when it is asked for after its time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[float, bytes]] = {}

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if self._clock.monotonic() >= entry[0]:
            del self._entries[key]
            return None
        return entry[1]

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        self._entries[key] = (self._clock.monotonic() + ttl, value)

    async def delete(self, key: str) -> None:
        self._entries.pop(key, None)

    async def clear(self) -> int:
        count = len(self._entries)
        self._entries.clear()
        return count

    async def size_bytes(self) -> int:
        return sum(len(value) for _, value in self._entries.values())

    async def close(self) -> None:
        self._entries.clear()
