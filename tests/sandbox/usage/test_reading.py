"""Looking at records where nothing may be written, or need be: copies, read-only mounts, other people's folders."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.usage import database, migrations
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.spool import Spool
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import a_record
from tests.fake_clock import FakeClock


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A database with three records that nobody has open."""
    path = tmp_path / "kept" / "usage.db"
    store = SqliteUsageStore(path, clock=FakeClock())
    for number in range(3):
        store.record(a_record(number))
    await store.close()
    return path


@pytest.fixture
def closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same in a folder where nothing may be written; whoever runs this as root is told so by hand."""
    path.chmod(0o400)
    path.parent.chmod(0o500)
    monkeypatch.setattr(database, "is_writable", lambda path: False)
    yield path
    path.parent.chmod(0o700)


def reader(path: Path) -> SqliteUsageStore:
    return SqliteUsageStore(path, clock=FakeClock(), reading=True)


async def test_records_are_read_where_nothing_may_be_written(closed: Path) -> None:
    before = closed.read_bytes()
    store = reader(closed)
    assert (await store.totals(UsageFilter())).requests == 3
    assert [name for name, _ in await store.breakdown(UsageFilter(), "provider")] == ["openai"]
    assert len([record async for record in store.scan(UsageFilter())]) == 3
    assert (store.problem, store.pending) == (None, 0)
    await store.close()
    assert [file.name for file in closed.parent.iterdir()] == ["usage.db"]
    assert closed.read_bytes() == before


async def test_an_older_schema_that_cannot_be_brought_up_to_date_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.bring_up_to_date(connection, path, FakeClock(), steps=migrations.STEPS[:2])
    connection.close()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(database, "is_writable", lambda path: False)
        with pytest.raises(UsageUnavailable) as refused:
            reader(path)
    assert str(refused.value) == (
        f"the usage database {path} has an older schema and cannot be written, so that it cannot be brought up to "
        "date: copy it to a folder of your own and name that as `data_dir`"
    )
    store = reader(path)
    assert (await store.totals(UsageFilter())).requests == 0, "one's own is brought up to date"
    await store.close()


async def test_another_programs_file_is_refused_for_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "usage.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (a)")
    connection.close()
    monkeypatch.setattr(database, "is_writable", lambda path: False)
    with pytest.raises(UsageUnavailable, match="another program"):
        reader(path)


async def test_a_log_that_belongs_to_a_copy_is_read_with_it(path: Path, tmp_path: Path) -> None:
    writing = SqliteUsageStore(path, clock=FakeClock())
    writing.record(a_record(9))
    await writing.flush()
    copy = tmp_path / "copy" / "usage.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(path.with_name(path.name + suffix), copy.with_name(copy.name + suffix))
    await writing.close()
    copy.parent.chmod(0o500)
    try:
        if os.access(copy.parent, os.W_OK):
            store = reader(copy)
            assert (await store.totals(UsageFilter())).requests == 4
            await store.close()
        else:
            with pytest.raises(UsageUnavailable, match="has a write-ahead log that cannot be read where nothing may"):
                reader(copy)
    finally:
        copy.parent.chmod(0o700)


async def test_one_who_reads_writes_nothing_unless_asked_to(path: Path) -> None:
    looking = reader(path)
    assert (await looking.totals(UsageFilter())).requests == 3
    assert not path.with_name("usage.db.spool").exists()
    assert await looking.prune(before_us=a_record(2).timestamp_us) == 2
    looking.record(a_record(7))
    await looking.flush()
    assert [one.request_id async for one in looking.scan(UsageFilter())] == ["req-000002", "req-000007"]
    await looking.close()


async def test_one_who_reads_brings_in_what_waits_in_the_spool(path: Path) -> None:
    Spool.beside(path, FakeClock()).write([a_record(9)])
    looking = reader(path)
    await looking.flush()
    assert (await looking.totals(UsageFilter())).requests == 4
    await looking.close()
