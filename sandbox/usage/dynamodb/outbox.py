"""The spool: records on this disk that are on their way to DynamoDB.

It is a usage database like the local one, written by the same thread in the same way, but without sums, and records
leave it when the table has them. Its facts number the batches: an open batch is every row up to an id, and neither its
rows nor its number change until it is finished, so that it may be sent again, by this process or another.
"""

from __future__ import annotations

import logging
import platform
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

from providers.clock import Clock, random_id
from sandbox.core import figures
from sandbox.usage import database
from sandbox.usage.base import UsageRecord
from sandbox.usage.dynamodb import names
from sandbox.usage.migrations import pragma
from sandbox.usage.records import COLUMNS
from sandbox.usage.writer import UsageWriter

logger = logging.getLogger(__name__)

BATCH: Final = 5000
"""Most records in a batch: the more there are, the less their roll-ups cost."""
BATCH_BYTES: Final = 16_000_000
"""Most of a batch in memory; prompts and answers, where they are stored, may be long."""
_RECORD_BYTES: Final = 1000
_VACUUM_PAGES: Final = 1000

_SPOOL, _IDENTITY, _NUMBER, _LAST = "spool", "spool_identity", "batch", "batch_last_id"
_ROWS = f"SELECT {', '.join(COLUMNS)} FROM usage WHERE id <= ? ORDER BY id"  # noqa: S608 - constants


class Batch(NamedTuple):
    spool: str
    number: int
    rows: list[tuple[Any, ...]]


class Stored(NamedTuple):
    """What the spool held when it was last looked at."""

    depth: int = 0
    bytes: int = 0
    oldest_us: int | None = None


