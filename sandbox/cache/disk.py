"""The local response cache: diskcache without its pickle, read on the event loop and written behind it.

A hit is one SQLite lookup of some 15 µs, an eighth of what a hop to a thread would cost. Writes take a lock and the
disk, so they run on a thread of their own, several in one transaction; until then an overlay in memory answers.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from providers.clock import Clock, utc
from sandbox.cache.base import CacheUnavailable
from sandbox.core.background import BatchWorker

if TYPE_CHECKING:
    from sandbox.cache.plain import PlainCache

R = TypeVar("R")

logger = logging.getLogger(__name__)

LINGER_S = 0.02
BATCH = 200
OVERLAY_BYTES = 32 * 2**20
"""Answers that may wait to be written. A disk that falls so far behind counts as one that does not work."""
_WRITE_TRIES = 20
"""A second in all, of BUSY_S each."""
_GARBAGE_S = 3600.0
"""Entries expire by the injected clock; diskcache, which has its own, clears them away this much later."""


class _Entry(NamedTuple):
    value: bytes | None
    """None: deleted."""
    expires_us: int

    def at(self, now_us: int) -> bytes | None:
        return self.value if now_us < self.expires_us else None


class DiskCacheStore:
    """Implements CacheStore over one folder, shared by several processes.

    `size_limit`: bytes on disk; beyond it the entries stored longest ago go first. A database that another process has
    locked is a miss; a damaged one is moved aside with a warning. Raises CacheUnavailable, here and in every method, for
    a folder that cannot be used; what fails in the background is raised by the next `set`.
    """

    def __init__(self, folder: Path, *, size_limit: int, clock: Clock) -> None:
        self.folder = folder
        self._size_limit = size_limit
        self._clock = clock
        self._overlay: dict[str, _Entry] = {}
        self._overlay_bytes = 0
        self._lock = threading.Lock()
        self._worker = BatchWorker[str]("cache-writer", self._write, linger=LINGER_S, limit=BATCH)
        self._failure: str | None = None
        self._cache: PlainCache | None = None
        self._opened()

    async def get(self, key: str) -> bytes | None:
        entry = self._overlay.get(key)
        if entry is not None:
            return entry.at(self._clock.time_us())
        cache = self._cache or self._opened()
        if cache is None:
            return None
        try:
            value, expires_us = cache.get(key, tag=True)
        except (sqlite3.Error, OSError) as error:
            self._deal_with(error)
            return None
        if value is None or type(expires_us) is not int:
            return None
        return _Entry(value, expires_us).at(self._clock.time_us())

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise CacheUnavailable(failure)
        if self._overlay_bytes + len(value) > OVERLAY_BYTES:
            raise CacheUnavailable(f"the cache {self.folder} cannot keep up: {len(self._overlay)} answers wait to be written")
        self._put(key, _Entry(value, self._clock.time_us() + round(ttl * 1e6)))

    async def delete(self, key: str) -> None:
        self._put(key, _Entry(None, 0))

    async def clear(self) -> int:
        return await self._call(lambda cache: int(cache.clear()))

    async def size_bytes(self) -> int:
        return await self._call(lambda cache: int(cache.volume()))

    async def close(self) -> None:
        self._worker.call(self._close_connection)
        await asyncio.shield(asyncio.wrap_future(self._worker.stop()))
        self._close_connection()
        self._cache = None
        if self._failure is not None:
            logger.warning("%s", self._failure)
            self._failure = None

    # --- on the event loop -----------------------------------------------------------------------------------------

    def _put(self, key: str, entry: _Entry) -> None:
        with self._lock:
            self._overlay_bytes += _size(entry) - _size(self._overlay.get(key))
            self._overlay[key] = entry
        self._worker.put(key)

    async def _call(self, work: Callable[[PlainCache], R]) -> R:
        """Do it on the writing thread, after what was set before."""

        def job() -> R:
            cache = self._opened()
            if cache is None:
                raise CacheUnavailable(f"the cache {self.folder} is locked by another process")
            return work(cache)

        try:
            return await asyncio.wrap_future(self._worker.call(job))
        except (sqlite3.Error, OSError) as error:
            raise CacheUnavailable(self._sentence(error)) from error
