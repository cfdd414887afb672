"""Counts the uses of something that are under way, so that it can be closed after the last one."""

from __future__ import annotations

import asyncio


class InUse:
    """`with uses: …` is one use; uses may overlap. Belongs to one event loop."""

    __slots__ = ("_count", "_over")

    def __init__(self) -> None:
        self._count = 0
        self._over: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count and self._over is not None:
            self._over.set()

    async def over(self) -> None:
        """Return when nothing is under way any more. Nothing new is to begin meanwhile."""
        if self._count:
            self._over = asyncio.Event()
            await self._over.wait()
