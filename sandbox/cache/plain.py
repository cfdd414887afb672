"""diskcache without pickle, without files beside its database, and without long waits.

diskcache unpickles what its database tells it to, so whoever can write that file runs code here (CVE-2025-69872). This
one keeps text keys and byte values in the database itself: no row can make it unpickle, read or delete anything else.
Import it late: diskcache takes longer to import than a hit takes a thousand times over.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import diskcache
from diskcache.core import DBNAME, MODE_RAW

from sandbox.core.bulk import BulkInsert

BUSY_S = 0.05
"""How long a statement waits for another process's lock: a hit is not worth more of the event loop's time."""
_STEP_S = 0.001
_OPENING_TRIES = 25
"""Half of BUSY_S for all statements of an opening together; the other half is for the settings before it."""

_IS_OURS = f"raw = 1 AND mode = {MODE_RAW} AND typeof(value) = 'blob'"
_GET = f"SELECT value, tag FROM Cache WHERE key = ? AND {_IS_OURS}"  # noqa: S608 - constants
_REPLACED = ("store_time", "expire_time", "access_time", "tag", "size", "mode", "filename", "value")
_SET = BulkInsert(
    "Cache",
    ("key", "raw", "access_count", *_REPLACED),
    f"ON CONFLICT (key, raw) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _REPLACED)}",
)

FAILURES = (sqlite3.Error, OSError, diskcache.Timeout)
"""What a method of the cache may raise."""


class Refused(OSError):
    """The row holds something else than bytes in the database. An OSError, because diskcache takes that for a miss."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """Converts nothing: text keys, byte values; refuses all else."""

    def put(self, key: Any) -> tuple[str, bool]:
        if type(key) is not str:
            raise TypeError(f"a cache key is text, not {type(key).__name__}")
        return key, True

    def get(self, key: Any, raw: Any) -> str:
        if not raw or type(key) is not str:
            raise Refused("a pickled key")
        return key

    def store(self, value: Any, read: bool, key: Any = None) -> tuple[int, int, None, bytes]:
        if read or type(value) is not bytes:
            raise TypeError(f"a cached value is bytes, not {type(value).__name__}")
        return 0, MODE_RAW, None, value

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> bytes:
        if mode != MODE_RAW or type(value) is not bytes or read:
            raise Refused("not a row of bytes")
        return value

    def remove(self, file_path: str) -> None:
        """Nothing: no value is in a file, so a row that names one does not come from here."""


class PlainCache(diskcache.Cache):  # type: ignore[misc]
    """Raises sqlite3.Error or OSError when the folder cannot be used; "database is locked" within about BUSY_S.

    Each thread has its own connection, to be closed there.
    """

    def __init__(self, folder: Path, size_limit: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chmod(folder, 0o700)
        self._tries = _OPENING_TRIES
        # Held until diskcache has its own: it opens twice, and closing the only connection waits for the disk.
        with closing(_prepared(folder / DBNAME)):
            super().__init__(
                folder,
                timeout=BUSY_S,
                disk=PlainDisk,
                size_limit=size_limit,
                eviction_policy="least-recently-stored",
                statistics=0,
                tag_index=0,
                sqlite_cache_size=-2000,
                sqlite_mmap_size=2**24,
            )

    def found(self, key: str) -> tuple[bytes, Any] | None:
        """Value and tag of a key, whenever it expires, as `get` finds them, at two thirds of its cost."""
        row: tuple[bytes, Any] | None = self._con.execute(_GET, (key,)).fetchone()
        return row

    def set_many(self, items: Iterable[tuple[str, bytes, float, int]], *, now: float) -> None:
        """Store (key, value, expire_time, tag) rows as `set` would one by one, at half the cost.

        To be called within `transact`; times are seconds since 1970.
        """
        rows = [(key, 1, 0, now, expires, now, tag, 0, MODE_RAW, None, value) for key, value, expires, tag in items]
        _SET.run(self._con, rows)

    @property
    def _sql_retry(self) -> Callable[..., sqlite3.Cursor]:
        # diskcache tries for 60 s here, whatever its timeout.
        sql = self._sql

        def execute(*arguments: Any) -> sqlite3.Cursor:
            while True:
                try:
                    cursor: sqlite3.Cursor = sql(*arguments)
                    return cursor
                except sqlite3.OperationalError as error:
                    if not is_locked(error) or self._tries <= 0:
                        raise
                    self._tries -= 1
                    Event().wait(_STEP_S)

        return execute


def _prepared(path: Path) -> sqlite3.Connection:
    """A connection, with the settings made that the file keeps. diskcache would wait up to a minute for their lock."""
    connection = sqlite3.connect(path, timeout=BUSY_S / 2, isolation_level=None)
    try:
        connection.execute("PRAGMA auto_vacuum = FULL")
        connection.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        connection.close()
        raise
    return connection


def cause(error: BaseException) -> BaseException:
    """The first error, behind diskcache's Timeout for whatever else it was, or behind a rollback that failed too."""
    while isinstance(error.__context__, FAILURES):
        error = error.__context__
    return error


def is_locked(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damaged(error: BaseException) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: BaseException) -> int:
    """SQLite's primary result code; 0 for everything else."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
