"""How long self-hosted servers were up, kept in a small SQLite file, so that a restart loses nothing.

A server is up while a program of this data folder has it switched on: from the switch to it (or from the start of a
program that begins with it) until the switch away or the program's end. Whether the machine itself is rented for longer
nobody here can know. Programs that have the same server on at the same time count once.

Each program writes down its own span and moves its end along: one that is killed loses at most the time since the last
move. What is reported is the length of all spans together, overlaps counted once.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from providers.clock import Clock
from sandbox.usage.database import Link, is_damaged, set_aside, transaction
from sandbox.usage.migrations import pragma

logger = logging.getLogger(__name__)

T = TypeVar("T")

APPLICATION_ID: Final = 0x53425856
"""Marks the file as ours ("SBXV")."""
VERSION: Final = 1
BUSY_S: Final = 0.05
"""How long the event loop may wait for another process's transaction of some microseconds."""

_SCHEMA: Final = """
    CREATE TABLE span (
        id INTEGER PRIMARY KEY,
        mode TEXT NOT NULL,
        server TEXT NOT NULL,
        start_us INTEGER NOT NULL,
        end_us INTEGER NOT NULL
    )
"""


class UptimeUnavailable(Exception):
    """The file cannot be used; the message says why in one sentence."""


class Uptime:
    """The spans of one mode. Each step is one short transaction on the caller's thread."""

    def __init__(self, path: Path, *, mode: str, clock: Clock) -> None:
        """The file is opened, or made, by the first step."""
        self.path = path
        self._mode = mode
        self._clock = clock
        self._link = Link(path, self._open)
        self._lock = Lock()
        """The loops of several threads may use it at once."""

    def begin(self, server: str, since_us: int | None = None) -> int:
        """The server is up from now on, or has been since then; returns the span to move along.

        Raises UptimeUnavailable.
        """
        now = self._clock.time_us()
        values = [self._mode, server, now if since_us is None else min(since_us, now), now]

        def step(connection: sqlite3.Connection) -> int:
            sql = "INSERT INTO span (mode, server, start_us, end_us) VALUES (?, ?, ?, ?)"
            return int(connection.execute(sql, values).lastrowid or 0)

        return self._run(step)

    def extend(self, span: int) -> None:
        """It is still up now. A clock that was set back takes nothing away. Raises UptimeUnavailable."""
        now = self._clock.time_us()
        self._run(lambda c: c.execute("UPDATE span SET end_us = ? WHERE id = ? AND end_us < ?", [now, span, now]))

    def seconds(self, server: str, since_us: int, until_us: int) -> float:
        """How long it was up in that range, overlaps counted once. Raises UptimeUnavailable."""

        def step(connection: sqlite3.Connection) -> list[tuple[int, int]]:
            return connection.execute(
                "SELECT max(start_us, ?), min(end_us, ?) FROM span "
                "WHERE mode = ? AND server = ? AND end_us > ? AND start_us < ? ORDER BY start_us",
                [since_us, until_us, self._mode, server, since_us, until_us],
            ).fetchall()

        total, reached = 0, since_us
        for start, end in self._run(step):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
        return total / 1e6

    def close(self) -> None:
        """Safe to call twice; the next step opens the file again."""
        with self._lock:
            self._link.close()

    # --- the file -------------------------------------------------------------------------------------------------

    def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock:
                try:
                    return self._step(step)
                except sqlite3.DatabaseError as error:
                    if not is_damaged(error):
                        raise
                    self._link.close()
                    aside = set_aside(self.path, self._clock)
                    logger.warning("%s was damaged (%s); it is now %s, a new one was begun", self.path, error, aside)
                    return self._step(step)
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise UptimeUnavailable(f"the uptime records {self.path} cannot be used: {reason}") from error

    def _step(self, step: Callable[[sqlite3.Connection], T]) -> T:
        with transaction(self._link.get()) as connection:
            return step(connection)

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            with transaction(connection):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file. Raises OSError for a file that is not ours to write."""
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            connection.execute(_SCHEMA)
            connection.execute("CREATE INDEX span_end ON span (mode, server, end_us)")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif pragma(connection, "application_id") != APPLICATION_ID:
            raise OSError(0, "it is a database of another program")
        elif pragma(connection, "user_version") > VERSION:
            raise OSError(0, "it was made by a newer version of this program")
