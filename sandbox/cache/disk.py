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

from providers.clock import SYSTEM_CLOCK, Clock, utc
from sandbox.cache.base import CacheUnavailable
from sandbox.core.background import BatchWorker

if TYPE_CHECKING:
    from sandbox.cache.plain import PlainCache

R = TypeVar("R")

logger = logging.getLogger(__name__)

LINGER_S = 0.25
BATCH = 200
OVERLAY_BYTES = 32 * 2**20
"""Answers that may wait to be written. A disk that falls so far behind counts as one that does not work."""
_WRITE_TRIES = 20
"""Each waits 50 ms for another process's lock."""
_LOCKED_S = 1.0
"""After a lock stood in the way of opening, `get` is a miss for this long without another try."""
_GARBAGE_S = 3600.0
"""Entries expire by the injected clock; diskcache, which has its own, clears them away this much later."""


class _Entry(NamedTuple):
    value: bytes | None
    """None: deleted."""
    expires_us: int


_NOTHING = _Entry(None, 0)


class DiskCacheStore:
    """Implements CacheStore over one folder, shared by several processes.

    `size_limit`: bytes on disk; beyond it the entries stored longest ago go first. A database that another process has
    locked is a miss; a damaged one is moved aside with a warning. A folder that cannot be used raises CacheUnavailable,
    here and in every method; what fails in the background is raised by the next `set`.
    """

    def __init__(self, folder: Path, *, size_limit: int, clock: Clock) -> None:
        self.folder = folder
        self._size_limit = size_limit
        self._clock = clock
        self._overlay: dict[str, _Entry] = {}
        self._overlay_bytes = 0
        self._overlay_lock = threading.Lock()
        self._worker = BatchWorker[str]("cache-writer", self._write, linger=LINGER_S, limit=BATCH)
        self._failure: str | None = None
        self._cache: PlainCache | None = None
        self._opening = threading.Lock()
        self._locked_until = 0.0
        self._opened()

    async def get(self, key: str) -> bytes | None:
        entry = self._overlay.get(key)
        value, expires_us = self._lookup(key) if entry is None else entry
        return value if self._clock.time_us() < expires_us else None

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise CacheUnavailable(failure)
        if self._overlay_bytes + len(value) > OVERLAY_BYTES:
            raise CacheUnavailable(
                f"the cache {self.folder} cannot keep up: {len(self._overlay)} answers wait to be written"
            )
        self._put(key, _Entry(value, self._clock.time_us() + round(ttl * 1e6)))

    async def delete(self, key: str) -> None:
        self._put(key, _NOTHING)

    async def clear(self) -> int:
        return await self._call(lambda cache: int(cache.clear()))

    async def size_bytes(self) -> int:
        return await self._call(lambda cache: int(cache.volume()))

    async def close(self) -> None:
        self._worker.call(self._close_connection)
        await asyncio.shield(asyncio.wrap_future(self._worker.stop()))
        self._close_connection()
        if self._failure is not None:
            logger.warning("%s", self._failure)
            self._failure = None

    # --- on any thread ---------------------------------------------------------------------------------------------

    def _opened(self) -> PlainCache | None:
        """The cache; None while another process keeps it locked. Raises CacheUnavailable."""
        if self._cache is not None:
            return self._cache
        from sandbox.cache import plain

        with self._opening:
            for last in (False, True):
                try:
                    self._cache = self._cache or plain.PlainCache(self.folder, self._size_limit)
                    break
                except plain.FAILURES as error:
                    if plain.is_locked(error):
                        self._locked_until = self._clock.monotonic() + _LOCKED_S
                        break
                    if last or not plain.is_damaged(error):
                        raise self._unavailable(error) from error
                    self._set_aside(error)
        return self._cache

    def _lookup(self, key: str) -> tuple[bytes | None, int]:
        """The value in the database and when it expires."""
        cache = self._cache
        if cache is None:
            if self._clock.monotonic() < self._locked_until:
                return _NOTHING
            cache = self._opened()
            if cache is None:
                return _NOTHING
        try:
            found = cache.found(key)
        except (sqlite3.Error, OSError) as error:
            self._recover(cache, error)
            return _NOTHING
        return found if found is not None and type(found[1]) is int else _NOTHING

    def _recover(self, cache: PlainCache, failure: BaseException) -> None:
        """After a failed operation: a lock passes, a damaged database is replaced, all else is CacheUnavailable."""
        from sandbox.cache import plain

        error = plain.cause(failure)
        # Whatever the connection had begun ends with it; the next operation of this thread opens another.
        cache.close()
        if plain.is_locked(error):
            return
        if not plain.is_damaged(error):
            raise self._unavailable(error) from error
        with self._opening:
            if self._cache is cache:
                self._cache = None
                self._set_aside(error)

    def _set_aside(self, error: BaseException) -> None:
        stamp = utc(self._clock.time_us()).strftime("%Y%m%dT%H%M%S")
        name = f"cache.db.damaged-{stamp}"
        try:
            # The log first: a new database under the old name must never find the log of the old one.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    (self.folder / f"cache.db{suffix}").replace(self.folder / f"{name}{suffix}")
        except OSError as second:
            raise self._unavailable(second) from error
        logger.warning(
            "the cache %s was damaged (%s); its database is now %s, and a new one was begun", self.folder, error, name
        )

    def _unavailable(self, error: BaseException) -> CacheUnavailable:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return CacheUnavailable(f"the cache {self.folder} cannot be used: {reason}")

    def _close_connection(self) -> None:
        if self._cache is not None:
            self._cache.close()

    # --- writing ---------------------------------------------------------------------------------------------------

    def _put(self, key: str, entry: _Entry) -> None:
        with self._overlay_lock:
            self._overlay_bytes += _size(entry) - _size(self._overlay.get(key))
            self._overlay[key] = entry
        self._worker.put(key)

    async def _call(self, work: Callable[[PlainCache], R]) -> R:
        """Run it on the writing thread, after what was set before."""
        return await asyncio.wrap_future(self._worker.call(lambda: self._patiently(work)))

    def _patiently(self, work: Callable[[PlainCache], R]) -> R:
        """Run it on this thread, again after a lock or with a new database. Raises CacheUnavailable."""
        from sandbox.cache import plain

        for _ in range(_WRITE_TRIES):
            cache = self._opened()
            if cache is not None:
                try:
                    return work(cache)
                except plain.FAILURES as error:
                    self._recover(cache, error)
        raise CacheUnavailable(f"the cache {self.folder} is locked by another process")

    def _write(self, keys: list[str]) -> None:
        entries = {key: entry for key in keys if (entry := self._overlay.get(key)) is not None}
        try:
            self._store(entries)
        except CacheUnavailable as error:
            self._failure = str(error)
        finally:
            with self._overlay_lock:
                for key, entry in entries.items():
                    if self._overlay.get(key) is entry:
                        del self._overlay[key]
                        self._overlay_bytes -= _size(entry)

    def _store(self, entries: dict[str, _Entry]) -> None:
        def work(cache: PlainCache) -> None:
            now_us = self._clock.time_us()
            now = SYSTEM_CLOCK.time_us() / 1e6
            with cache.transact():
                cache.set_many(
                    (
                        (key, entry.value, now + (entry.expires_us - now_us) / 1e6 + _GARBAGE_S, entry.expires_us)
                        for key, entry in entries.items()
                        if entry.value is not None
                    ),
                    now=now,
                )
                for key, entry in entries.items():
                    if entry.value is None:
                        cache.delete(key)
            cache.cull()

        self._patiently(work)


def _size(entry: _Entry | None) -> int:
    return 0 if entry is None or entry.value is None else len(entry.value)
