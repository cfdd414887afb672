"""The audit log: who changed what, when, from what to what. It is only ever added to, and outlives the program.

An entry is on the disk before its change is made, so that no change is without one; where it cannot be written there is
no change. How the change ended is added to it once. The database itself refuses anything else.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from providers.clock import Clock, iso
from providers.redaction import redact
from sandbox.usage.database import Link, transaction
from sandbox.usage.migrations import pragma

logger = logging.getLogger(__name__)

T = TypeVar("T")

FILE: Final = "audit.db"
APPLICATION_ID: Final = 0x53425841
"""Marks the file as ours ("SBXA")."""
VERSION: Final = 1
BUSY_S: Final = 0.5
"""How long a change waits for another program that writes an entry."""
PAGE: Final = 50
MAX_PAGE: Final = 500
MAX_CHARS: Final = 20_000
"""Of what was asked, and of each state, as JSON; the rest is cut off."""

_SCHEMA: Final = """
    CREATE TABLE entry (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us INTEGER NOT NULL,
        who TEXT NOT NULL,
        action TEXT NOT NULL,
        request_id TEXT NOT NULL,
        asked TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT,
        outcome TEXT NOT NULL DEFAULT 'begun'
    );
    CREATE TRIGGER entry_stays BEFORE DELETE ON entry
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
    CREATE TRIGGER entry_ends_once BEFORE UPDATE ON entry
        WHEN old.outcome <> 'begun' OR new.id <> old.id OR new.at_us <> old.at_us OR new.who <> old.who
            OR new.action <> old.action OR new.request_id <> old.request_id OR new.asked <> old.asked
            OR new.before <> old.before OR new.outcome NOT IN ('done', 'refused', 'failed')
        BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
"""


class AuditUnavailable(Exception):
    """The log cannot be written or read; the message says why in one sentence."""


class AuditLog:
    """One file, which several programs may share. Each step is one short transaction on the caller's thread."""

    def __init__(self, path: Path, *, clock: Clock, secrets: tuple[str, ...] = ()) -> None:
        """The file is opened, or made, by the first step. `secrets` never get into it."""
        self.path = path
        self._clock = clock
        self._secrets = secrets
        self._link = Link(path, self._open)

    def begin(
        self, who: str, action: str, asked: Mapping[str, Any], before: Mapping[str, Any], *, request_id: str
    ) -> int:
        """Write down that a change is about to be made; returns the entry to end. Raises AuditUnavailable."""
        values = [self._clock.time_us(), redact(who), action, request_id, self._json(asked), self._json(before)]
        sql = "INSERT INTO entry (at_us, who, action, request_id, asked, before) VALUES (?, ?, ?, ?, ?, ?)"
        return self._run(lambda connection: int(connection.execute(sql, values).lastrowid or 0))

    def end(self, entry: int, outcome: str, after: Mapping[str, Any]) -> None:
        """Add how it ended: done, refused or failed, and what holds now. Raises AuditUnavailable."""
        sql = "UPDATE entry SET outcome = ?, after = ? WHERE id = ?"
        self._run(lambda connection: connection.execute(sql, [outcome, self._json(after), entry]))

    def try_end(self, entry: int, outcome: str, after: Mapping[str, Any]) -> None:
        """The same for a change that has been made: trouble is told in the log of the program."""
        try:
            self.end(entry, outcome, after)
        except AuditUnavailable as error:
            logger.warning("%s: entry %d stays as begun", error, entry)

    def page(self, *, limit: int = PAGE, before: int | None = None) -> tuple[list[dict[str, Any]], int | None]:
        """Entries, the newest first, and what to ask `before` for the next page (None: there is none).

        Raises AuditUnavailable.
        """
        sql = (
            "SELECT id, at_us, who, action, request_id, asked, before, after, outcome FROM entry "
            "WHERE id < ? ORDER BY id DESC LIMIT ?"
        )
        first = 2**63 - 1 if before is None else before
        rows = self._run(lambda connection: connection.execute(sql, [first, limit + 1]).fetchall())
        items = [_item(row) for row in rows[:limit]]
        return items, items[-1]["id"] if len(rows) > limit else None

    def close(self) -> None:
        """Safe to call twice; the next step opens the file again."""
        self._link.close()

    # --- the file -------------------------------------------------------------------------------------------------

    def _json(self, value: Mapping[str, Any]) -> str:
        text = redact(orjson.dumps(value, default=str).decode(), self._secrets)
        return text if len(text) <= MAX_CHARS else orjson.dumps({"cut": text[:MAX_CHARS]}).decode()

    def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with transaction(self._link.get()) as connection:
                return step(connection)
        except (sqlite3.Error, OSError) as error:
            self._link.close()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise AuditUnavailable(f"the audit log {self.path} cannot be used: {reason}") from error

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            # An entry is worth the wait for the disk: it must outlive a power cut too.
            connection.execute("PRAGMA synchronous = FULL")
            with transaction(connection):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file. Raises OSError for a file that is not ours to write."""
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _statements(_SCHEMA):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        elif pragma(connection, "application_id") != APPLICATION_ID:
            raise OSError(0, "it is a database of another program")
        elif pragma(connection, "user_version") > VERSION:
            raise OSError(0, "it was made by a newer version of this program")


def _statements(script: str) -> list[str]:
    """The statements of a script: `executescript` would commit what is under way."""
    found, part = [], ""
    for piece in script.split(";"):
        part += f"{piece};"
        if sqlite3.complete_statement(part):
            found.append(part)
            part = ""
    return found


def _item(row: tuple[Any, ...]) -> dict[str, Any]:
    id, at_us, who, action, request_id, asked, before, after, outcome = row
    return {
        "id": id,
        "timestamp": iso(at_us),
        "who": who,
        "action": action,
        "request_id": request_id,
        "asked": _loaded(asked),
        "before": _loaded(before),
        "after": None if after is None else _loaded(after),
        "outcome": outcome,
    }


def _loaded(text: str) -> Any:
    """What redaction made of a JSON text may be none any more."""
    with suppress(ValueError):
        return orjson.loads(text)
    return {"text": text}
