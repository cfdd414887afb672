"""Writes usage records in the background: batches, with their roll-ups, in one transaction each.

What the database cannot take is never dropped in silence. The batch that meets the trouble goes to the spool, later
ones wait in memory until the next try a second later, then go to the spool too; when even that fails they stay in
memory, up to a limit, and `problem` says so. As soon as the database can be written again, all of it follows, each
record once.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from providers.clock import Clock
from sandbox.core.background import BatchWorker
from sandbox.core.bulk import BulkInsert
from sandbox.usage import database, rollups
from sandbox.usage.base import UsageRecord, UsageUnavailable
from sandbox.usage.periods import DAY_US
from sandbox.usage.records import COLUMNS, mended, to_row
from sandbox.usage.reports import PRUNED
from sandbox.usage.spool import Spool

logger = logging.getLogger(__name__)

LINGER_S = 0.06
"""Of the 100 ms within which a record is to be committed; the rest is for the commit on a busy machine."""
BATCH = 5000
RETRY_S = 1.0
HELD_LIMIT = 20_000
"""Records kept in memory when neither database nor spool takes them: about 50 MB."""
PRUNE_CHUNK = 1000
_DAY_S = DAY_US / 1e6

_TROUBLE = (sqlite3.OperationalError, OSError, UsageUnavailable)
"""What may be better later: locked, full, unwritable, gone. Everything else is the record's or the file's own fault."""

# Only this conflict: OR IGNORE would pass over a record that breaks another rule, without a word.
_INSERT = BulkInsert("usage", COLUMNS, "ON CONFLICT (log_id) DO NOTHING")


class UsageWriter:
    """Owns the thread, its connection and the spool.

    Raises UsageUnavailable only for a database that is not ours to write.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        sync: bool,
        retention_days: float | None = None,
        rolled_up: bool = True,
        committed: Callable[[sqlite3.Connection], None] | None = None,
    ) -> None:
        """`rolled_up=False` keeps the records without their sums; `committed` is called after each commit of some."""
        self._path = path
        self._clock = clock
        self._sync = sync
        self._rolled_up = rolled_up
        self._committed = committed
        self._retention_us = None if retention_days is None else int(retention_days * DAY_US)
        self._link = database.Link(path, lambda: database.open_for_writing(path, clock=clock, sync=sync))
        self._spool = Spool.beside(path, clock)
        self._worker = BatchWorker[UsageRecord](
            "usage-writer", self._take, linger=0.0 if sync else LINGER_S, limit=BATCH, crowd=BATCH, tick=self._tick
        )
        self._held: list[UsageRecord] = []
        self._spooled = 0
        self._lost = 0
        self._counting = threading.Lock()
        self._trouble: str | None = None
        self._notice: str | None = None
        self._open()

    # --- from any thread -------------------------------------------------------------------------------------------

    def put(self, record: UsageRecord) -> None:
        if self._trouble is not None and self.waiting >= HELD_LIMIT:
            self._lose(1)
            return
        self._worker.put(record)

    @property
    def waiting(self) -> int:
        """Records in memory only."""
        return self._worker.waiting + len(self._held)

    @property
    def pending(self) -> int:
        """Records taken that are not in the database yet."""
        return self.waiting + self._spooled

    @property
    def problem(self) -> str | None:
        """The present trouble, or else a damaged database that was set aside, and how many records were lost."""
        what = self._trouble or self._notice
        if not self._lost:
            return what
        return f"{what or f'the usage database {self._path} was in trouble'}; {self._lost} usage records were lost"

    def flush(self) -> Future[None]:
        """Done when everything put so far is in the database; fails with UsageUnavailable."""
        return self._worker.call(self._settle)

    @property
    def in_trouble(self) -> bool:
        return self._trouble is not None

    def settled(self) -> Future[None]:
        """Done when everything put so far was tried."""
        return self._worker.call(lambda: None)

    def prune(self, before_us: int) -> Future[int]:
        """Delete up to PRUNE_CHUNK raw rows; how many it were. Call until 0, so that records get in between."""
        return self._worker.call(lambda: self._prune(before_us))

    def replace_damaged(self, error: BaseException) -> Future[None]:
        """Set the database aside that a reader found damaged."""
        return self._worker.call(lambda: self._replace(error))

    def close(self) -> Future[None]:
        """Write what is left, to the spool if need be, and end the thread."""
        self._worker.call(self._finish)
        return self._worker.stop()

    # --- on the worker's thread, and in the constructor ------------------------------------------------------------

    def _open(self) -> None:
        if self._retention_us is not None:
            self._worker.tick_in(0)
        try:
            try:
                self._link.get()
            except sqlite3.DatabaseError as error:
                if not database.is_damaged(error):
                    raise
                self._replace(error)
        except (sqlite3.Error, OSError) as error:
            self._in_trouble(error)
        if self._spool.files():
            self._worker.call(self._recover)

    def _take(self, batch: list[UsageRecord]) -> None:
        if self._trouble is not None:
            self._held += batch
            return
        try:
            self._store(batch)
        except Exception as error:
            self._in_trouble(error)
            self._held += batch
            self._spool_held()

    def _store(self, batch: Sequence[UsageRecord]) -> None:
        """Commit the batch, without the records that no database could hold. Raises what stands in the way."""
        try:
            self._commit(batch)
        except _TROUBLE:
            raise
        except Exception as error:
            if database.is_damaged(error):
                self._replace(error)
                self._store(batch)
            elif len(batch) > 1:
                # A record that cannot be written must not take the others with it.
                for record in batch:
                    self._store([record])
            else:
                self._store_mended(batch[0], error)

    def _store_mended(self, record: UsageRecord, error: Exception) -> None:
        try:
            self._commit([mended(record)])
            logger.warning("usage record %s was mended before it could be stored: %s", ascii(record.log_id), error)
        except _TROUBLE:
            raise
        except Exception as second:
            logger.error("usage record %s cannot be stored: %s", ascii(record.log_id), second)
            self._lose(1)

    def _commit(self, batch: Sequence[UsageRecord]) -> None:
        with database.transaction(self._link.get()) as connection:
            fresh = insert(connection, batch)
            if self._rolled_up:
                rollups.add(connection, fresh)
        if self._committed is not None:
            self._committed(connection)

    def _settle(self) -> None:
        if self._trouble is not None:
            self._recover()
        if self._trouble is not None:
            self._spool_held()
            kept = f"; {len(self._held)} records wait in memory" if self._held else ""
            if self._spooled:
                kept = f"; {self._spooled} records are kept in {self._spool.folder}"
            raise UsageUnavailable(f"{self._trouble}{kept}")

    def _finish(self) -> None:
        try:
            self._settle()
        except UsageUnavailable as error:
            # Where nothing was to be written the trouble that was told of already is nobody's loss.
            if self._held or self._spooled:
                logger.error("%s", error)
            self._lose(len(self._held))
            self._held.clear()
        self._link.close()

    def _recover(self) -> None:
        """Bring in what waits in memory and in the spool, and end the trouble if that works."""
        try:
            self._link.get()
            while self._held:
                self._store(self._held[:BATCH])
                del self._held[:BATCH]
            for path in self._spool.files():
                records = self._spool.read(path)
                for start in range(0, len(records), BATCH):
                    self._store(records[start : start + BATCH])
                self._spool.remove(path)
        except Exception as error:
            self._in_trouble(error)
            return
        self._spooled = 0
        if self._trouble is not None:
            self._trouble = None
            self._worker.tick_in(None if self._retention_us is None else 0)
            logger.warning("the usage database %s can be written again", self._path)

    def _tick(self) -> None:
        if self._trouble is not None:
            self._recover()
            if self._trouble is not None:
                self._spool_held()
        elif self._retention_us is not None:
            try:
                more = self._prune(self._clock.time_us() - self._retention_us)
            except (sqlite3.Error, OSError) as error:
                logger.warning("old usage records could not be deleted: %s", error)
                more = 0
            self._worker.tick_in(0 if more else _DAY_S)

    def _in_trouble(self, error: BaseException) -> None:
        if self._trouble is None:
            logger.warning("%s", database.sentence(self._path, error))
        self._trouble = database.sentence(self._path, error)
        self._worker.tick_in(RETRY_S)

    def _spool_held(self) -> None:
        if not self._held:
            return
        try:
            self._spool.write(self._held)
        except OSError:
            excess = len(self._held) - HELD_LIMIT
            if excess > 0:
                del self._held[:excess]
                self._lose(excess)
            return
        self._spooled += len(self._held)
        self._held.clear()

    def _lose(self, count: int) -> None:
        if not count:
            return
        with self._counting:
            first = not self._lost
            self._lost += count
        if first:
            logger.error("%s", self.problem)

    def _replace(self, error: BaseException) -> None:
        """Set a damaged database aside and begin a new one, unless another process has done so."""
        if not self._link.is_current():
            try:
                self._link.get()
                return
            except sqlite3.DatabaseError as again:
                if not database.is_damaged(again):
                    raise
        self._link.close()
        aside = database.set_aside(self._path, self._clock)
        self._link.get()
        self._notice = (
            f"the usage database {self._path} was damaged ({error}); it is now {aside}, and a new one was begun"
        )
        logger.warning("%s", self._notice)

    def _prune(self, before_us: int) -> int:
        deleted = 0
        with database.transaction(self._link.get()) as connection:
            connection.execute(
                "INSERT INTO fact (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                [PRUNED, before_us],
            )
            # One mode at a time, because the index by time begins with the mode.
            modes = connection.execute("SELECT DISTINCT mode FROM rollup WHERE kind = 0 AND grain = 'month'").fetchall()
            for (mode,) in modes:
                deleted += connection.execute(
                    "DELETE FROM usage WHERE id IN (SELECT id FROM usage WHERE mode = ? AND timestamp_us < ? LIMIT ?)",
                    [mode, before_us, PRUNE_CHUNK - deleted],
                ).rowcount
        if deleted:
            # A little each time: giving back the pages of a million rows at once would hold up the records meanwhile.
            # As a script, because this statement gives back one page at each step, and execute() takes one step.
            connection.executescript(f"PRAGMA incremental_vacuum({PRUNE_CHUNK})")
        return deleted


def insert(connection: sqlite3.Connection, batch: Sequence[UsageRecord]) -> list[tuple[Any, ...]]:
    """Insert the records; the rows of those that were not there yet."""
    first = (connection.execute("SELECT max(id) FROM usage").fetchone()[0] or 0) + 1
    rows = [to_row(number, record) for number, record in enumerate(batch, first)]
    before = connection.total_changes
    _INSERT.run(connection, rows)
    if connection.total_changes - before == len(rows):
        return rows
    fresh = {number for (number,) in connection.execute("SELECT id FROM usage WHERE id >= ?", [first])}
    return [row for row in rows if row[0] in fresh]
