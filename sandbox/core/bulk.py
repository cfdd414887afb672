"""Writes many rows with few statements.

Each statement lets go of the interpreter lock, and a thread beside a busy event loop waits up to 5 ms (the switch
interval) to get it back. With `executemany`, which does so for each row, the writer falls to a few hundred rows a
second just when the most requests come in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

SIZES = (256, 64, 16, 4, 1)
"""Rows in a statement; few different ones, so that each is compiled once."""


class BulkInsert:
    """`INSERT INTO table (columns) VALUES (…), (…), … tail`."""

    def __init__(self, table: str, columns: Sequence[str], tail: str) -> None:
        self._head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - constants
        self._row = f"({', '.join('?' * len(columns))})"
        self._tail = f" {tail}"
        self._width = len(columns)
        self._sql = cache(self._statement)

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert the rows within the transaction that is open."""
        # SQLite before 3.32 takes no more than 999 values in a statement.
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // self._width
        done = 0
        for size in SIZES:
            while size <= most and len(rows) - done >= size:
                values = tuple(chain.from_iterable(rows[done : done + size]))
                connection.execute(self._sql(size), values)
                done += size

    def _statement(self, size: int) -> str:
        return self._head + ", ".join([self._row] * size) + self._tail
