"""Ledgers in one SQLite file beside the usage database, shared by all processes of a user.

A step is one short transaction on the event loop: it takes some thirty microseconds, a thread would take four times as
long and, beside a busy loop, a millisecond. So nothing here waits for the disk: the file is not synced, because a power
cut that takes it takes nothing that the usage records do not know. And nothing waits long for a lock on the loop: what
may wait does so by sleeping. The usage database itself would not do: its writer holds the lock for milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from providers.clock import Clock, random_id
from sandbox.costs.base import NOTHING, Balance, BudgetUnavailable, Debt, Grant, fits
from sandbox.usage.database import Link, is_damaged, is_locked, set_aside, transaction
from sandbox.usage.migrations import pragma
from sandbox.usage.records import MAX_PICO

T = TypeVar("T")

logger = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x53425842
"""Marks the file as ours ("SBXB")."""
VERSION: Final = 1
LOCK_MS: Final = 5
"""How long the event loop may wait for another process's transaction, where it cannot sleep meanwhile."""
PATIENCE_S: Final = 1.0
"""How long a step that can sleep waits for it."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.004

_SCHEMA: Final = (
    """
    CREATE TABLE ledger (
        mode TEXT NOT NULL,
        period INTEGER NOT NULL,
        scope TEXT NOT NULL,
        used_pico INTEGER NOT NULL,
        reserved_pico INTEGER NOT NULL,
        PRIMARY KEY (mode, period, scope)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE hold (
        id TEXT PRIMARY KEY,
        mode TEXT NOT NULL,
        period INTEGER NOT NULL,
        scopes TEXT NOT NULL,
        amount_pico INTEGER NOT NULL,
        expires_us INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX hold_expires ON hold (mode, expires_us)",
    """
    CREATE TABLE claim (
        mode TEXT NOT NULL,
        period INTEGER NOT NULL,
        scope TEXT NOT NULL,
        mark TEXT NOT NULL,
        PRIMARY KEY (mode, period, scope, mark)
    ) WITHOUT ROWID
    """,
)


class SqliteBudgetStore:
    """Implements BudgetStore. The file is opened, or made, by the first step. Belongs to one event loop."""

    def __init__(self, path: Path, *, mode: str, clock: Clock, ids: Callable[[], str] = random_id) -> None:
        self.path = path
        self._mode = mode
        self._clock = clock
        self._ids = ids
        self._patient = True
        self._turn = asyncio.Lock()
        self.generation = 0
        self._link = Link(path, self._open)

    # --- steps ----------------------------------------------------------------------------------------------------

    async def begin(self, period: int, used: Mapping[str, int]) -> None:
        def step(connection: sqlite3.Connection) -> None:
            have = self._read(connection, period, list(used))
            lifted = {s: have[s]._replace(used=min(used[s], MAX_PICO)) for s in used if used[s] > have[s].used}
            self._write(connection, period, lifted)

        await self._patiently(step)

    async def reserve(
        self, period: int, limits: Mapping[str, int], amounts: Sequence[int], *, expires_us: int
    ) -> Grant:
        def step(connection: sqlite3.Connection) -> Grant:
            have = self._read(connection, period, list(limits))
            if not fits(have, limits, amounts[0]) and self._let_go(connection):
                # Looked for only where they are in the way: nearly always there are none.
                have = self._read(connection, period, list(limits))
            amount = next((one for one in amounts if fits(have, limits, one)), None)
            if amount is None:
                return Grant(None, 0, have)
            hold = self._ids()
            connection.execute(
                "INSERT INTO hold (id, mode, period, scopes, amount_pico, expires_us) VALUES (?, ?, ?, ?, ?, ?)",
                [hold, self._mode, period, json.dumps(list(limits)), amount, expires_us],
            )
            now = {scope: Balance(one.used, one.reserved + amount) for scope, one in have.items()}
            self._write(connection, period, now)
            return Grant(hold, amount, now)

        return await self._patiently(step)

    def extend(self, hold: str, period: int, limits: Mapping[str, int], amount: int) -> bool:
        def step(connection: sqlite3.Connection) -> bool:
            self._let_go(connection)
            row = connection.execute("SELECT amount_pico FROM hold WHERE id = ?", [hold]).fetchone()
            if row is None:
                return False
            more = amount - row[0]
            have = self._read(connection, period, list(limits))
            if not fits(have, limits, more):
                return False
            connection.execute("UPDATE hold SET amount_pico = ? WHERE id = ?", [amount, hold])
            self._write(connection, period, {s: Balance(one.used, one.reserved + more) for s, one in have.items()})
            return True

        return self._at_once(step)

    def settle(self, debt: Debt) -> Mapping[str, Balance]:
        return self._at_once(lambda connection: self._book(connection, debt))

    async def settle_all(self, debts: Sequence[Debt]) -> None:
        def step(connection: sqlite3.Connection) -> None:
            for debt in debts:
                self._book(connection, debt)

        await self._patiently(step)

    def claim(self, period: int, scope: str, mark: str) -> bool:
        def step(connection: sqlite3.Connection) -> bool:
            before = connection.total_changes
            connection.execute(
                "INSERT INTO claim (mode, period, scope, mark) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [self._mode, period, scope, mark],
            )
            return connection.total_changes > before

        return self._at_once(step)

    async def balances(self, period: int, scopes: Sequence[str]) -> Mapping[str, Balance]:
        def step(connection: sqlite3.Connection) -> Mapping[str, Balance]:
            self._let_go(connection)
            return self._read(connection, period, scopes)

        return await self._patiently(step)

    async def close(self) -> None:
        self._link.close()

    # --- within a transaction -------------------------------------------------------------------------------------

    def _read(self, connection: sqlite3.Connection, period: int, scopes: Sequence[str]) -> dict[str, Balance]:
        where = f"mode = ? AND period = ? AND scope IN ({', '.join('?' * len(scopes))})"
        rows = connection.execute(
            f"SELECT scope, used_pico, reserved_pico FROM ledger WHERE {where}",  # noqa: S608 - constants
            [self._mode, period, *scopes],
        )
        found = {scope: Balance(used, reserved) for scope, used, reserved in rows}
        return {scope: found.get(scope, NOTHING) for scope in scopes}

    def _write(self, connection: sqlite3.Connection, period: int, balances: Mapping[str, Balance]) -> None:
        for scope, balance in balances.items():
            connection.execute(
                "INSERT INTO ledger (mode, period, scope, used_pico, reserved_pico) VALUES (?, ?, ?, ?, ?) ON CONFLICT "
                "DO UPDATE SET used_pico = excluded.used_pico, reserved_pico = excluded.reserved_pico",
                [self._mode, period, scope, *balance],
            )

    def _book(self, connection: sqlite3.Connection, debt: Debt) -> Mapping[str, Balance]:
        hold, period, scopes, cost = debt
        taken = [] if hold is None else self._taken(connection, "id = ?", [hold])
        held = sum(amount for _, _, amount in taken)
        have = self._read(connection, period, scopes)
        now = {s: Balance(min(b.used + cost, MAX_PICO), b.reserved - held) for s, b in have.items()}
        self._write(connection, period, now)
        return now

    def _let_go(self, connection: sqlite3.Connection) -> bool:
        """Forget the holds whose time is over, for whoever made them has died; whether there were any."""
        taken = self._taken(connection, "mode = ? AND expires_us <= ?", [self._mode, self._clock.time_us()])
        for period, scopes, amount in taken:
            have = self._read(connection, period, json.loads(scopes))
            self._write(connection, period, {s: Balance(b.used, b.reserved - amount) for s, b in have.items()})
        return bool(taken)

    def _taken(
        self, connection: sqlite3.Connection, where: str, parameters: Sequence[object]
    ) -> list[tuple[int, str, int]]:
        """Delete holds; the period, the scopes and the amount of each."""
        rows = connection.execute(f"SELECT period, scopes, amount_pico FROM hold WHERE {where}", parameters).fetchall()  # noqa: S608
        if rows:
            connection.execute(f"DELETE FROM hold WHERE {where}", parameters)  # noqa: S608 - constants
        return rows

    # --- transactions ---------------------------------------------------------------------------------------------

    async def _patiently(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction, for whose lock it waits asleep. Once that was in vain, the next steps do not wait at all."""
        try:
            if not self._turn.locked():
                try:
                    return self._run(step)
                except sqlite3.Error as error:
                    if not is_locked(error):
                        raise
            # One at a time: a crowd that looks for its chance takes it from each other.
            async with self._turn:
                return await self._waiting(step)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    async def _waiting(self, step: Callable[[sqlite3.Connection], T]) -> T:
        waited, pause = 0.0, _PAUSE_S
        while True:
            try:
                return self._run(step)
            except sqlite3.Error as error:
                self._patient = self._patient and waited < PATIENCE_S
                if not is_locked(error) or not self._patient:
                    raise
            await self._clock.sleep(pause)
            waited += pause
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _at_once(self, step: Callable[[sqlite3.Connection], T]) -> T:
        """One transaction without a pause, for whoever ends a request and cannot wait."""
        try:
            try:
                return self._run(step)
            except sqlite3.Error as error:
                if not is_locked(error) or not self._patient:
                    raise
            self._link.get().execute(f"PRAGMA busy_timeout = {LOCK_MS}")
            try:
                return self._run(step)
            finally:
                self._link.get().execute("PRAGMA busy_timeout = 0")
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with transaction(self._link.get()) as connection:
                result = step(connection)
        except sqlite3.DatabaseError as error:
            if not is_damaged(error):
                raise
            self._replace(error)
            with transaction(self._link.get()) as connection:
                result = step(connection)
        self._patient = True
        return result

    def _unavailable(self, error: BaseException) -> BudgetUnavailable:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return BudgetUnavailable(f"the budget ledger {self.path} cannot be used: {reason}")

    # --- the file -------------------------------------------------------------------------------------------------

    def _replace(self, error: BaseException) -> None:
        self._link.close()
        aside = set_aside(self.path, self._clock)
        logger.warning(
            "the budget ledger %s was damaged (%s); it is now %s, and a new one was begun", self.path, error, aside
        )

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            if not self._is_made(connection):
                # A step changes three pages, of which each goes into the log whole.
                connection.execute("PRAGMA page_size = 1024")
                connection.execute("PRAGMA journal_mode = WAL")
                with transaction(connection):
                    # Looked at again under the lock: another process may have made it meanwhile.
                    if not self._is_made(connection):
                        self._make(connection)
            connection.execute("PRAGMA synchronous = OFF")
            # Little and often, because whoever commits copies the log into the file.
            connection.execute("PRAGMA wal_autocheckpoint = 200")
        except BaseException:
            connection.close()
            raise
        self.generation += 1
        return connection

    def _is_made(self, connection: sqlite3.Connection) -> bool:
        """Whether the ledgers are there. Raises for a file that is not ours to write."""
        # Tables first: another process may be making this file now, and its mark comes in the commit of its tables.
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables:
            return False
        if pragma(connection, "application_id") != APPLICATION_ID:
            raise OSError(0, "it is a database of another program")
        if pragma(connection, "user_version") > VERSION:
            raise OSError(0, "it was made by a newer version of this program")
        return True

    def _make(self, connection: sqlite3.Connection) -> None:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