class Outbox:
    """Raises what UsageWriter raises. `batch`, `begin` and `finish` are for one thread, and raise sqlite3.Error,
    OSError or UsageUnavailable where the spool cannot be read or written.
    """

    def __init__(self, path: Path, *, clock: Clock, sync: bool, limit: int) -> None:
        self.path = path
        self.limit = limit
        self.arrived: Callable[[], None] = _nobody
        """Called on the writer's thread when records were committed."""
        self._measuring = threading.Lock()
        self._stored = Stored()
        self._refused = 0
        self._link = database.Link(path, lambda: database.open_for_writing(path, clock=clock, sync=sync))
        self._lease: sqlite3.Connection | None = None
        self._writer = UsageWriter(path, clock=clock, sync=sync, rolled_up=False, committed=self._committed)

    # --- from any thread --------------------------------------------------------------------------------------------

    def put(self, record: UsageRecord) -> None:
        if self._stored.bytes >= self.limit:
            self._refuse()
            return
        self._writer.put(record)

    @property
    def waiting(self) -> int:
        """Records in memory only."""
        return self._writer.waiting

    @property
    def in_trouble(self) -> bool:
        return self._writer.in_trouble

    @property
    def pending(self) -> int:
        """Records that are not in the table, as far as this process knows."""
        return self._writer.pending + self._stored.depth

    @property
    def stored(self) -> Stored:
        return self._stored

    @property
    def refused(self) -> int:
        return self._refused

    @property
    def problem(self) -> str | None:
        if self._refused:
            size = figures.size(self.limit)
            lost = f"the usage spool {self.path} has reached its {size}: {self._refused} usage records were lost"
            return f"{self._writer.problem}; {lost}" if self._writer.problem else lost
        return self._writer.problem

    def read(self) -> Stored:
        """What the spool holds now, as whoever has just opened it cannot know yet. Blocks."""
        with closing(database.open_for_reading(self.path)) as connection:
            self._measure(connection)
        return self._stored

    def flush(self) -> Future[None]:
        """Done when everything put so far is on the disk; fails with UsageUnavailable."""
        return self._writer.flush()

    def settled(self) -> Future[None]:
        return self._writer.settled()

    def close_writer(self) -> Future[None]:
        return self._writer.close()

    # --- on the sending thread --------------------------------------------------------------------------------------

    @contextmanager
    def leased(self) -> Iterator[bool]:
        """Whether nobody else is sending; while it lasts, nobody will. A process that dies gives it back.

        It saves work and is not what keeps a record from being counted twice: a batch may be sent by two.
        """
        if self._lease is None:
            path = self.path.with_name(self.path.name + ".lease")
            self._lease = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._lease.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if not database.is_locked(error):
                raise
            yield False
            return
        try:
            yield True
        finally:
            self._lease.execute("ROLLBACK")

    def batch(self) -> Batch | None:
        """The open batch, if there is one."""
        connection = self._link.get()
        connection.execute("BEGIN")
        try:
            last = _fact(connection, _LAST)
            if not last:
                return None
            spool, number = _fact(connection, _SPOOL), _fact(connection, _NUMBER)
            return Batch(f"{spool:012x}", number, connection.execute(_ROWS, [last]).fetchall())
        finally:
            connection.execute("ROLLBACK")

    def begin(self, existing: Callable[[Sequence[str]], set[str]]) -> bool:
        """Make up the next batch, without what `existing` says of the table's keys; False when there is nothing."""
        connection = self._link.get()
        chosen = connection.execute(
            "SELECT id, log_id, coalesce(length(story), 0) FROM usage ORDER BY id LIMIT ?", [BATCH]
        ).fetchall()
        last = size = 0
        keys: dict[str, tuple[int, str]] = {}
        for number, log_id, story in chosen:
            size += _RECORD_BYTES + story
            if last and size > BATCH_BYTES:
                break
            last = number
            keys[names.fitting(log_id, names.LONGEST_KEY)] = (number, log_id)
        if not keys:
            return False
        known = existing(list(keys))
        with database.transaction(connection):
            if not _fact(connection, _LAST):
                # With the log_id, because an emptied table numbers its rows anew.
                connection.executemany(
                    "DELETE FROM usage WHERE id = ? AND log_id = ?", [keys[key] for key in known if key in keys]
                )
                # A row that is there: all that comes later has a higher id.
                last = connection.execute("SELECT max(id) FROM usage WHERE id <= ?", [last]).fetchone()[0] or 0
                self._number(connection, last)
        return True

    def finish(self, batch: Batch) -> None:
        """Take the batch out, for the table has it all; nothing where another process has done so."""
        connection = self._link.get()
        with database.transaction(connection):
            last = _fact(connection, _LAST)
            ours = (int(batch.spool, 16), batch.number)
            if last and (_fact(connection, _SPOOL), _fact(connection, _NUMBER)) == ours:
                connection.execute("DELETE FROM usage WHERE id <= ?", [last])
                _set(connection, _LAST, 0)
        if pragma(connection, "freelist_count") > _VACUUM_PAGES:
            connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
        self._measure(connection)

    def look(self) -> Stored:
        """What the spool holds now."""
        self._measure(self._link.get())
        return self._stored

    def release(self) -> None:
        """Close what the sending thread has open."""
        self._link.close()
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.close()

    # ----------------------------------------------------------------------------------------------------------------

    def _number(self, connection: sqlite3.Connection, last: int) -> None:
        if not last:
            return
        identity = self._identity()
        number = _fact(connection, _NUMBER) + 1
        if _fact(connection, _IDENTITY) != identity:
            # A new spool, or the copy of one that goes on elsewhere: its numbers must not pass for the other's.
            _set(connection, _IDENTITY, identity)
            _set(connection, _SPOOL, int(random_id()[:12], 16))
            number = 1
        _set(connection, _NUMBER, number)
        _set(connection, _LAST, last)

    def _identity(self) -> int:
        return crc32(f"{self.path.stat().st_ino}@{platform.node()}".encode())

    def _committed(self, connection: sqlite3.Connection) -> None:
        self._measure(connection)
        self.arrived()

    def _measure(self, connection: sqlite3.Connection) -> None:
        with self._measuring:
            used = pragma(connection, "page_count") - pragma(connection, "freelist_count")
            # Ids have few gaps, and counting a hundred thousand rows at each commit would take milliseconds.
            first, last = connection.execute("SELECT min(id), max(id) FROM usage").fetchone()
            oldest = connection.execute("SELECT timestamp_us FROM usage ORDER BY id LIMIT 1").fetchone()
            depth = 0 if first is None else last - first + 1
            self._stored = Stored(depth, used * pragma(connection, "page_size"), None if oldest is None else oldest[0])

    def _refuse(self) -> None:
        self._refused += 1
        if self._refused == 1:
            logger.error("%s", self.problem)


def _nobody() -> None: ...


def _fact(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM fact WHERE name = ?", [name]).fetchone()
    return row[0] if row else 0


def _set(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute(
        "INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [name, value],
    )
