"""The usage database's schema, as numbered steps that are only ever added to.

sqlite-utils applies the steps to a database that has some of them, and keeps the table of those applied. It takes
longer to import than the rest of a command line run, so a database that is up to date (a number in its header says so)
or brand new does without it: a new one gets the statements of the same steps and the same table directly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from providers.clock import Clock, utc
from sandbox.usage import premium_and_parts, service_and_region
from sandbox.usage.base import UsageUnavailable

if TYPE_CHECKING:
    from sqlite_utils import Database

APPLICATION_ID = 0x53425855
"""Marks the file as ours ("SBXU"), so that another program's database is never written to."""
SET = "sandbox.usage"


class Step(NamedTuple):
    name: str
    statements: tuple[str, ...]


STEPS: tuple[Step, ...] = (
    Step(
        "m001_usage_and_rollups",
        (
            """
            CREATE TABLE usage (
                id INTEGER PRIMARY KEY,
                log_id TEXT NOT NULL UNIQUE,
                request_id TEXT NOT NULL,
                tenant_id TEXT NOT NULL,
                agent_id TEXT NOT NULL,
                timestamp_us INTEGER NOT NULL,
                mode TEXT NOT NULL,
                model TEXT NOT NULL,
                requested_model TEXT,
                provider TEXT NOT NULL,
                tokens_used INTEGER NOT NULL CHECK (tokens_used BETWEEN 0 AND 1000000000000000),
                prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens BETWEEN 0 AND 1000000000000000),
                completion_tokens INTEGER NOT NULL CHECK (completion_tokens BETWEEN 0 AND 1000000000000000),
                cached_tokens INTEGER NOT NULL,
                estimated_cost_pico INTEGER,
                waste_cost_pico INTEGER NOT NULL,
                saved_cost_pico INTEGER,
                catalogue_version TEXT NOT NULL,
                latency_ms REAL NOT NULL CHECK (latency_ms BETWEEN 0 AND 1e15),
                ttft_ms REAL,
                cached INTEGER NOT NULL,
                success INTEGER NOT NULL,
                error_type TEXT,
                attempts INTEGER NOT NULL,
                failovers INTEGER NOT NULL CHECK (failovers BETWEEN 0 AND 1000000000000000),
                trace_id TEXT NOT NULL,
                estimated_tokens INTEGER NOT NULL,
                story TEXT
            )
            """,
            "CREATE INDEX usage_timestamp ON usage (mode, timestamp_us)",
            "CREATE INDEX usage_tenant_timestamp ON usage (mode, tenant_id, timestamp_us)",
            "CREATE INDEX usage_agent_timestamp ON usage (mode, agent_id, timestamp_us)",
            "CREATE INDEX usage_request ON usage (request_id)",
            # The period comes before the dimensions: what is written now lies together, so a commit touches few pages.
            """
            CREATE TABLE rollup (
                kind INTEGER NOT NULL,
                grain TEXT NOT NULL,
                mode TEXT NOT NULL,
                start_us INTEGER NOT NULL,
                tenant TEXT NOT NULL,
                agent TEXT NOT NULL,
                provider TEXT NOT NULL,
                model TEXT NOT NULL,
                requests INTEGER NOT NULL,
                succeeded INTEGER NOT NULL,
                cached INTEGER NOT NULL,
                prompt_tokens INTEGER NOT NULL,
                completion_tokens INTEGER NOT NULL,
                tokens INTEGER NOT NULL,
                cost_usd INTEGER NOT NULL,
                cost_pico INTEGER NOT NULL,
                waste_usd INTEGER NOT NULL,
                waste_pico INTEGER NOT NULL,
                saved_usd INTEGER NOT NULL,
                saved_pico INTEGER NOT NULL,
                unpriced INTEGER NOT NULL,
                failovers INTEGER NOT NULL,
                latency_us INTEGER NOT NULL,
                PRIMARY KEY (kind, grain, mode, start_us, tenant, agent, provider, model)
            ) WITHOUT ROWID
            """,
            "CREATE TABLE fact (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        ),
    ),
    Step("m002_premium_and_parts_of_tokens", premium_and_parts.STATEMENTS),
    Step("m003_service_and_region", service_and_region.STATEMENTS),
)

# The table as sqlite-utils makes it, so that it finds what was applied here.
_APPLIED = (
    """
    CREATE TABLE "_sqlite_migrations" (
        "id" INTEGER PRIMARY KEY, "migration_set" TEXT, "name" TEXT, "applied_at" TEXT
    )
    """,
    """
    CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name")
    """,
)


def is_current(connection: sqlite3.Connection, steps: tuple[Step, ...] = STEPS) -> bool:
    """Whether the file is ours and its schema this program's."""
    return pragma(connection, "user_version") == len(steps) and pragma(connection, "application_id") == APPLICATION_ID


def bring_up_to_date(connection: sqlite3.Connection, path: Path, clock: Clock, steps: tuple[Step, ...] = STEPS) -> None:
    """Create or upgrade the schema, all or nothing. Several processes may do so at once: the others find it done.

    Raises UsageUnavailable for a database of a newer version of this program, or of another program; sqlite3.Error
    where the file cannot be written.
    """
    if is_current(connection, steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have done it meanwhile.
        if not is_current(connection, steps):
            check(connection, path, steps)
            if pragma(connection, "user_version") == 0:
                _create(connection, steps, clock)
            else:
                _upgrade(connection, steps)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """The value of a pragma that is a number."""
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def check(connection: sqlite3.Connection, path: Path, steps: tuple[Step, ...] = STEPS) -> None:
    """Raise UsageUnavailable for a database of a newer version of this program, or of another program."""
    # Tables first: another process may be making this database now, and its mark comes in the commit of its tables.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ours = pragma(connection, "application_id") == APPLICATION_ID
    version, known = pragma(connection, "user_version"), len(steps)
    if tables and not ours:
        raise UsageUnavailable(f"{path} is a database of another program; name another file for the usage database")
    if version > known:
        raise UsageUnavailable(
            f"the usage database {path} has schema {version}, of a newer version of this program; this one knows up to "
            f"{known}: update the program or name another file"
        )


def _create(connection: sqlite3.Connection, steps: tuple[Step, ...], clock: Clock) -> None:
    for statement in (*_APPLIED, *(statement for step in steps for statement in step.statements)):
        connection.execute(statement)
    applied_at = str(utc(clock.time_us()))
    connection.executemany(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)",
        [(SET, step.name, applied_at) for step in steps],
    )


def _upgrade(connection: sqlite3.Connection, steps: tuple[Step, ...]) -> None:
    from sqlite_utils import Database, Migrations

    migrations = Migrations(SET)
    for step in steps:
        migrations(name=step.name)(_runner(step))
    migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))


def _runner(step: Step) -> Callable[[Database], None]:
    def run(database: Database) -> None:
        for statement in step.statements:
            database.execute(statement)

    return run
