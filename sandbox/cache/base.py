"""What the gateway asks of a response cache. Values are bytes; what they mean is the gateway's business."""

from __future__ import annotations

from typing import Protocol


class CacheStore(Protocol):
    """Keys are text; time to live is seconds. Any method may raise CacheUnavailable; the gateway goes on without."""

    async def get(self, key: str) -> bytes | None: ...

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        """Keep for `ttl` seconds. May be finished in the background, but a later `get` here sees it at once."""
        ...

    async def delete(self, key: str) -> None: ...

    async def clear(self) -> int:
        """Forget everything; returns how many entries there were."""
        ...

    async def size_bytes(self) -> int: ...

    async def close(self) -> None:
        """Finish what is under way; safe to call twice."""
        ...


class CacheUnavailable(Exception):
    """The cache cannot be used; the message says why in one sentence."""
