"""The local usage store: one SQLite file in WAL mode, written by a thread of its own, shared by several processes.

Reads run on a second thread with its own connection, which never waits for another's writes: a report over millions of
rows may take ten milliseconds, too long for the event loop. A read first lets the writer commit what this process has
recorded, so that it sees it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from providers.clock import Clock
from providers.errors import InputError
from sandbox.usage import database, migrations, reports
from sandbox.usage.base import Dimension, Summary, UsageFilter, UsageRecord, UsageTotals, UsageUnavailable
from sandbox.usage.records import COLUMNS, from_row
from sandbox.usage.spool import Spool
from sandbox.usage.writer import UsageWriter

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
Position = tuple[int, int]
"""Where a row stands among all: its time and its number."""

PAGE = 500
"""Records that `scan` holds at a time."""
_SYNC_WAIT_S = 5.0
position = itemgetter(COLUMNS.index("timestamp_us"), 0)
"""Of a row selected as COLUMNS."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM usage"  # noqa: S608 - constants
_AMONG = "request_id >= ? AND request_id < ?"
_COUNT = f"SELECT count(DISTINCT request_id) FROM usage WHERE {_AMONG}"  # noqa: S608 - constants


class SqliteUsageStore:
    """Implements UsageStore.

    `durability="sync"` makes `record` return only when the record is on the disk, power cuts included: about a
    millisecond of the event loop for each request. With `async` it is committed within 100 ms and then outlives the
    process.
    `retention_days`: raw records older than that are deleted, at the start and daily; roll-ups stay.
    `reading`: nothing is to be recorded, so that a database that cannot be written, or need not be, is only read.

    Raises UsageUnavailable for a database of a newer version or of another program. Any other trouble (locked, full,
    unwritable, damaged) is no reason to stop: see `problem`.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        durability: Literal["async", "sync"] = "async",
        retention_days: float | None = None,
        reading: bool = False,
    ) -> None:
        self.path = path
        self._sync = durability == "sync"
        self._new_writer = partial(UsageWriter, path, clock=clock, sync=self._sync, retention_days=retention_days)
        self._writer = None if reading and _is_to_be_left(path, clock) else self._new_writer()
        self._link = database.Link(path, lambda: database.open_for_reading(path))
        self._thread: ThreadPoolExecutor | None = None

    @property
    def problem(self) -> str | None:
        return None if self._writer is None else self._writer.problem

    @property
    def pending(self) -> int:
        return 0 if self._writer is None else self._writer.pending

    def record(self, record: UsageRecord) -> None:
        """Take the record, which is not to be changed afterwards."""
        writer = self._writer or self._writing()
        writer.put(record)
        if self._sync:
            self._wait_for_commit(writer)

    async def flush(self) -> None:
        if self._writer is not None:
            await asyncio.wrap_future(self._writer.flush())

    async def totals(self, where: UsageFilter) -> UsageTotals:
        return await self._read(lambda connection: reports.totals(connection, where))

    async def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        return await self._read(lambda connection: reports.breakdown(connection, where, by))

    async def summary(self, where: UsageFilter) -> Summary:
        return await self._read(lambda connection: reports.summary(connection, where))

    async def describe(self) -> dict[str, int]:
        """`records`, `rollup_rows`, `bytes` and `free_bytes` of the database."""
        return await self._read(reports.describe)

    async def get(self, request_id: str) -> UsageRecord | None:
        return await self._read(lambda connection: _find(connection, request_id))

    async def recent(self, where: UsageFilter, limit: int = 50) -> Sequence[UsageRecord]:
        def query(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            narrowed = reports.narrowed(connection, where)
            if narrowed is None:
                return []
            conditions, parameters = _conditions(narrowed)
            sql = f"{_SELECT} WHERE {conditions} ORDER BY timestamp_us DESC, id DESC LIMIT ?"
            return connection.execute(sql, [*parameters, limit]).fetchall()

        return [from_row(row) for row in await self._read(query)]

    async def scan(self, where: UsageFilter) -> AsyncIterator[UsageRecord]:
        last: Position | None = None
        while True:
            rows = await self._read(partial(page, where=where, last=last))
            for row in rows:
                yield from_row(row)
            if len(rows) < PAGE:
                return
            last = position(rows[-1])

    async def prune(self, *, before_us: int) -> int:
        deleted = 0
        while True:
            try:
                chunk = await asyncio.wrap_future(self._writing().prune(before_us))
            except (sqlite3.Error, OSError) as error:
                raise UsageUnavailable(database.sentence(self.path, error)) from error
            if not chunk:
                return deleted
            deleted += chunk

    async def close(self) -> None:
        if self._writer is not None:
            await asyncio.shield(asyncio.wrap_future(self._writer.close()))
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.wrap_future(thread.submit(self._link.close))
            thread.shutdown()

    def _writing(self) -> UsageWriter:
        if self._writer is None:
            self._writer = self._new_writer()
        return self._writer

    def _wait_for_commit(self, writer: UsageWriter) -> None:
        try:
            writer.flush().result(_SYNC_WAIT_S)
        except (UsageUnavailable, TimeoutError):
            return  # `problem` says it; the record is in the spool, or on its way.

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run the query on the reading thread. Raises UsageUnavailable when the database cannot be read."""
        writer = self._writer
        if writer is not None and writer.waiting and not writer.in_trouble:
            await asyncio.wrap_future(writer.settled())
        if self._thread is None:
            # Here, because a run that only records does without threads that read.
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage-reader")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, query)
        except (sqlite3.Error, OSError) as error:
            if database.is_damaged(error):
                await self._replace(error)
            raise UsageUnavailable(self.problem or database.sentence(self.path, error)) from error

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        return query(self._link.get())

    async def _replace(self, error: BaseException) -> None:
        try:
            await asyncio.wrap_future(self._writing().replace_damaged(error))
        except (sqlite3.Error, OSError) as second:
            raise UsageUnavailable(database.sentence(self.path, second)) from error


def _is_to_be_left(path: Path, clock: Clock) -> bool:
    """Whether there is nothing to write: nothing to make, to bring up to date or to bring in; or no way to write it.

    Raises UsageUnavailable for a database that can be neither read nor written.
    """
    if not path.exists():
        return False
    writable = database.is_writable(path)
    if writable and Spool.beside(path, clock).files():
        return False
    try:
        connection = database.open_for_reading(path)
        try:
            return not writable or migrations.is_current(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if writable:
            return False
        raise UsageUnavailable(database.sentence(path, error)) from error


def page(connection: sqlite3.Connection, where: UsageFilter, last: Position | None) -> list[tuple[Any, ...]]:
    """The next PAGE rows in order of time, after the position of the last one; None: the first ones."""
    # The beginning of the range is where the first page goes on from: as a condition of its own it would win the
    # index, and each page would read all that came before it.
    conditions, parameters = _conditions(replace(where, since_us=None))
    after = last or (-1 if where.since_us is None else where.since_us, -1)
    sql = f"{_SELECT} WHERE {conditions} AND (timestamp_us, id) > (?, ?) ORDER BY timestamp_us, id LIMIT {PAGE}"
    return connection.execute(sql, [*parameters, *after]).fetchall()


def _conditions(where: UsageFilter) -> tuple[str, list[Any]]:
    columns = {
        "tenant_id": where.tenant_id,
        "agent_id": where.agent_id,
        "provider": where.provider,
        "model": where.model,
    }
    conditions: list[str] = ["mode = ?"]
    parameters: list[Any] = [where.mode]
    for condition, value in (("timestamp_us >= ?", where.since_us), ("timestamp_us < ?", where.until_us)):
        if value is not None:
            conditions.append(condition)
            parameters.append(value)
    for column, text in columns.items():
        if text is not None:
            conditions.append(f"{column} = ?")
            parameters.append(text)
    return " AND ".join(conditions), parameters


def _find(connection: sqlite3.Connection, request_id: str) -> UsageRecord | None:
    if not request_id:
        raise InputError("the request id is empty; give one, or its beginning, as a report or an answer shows it")
    exact = connection.execute(f"{_SELECT} WHERE request_id = ? ORDER BY id DESC LIMIT 1", [request_id]).fetchone()
    if exact is not None:
        return from_row(exact)
    # A range, not LIKE: only a range uses the index, and ids may hold the wildcards of LIKE.
    bounds = [request_id, request_id + chr(0x10FFFF)]
    found = connection.execute(_COUNT, bounds).fetchone()[0]
    if found > 1:
        raise InputError(f"{found} requests begin with {request_id!r}; give more of the id")
    row = connection.execute(f"{_SELECT} WHERE {_AMONG} ORDER BY request_id DESC, id DESC LIMIT 1", bounds).fetchone()
    return None if row is None else from_row(row)
