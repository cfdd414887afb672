"""The usage database as a file: opened, replaced when it is damaged, opened anew when somebody else replaced it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from providers.clock import Clock, utc
from sandbox.usage import migrations
from sandbox.usage.base import UsageUnavailable

BUSY_S = 2.0
"""How long a statement waits for another process's write. The writer is off the event loop, so it may."""
_WAL_TRIES = 100


def open_for_writing(path: Path, *, clock: Clock, sync: bool) -> sqlite3.Connection:
    """A connection to an existing or new database with the current schema, for any one thread at a time.

    Raises UsageUnavailable for a newer schema or another program's file; sqlite3.Error or OSError where the file system
    or a lock is in the way.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made here, so that the file, and the log that SQLite makes in its likeness, are private from the start.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        if not migrations.is_current(connection):
            # Before anything of the file is changed.
            migrations.check(connection, path)
            _prepare(connection)
            migrations.bring_up_to_date(connection, path, clock)
        # NORMAL in WAL mode: a commit is in the operating system's hands, so the death of this process loses nothing;
        # only a power cut may take the last moments. FULL also waits for the disk at every commit.
        connection.execute(f"PRAGMA synchronous = {'FULL' if sync else 'NORMAL'}")
        connection.execute("PRAGMA cache_size = -4000")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write.

    Raises sqlite3.Error when there is no such database, UsageUnavailable for one that cannot be written and has another
    schema, and for one whose write-ahead log cannot be read where it lies.
    """
    access = _access(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{access}", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        if access != _SHARED:
            _check_as_it_is(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


_SHARED = "mode=rw"
"""Readers of a write-ahead log take part in its bookkeeping, which lies in files beside the database."""


def is_writable(path: Path) -> bool:
    """Whether the database, and what lies beside it, may be written by this process."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def _access(path: Path) -> str:
    if is_writable(path) or not path.exists():
        return _SHARED
    log, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    if index.exists() or (log.exists() and log.stat().st_size):
        return "mode=ro"
    # Nobody has it open, and nothing is missing from it: it is read as it lies, without the files that SQLite would
    # have to make beside it.
    return "mode=ro&immutable=1"


def _check_as_it_is(connection: sqlite3.Connection, path: Path) -> None:
    """Raise UsageUnavailable for a schema that this program cannot read and may not change."""
    try:
        migrations.check(connection, path)
        if not migrations.is_current(connection):
            raise UsageUnavailable(
                f"the usage database {path} has an older schema and cannot be written, so that it cannot be brought up "
                "to date: copy it to a folder of your own and name that as `data_dir`"
            )
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_CANTOPEN:
            raise
        raise UsageUnavailable(
            f"the usage database {path} has a write-ahead log that cannot be read where nothing may be written: copy "
            "it with the files beside it to a folder of your own and name that as `data_dir`"
        ) from error


def _prepare(connection: sqlite3.Connection) -> None:
    """Settings that a database keeps: a write-ahead log, and pages that can be given back after pruning."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for _ in range(_WAL_TRIES):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Two processes that switch to WAL at once are told "locked" without the wait that statements get.
            if _code(error) != sqlite3.SQLITE_BUSY:
                raise
            Event().wait(BUSY_S / _WAL_TRIES)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing, and alone: other processes wait for it, so that nobody adds to the same sums meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_damaged(error: BaseException) -> bool:
    """Whether the error says that the file is no sound SQLite database."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_locked(error: BaseException) -> bool:
    """Whether the error says that somebody else is at the database just now."""
    return isinstance(error, sqlite3.Error) and _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _code(error: sqlite3.Error) -> int:
    """The primary result code; 0 for errors that the Python module raises by itself."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def set_aside(path: Path, clock: Clock) -> Path:
    """Rename a damaged database, with its log, and return its new name. Raises OSError when that is not possible."""
    stamp = utc(clock.time_us()).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    # The log first: a new database under the old name must never find the log of the old one.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def sentence(path: Path, error: BaseException) -> str:
    """What is wrong with the database, for the user."""
    if isinstance(error, UsageUnavailable):
        return str(error)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"the usage database {path} cannot be used: {reason}"


class Link:
    """A connection that notices when the file behind it was moved or deleted, and then opens the new one.

    Without that, a process would go on writing into a file that nobody will ever read.
    """

    def __init__(self, path: Path, open_it: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._open = open_it
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def get(self) -> sqlite3.Connection:
        """The connection, opened if need be; raises what opening raises."""
        if self._connection is not None and self.is_current():
            return self._connection
        self.close()
        connection = self._open()
        self._connection, self._identity = connection, self._current()
        return connection

    def is_current(self) -> bool:
        """Whether there is a connection, to the file that now has the name."""
        return self._connection is not None and self._identity == self._current()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _current(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino
