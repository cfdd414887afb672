"""Usage records kept for as long as an object lives, in a private temporary database that SQLite moves to disk itself.

The same schema, sums and reports as in the usage database, but without threads and event loop: every call is done when
it returns. Its memory does not grow with the records.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from providers.clock import Clock
from sandbox.usage import database, migrations, reports, rollups
from sandbox.usage.base import Dimension, Summary, UsageFilter, UsageRecord, UsageTotals
from sandbox.usage.records import from_row
from sandbox.usage.sqlite import PAGE, Position, page, position
from sandbox.usage.writer import insert

BATCH: Final = 500
"""Records that wait for their sums: a whole batch costs little more than one record."""


class UsageBook:
    """May be used from several threads."""

    def __init__(self, clock: Clock) -> None:
        # The empty name is a temporary file that only this connection has, gone with it.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._lock = threading.RLock()
        self._waiting: list[UsageRecord] = []
        self._end = weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA journal_mode = MEMORY")
        self._connection.execute("PRAGMA synchronous = OFF")
        migrations.bring_up_to_date(self._connection, Path("the private usage records"), clock)

    def add(self, record: UsageRecord) -> None:
        """Take the record, which is not to be changed afterwards."""
        with self._lock:
            self._waiting.append(record)
            if len(self._waiting) >= BATCH:
                self._write()

    def totals(self, where: UsageFilter) -> UsageTotals:
        """As UsageStore has it."""
        with self._lock:
            return reports.totals(self._written(), where)

    def breakdown(self, where: UsageFilter, by: Dimension) -> list[tuple[str, UsageTotals]]:
        """As UsageStore has it."""
        with self._lock:
            return reports.breakdown(self._written(), where, by)

    def summary(self, where: UsageFilter) -> Summary:
        """As UsageStore has it."""
        with self._lock:
            return reports.summary(self._written(), where)

    def scan(self, where: UsageFilter) -> Iterator[UsageRecord]:
        """Every record in order of time; those that come meanwhile may be among them."""
        last: Position | None = None
        while True:
            with self._lock:
                rows = page(self._written(), where, last)
            yield from map(from_row, rows)
            if len(rows) < PAGE:
                return
            last = position(rows[-1])

    def close(self) -> None:
        """Forget everything; safe to call twice, and done by itself when nobody has the book any more."""
        with self._lock:
            self._end()

    def _written(self) -> sqlite3.Connection:
        if self._waiting:
            self._write()
        return self._connection

    def _write(self) -> None:
        with database.transaction(self._connection) as connection:
            rollups.add(connection, insert(connection, self._waiting))
        self._waiting.clear()
