"""The schema: made by two ways that must agree, upgraded, shared, refused."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from sqlite_utils import Database, Migrations

from sandbox.usage import migrations
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.records import COLUMNS, to_row
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, START_US, a_record, expected_breakdown
from tests.fake_clock import FakeClock

STEPS = migrations.STEPS
NEXT = migrations.Step(
    "m999_note", ("ALTER TABLE usage ADD COLUMN note TEXT", "CREATE INDEX usage_note ON usage (note)")
)


def tables(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    return [tuple(" ".join(str(value).split()).replace("( ", "(").replace(" )", ")") for value in row) for row in rows]


def names(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id")]


def connect(path: Path | str = ":memory:") -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_new_database_is_what_sqlite_utils_makes_of_the_same_steps() -> None:
    direct, upgraded = connect(), connect()
    migrations.bring_up_to_date(direct, Path("x"), FakeClock(), steps=(*STEPS, NEXT))
    theirs = Migrations(migrations.SET)
    for step in (*STEPS, NEXT):
        theirs(name=step.name)(lambda db, step=step: [db.execute(statement) for statement in step.statements])
    theirs.apply(Database(upgraded))
    assert tables(direct) == tables(upgraded)
    assert names(direct) == names(upgraded)
    assert [step.name for step in theirs.applied(Database(direct))] == names(direct)
    assert theirs.pending(Database(direct)) == []
    direct.close()
    upgraded.close()


def test_an_older_database_is_upgraded_and_keeps_its_rows() -> None:
    connection = connect()
    migrations.bring_up_to_date(connection, Path("x"), FakeClock())
    connection.execute("INSERT INTO fact VALUES ('kept', 7)")
    migrations.bring_up_to_date(connection, Path("x"), FakeClock(), steps=(*STEPS, NEXT))
    assert connection.execute("SELECT value FROM fact").fetchall() == [(7,)]
    assert names(connection) == [*(step.name for step in STEPS), NEXT.name]
    assert "note" in Database(connection)["usage"].columns_dict
    migrations.bring_up_to_date(connection, Path("x"), FakeClock(), steps=(*STEPS, NEXT))
    assert len(names(connection)) == len(STEPS) + 1
    connection.close()


async def test_sums_that_an_older_database_lacks_are_made_from_its_records(tmp_path: Path) -> None:
    premiums = ["-0.25", "1.000000000007", None, "0.1"]
    records = [
        a_record(
            number,
            timestamp_us=START_US + number * 11 * DAY_US,
            tenant_id=f"t{number % 2}",
            cached=number == 3,
            failovers=int(number < 3),
            premium_cost=Decimal(premiums[number] or 0) if number < 3 and premiums[number] else None,
            story={"premium_usd": premiums[number]},
        )
        for number in range(4)
    ]
    records[3].premium_cost = Decimal(0)
    path = tmp_path / "usage.db"
    connection = connect(path)
    migrations.bring_up_to_date(connection, path, FakeClock(), steps=STEPS[:1])
    columns = COLUMNS[: COLUMNS.index("story") + 1]
    for number, one in enumerate(records):
        row = to_row(number + 1, one)[: len(columns)]
        marks = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO usage ({', '.join(columns)}) VALUES ({marks})", row)
    connection.close()
    store = SqliteUsageStore(path, clock=FakeClock())
    assert [one async for one in store.scan(UsageFilter())] == records
    new = ("premium_usd", "attempts", "answered_prompt_tokens", "answered_cached_tokens", "answered_write_tokens")
    for where in (UsageFilter(), UsageFilter(tenant_id="t1"), UsageFilter(agent_id="writer", model="gpt-4")):
        for by in ("tenant", "month", "day", "hour", "provider"):
            have = await store.breakdown(where, by)  # type: ignore[arg-type]
            want = dict(expected_breakdown(records, where, by))  # type: ignore[arg-type]
            assert [[getattr(sums, name) for name in new] for _, sums in have] == [
                [getattr(want[key], name) for name in new] for key, _ in have
            ]
    await store.close()


async def test_records_and_sums_of_the_second_schema_go_on_beside_new_ones(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    old = [a_record(number, cache_write_tokens=40) for number in range(3)]
    new = a_record(9, cache_write_tokens=40, cache_write_1h_tokens=30, service_tier="batch", priced_as="gpt-4-0613")
    before, columns = connect(path), COLUMNS[: COLUMNS.index("cache_write_1h_tokens")]
    migrations.bring_up_to_date(before, path, FakeClock(), steps=STEPS[:2])
    insert = f"INSERT INTO usage ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for number, one in enumerate(old[:2]):
        before.execute(insert, to_row(number + 1, one)[: len(columns)])
    for kind, agent in ((2, "writer"), (0, "")):
        before.execute(
            f"INSERT INTO rollup VALUES (?, 'month', 'mock', ?, '', ?, '', '', {', '.join('0' * 24)})",
            [kind, START_US, agent],
        )
    store = SqliteUsageStore(path, clock=FakeClock())
    store.record(new)
    await store.flush()
    # A process of the version before that goes on with its connection.
    before.execute(insert, to_row(7, old[2])[: len(columns)])
    before.close()
    assert [one async for one in store.scan(UsageFilter())] == [*old, new]
    [(_, sums)] = await store.breakdown(UsageFilter(), "agent")
    assert (sums.answered_write_1h_tokens, sums.answered_special, sums.answered_renamed) == (30, 1, 1)
    await store.close()


def test_the_third_step_reads_no_row() -> None:
    """So that it takes as long for a million records as for one."""
    connection = connect()
    migrations.bring_up_to_date(connection, Path("x"), FakeClock(), steps=STEPS[:2])
    columns = COLUMNS[: COLUMNS.index("cache_write_1h_tokens")]
    rows = [to_row(number + 1, a_record(number))[: len(columns)] for number in range(2000)]
    connection.executemany(f"INSERT INTO usage ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", rows)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    connection.set_progress_handler(count, 100)
    for statement in STEPS[2].statements:
        connection.execute(statement)
    assert steps < 2000 / 100, "fewer instructions than there are records"
    connection.close()


def test_a_step_that_fails_leaves_the_database_as_it_was() -> None:
    connection = connect()
    migrations.bring_up_to_date(connection, Path("x"), FakeClock())
    before = tables(connection)
    broken = migrations.Step("m999_broken", ("CREATE TABLE half (a)", "CREATE TABLE usage (again)"))
    with pytest.raises(sqlite3.OperationalError):
        migrations.bring_up_to_date(connection, Path("x"), FakeClock(), steps=(*STEPS, broken))
    assert tables(connection) == before
    assert migrations.is_current(connection)
    connection.close()


async def test_a_newer_schema_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    with connect(path) as connection:
        migrations.bring_up_to_date(connection, path, FakeClock(), steps=(*STEPS, NEXT))
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UsageUnavailable) as refused:
        SqliteUsageStore(path, clock=FakeClock())
    assert str(refused.value) == (
        f"the usage database {path} has schema {len(STEPS) + 1}, of a newer version of this program; "
        f"this one knows up to {len(STEPS)}: update the program or name another file"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", [0, len(STEPS), 99])
async def test_another_programs_database_is_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "theirs.db"
    with connect(path) as connection:
        connection.execute("CREATE TABLE precious (a)")
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    with pytest.raises(UsageUnavailable, match="another program"):
        SqliteUsageStore(path, clock=FakeClock())
    with connect(path) as connection:
        assert [name for _, name, _ in tables(connection)] == ["precious"]
    connection.close()


async def test_the_store_keeps_its_file_and_folder_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "usage.db"
    store = SqliteUsageStore(path, clock=FakeClock())
    store.record(a_record())
    await store.flush()
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {part.stat().st_mode & 0o777 for part in path.parent.iterdir()} == {0o600}
    await store.close()


async def test_the_description_counts_what_is_there(tmp_path: Path) -> None:
    store = SqliteUsageStore(tmp_path / "usage.db", clock=FakeClock())
    for number in range(3):
        store.record(a_record(number))
    described = await store.describe()
    assert described["records"] == 3
    assert described["rollup_rows"] > 0
    assert described["bytes"] > described["free_bytes"] >= 0
    await store.close()


async def test_pruning_gives_room_back_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    store = SqliteUsageStore(path, clock=FakeClock())
    for number in range(3000):
        store.record(a_record(number, story={"answer": "x" * 500}))
    await store.flush()
    full = (await store.describe())["bytes"]
    assert await store.prune(before_us=a_record(3000).timestamp_us) == 3000
    described = await store.describe()
    assert described["records"] == 0
    assert described["bytes"] < full / 4
    assert (await store.totals(UsageFilter())).requests == 3000
    await store.close()
