"""A database that is locked, full, gone, damaged or unwritable: nothing is lost in silence."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest

from sandbox.usage import database, writer
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.sqlite import SqliteUsageStore
from tests.contract.usage_records import DAY_US, START_US, a_record, expected_breakdown
from tests.fake_clock import FakeClock

Opener = Callable[[], SqliteUsageStore]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for locks, and no retry by itself: each test says when."""
    monkeypatch.setattr(database, "BUSY_S", 0.01)
    monkeypatch.setattr(writer, "RETRY_S", 3600.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "usage.db"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Opener]:
    stores: list[SqliteUsageStore] = []

    def opener() -> SqliteUsageStore:
        stores.append(SqliteUsageStore(path, clock=FakeClock()))
        return stores[-1]

    yield opener
    for store in stores:
        await store.close()


class Lock:
    """Another process's write transaction, as far as SQLite can tell."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.close()


def spooled(path: Path) -> list[Path]:
    return sorted(path.with_name(path.name + ".spool").glob("*"))


async def count(store: SqliteUsageStore) -> int:
    requests = (await store.totals(UsageFilter())).requests
    assert sum(totals.requests for _, totals in await store.breakdown(UsageFilter(), "tenant")) == requests
    assert len([r async for r in store.scan(UsageFilter())]) == requests
    return requests


# --- locked --------------------------------------------------------------------------------------------------------


async def test_records_wait_for_a_lock_in_the_spool_and_follow_by_themselves(
    opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    lock = Lock(path)
    story = {"answer": "ja \ud800", "cost": Decimal("0.1")}
    store.record(a_record(1, story=story, estimated_cost=Decimal("0.000000000001")))
    with pytest.raises(UsageUnavailable, match=r"locked; 1 records are kept in .*usage\.db\.spool"):
        await store.flush()
    assert len(spooled(path)) == 1
    assert (store.pending, store.problem) == (1, f"the usage database {path} cannot be used: database is locked")
    store.record(a_record(2))
    assert store.pending == 2
    lock.release()
    await store.flush()
    assert (store.pending, store.problem, spooled(path)) == (0, None, [])
    assert await count(store) == 2
    record = await store.get("req-000001")
    assert record is not None
    assert record.estimated_cost == Decimal("0.000000000001")
    assert record.story == {"answer": "ja \ud800", "cost": "0.1"}


async def test_the_batch_that_meets_the_trouble_is_on_disk_at_once(opened: Opener, path: Path) -> None:
    store = opened()
    lock = Lock(path)
    store.record(a_record(1))
    while not spooled(path):
        await asyncio.sleep(0.001)
    lock.release()


async def test_a_retry_comes_by_itself(opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recovered = threading.Event()
    monkeypatch.setattr(writer, "RETRY_S", 0.001)
    store = opened()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "can be written again" in record.getMessage():
                recovered.set()

    logging.getLogger("sandbox.usage").addHandler(watch := Watch())
    lock = Lock(path)
    store.record(a_record(1))
    with pytest.raises(UsageUnavailable):
        await store.flush()
    lock.release()
    assert recovered.wait(10)
    logging.getLogger("sandbox.usage").removeHandler(watch)
    assert store.problem is None
    assert await count(store) == 1


async def test_reading_goes_on_while_another_process_writes(opened: Opener, path: Path) -> None:
    store = opened()
    store.record(a_record(1))
    await store.flush()
    lock = Lock(path)
    store.record(a_record(2))
    with pytest.raises(UsageUnavailable):
        await store.flush()
    assert (await store.totals(UsageFilter())).requests == 1
    lock.release()


async def test_what_the_spool_holds_comes_in_at_the_next_start_exactly_once(opened: Opener, path: Path) -> None:
    first = opened()
    lock = Lock(path)
    for number in range(3):
        first.record(a_record(number))
    await first.close()
    (file,) = spooled(path)
    content = file.read_bytes()
    lock.release()
    second = opened()
    second.record(a_record(2))
    second.record(a_record(3))
    assert await count(second) == 4
    assert spooled(path) == []
    # A crash between the commit and the removal of the file leaves the file.
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    third = opened()
    await third.flush()
    assert await count(third) == 4
    assert spooled(path) == []


async def test_a_damaged_line_of_the_spool_is_kept_and_told_and_the_rest_comes_in(
    opened: Opener, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened()
    lock = Lock(path)
    first.record(a_record(1))
    first.record(a_record(2))
    await first.close()
    lock.release()
    (file,) = spooled(path)
    file.write_bytes(b"{torn\n" + file.read_bytes())
    second = opened()
    await second.flush()
    assert await count(second) == 2
    assert "1 of 3 usage records" in caplog.text
    (kept,) = spooled(path)
    assert b"{torn" in kept.read_bytes()


# --- full and unwritable -------------------------------------------------------------------------------------------


async def test_a_full_disk_sends_records_to_the_spool_until_there_is_room(
    opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = database.open_for_writing
    full = True

    def limited(path: Path, **options: object) -> sqlite3.Connection:
        connection = real(path, **options)  # type: ignore[arg-type]
        if full:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    monkeypatch.setattr(database, "open_for_writing", limited)
    store = opened()
    for number in range(500):
        store.record(a_record(number))
    with pytest.raises(UsageUnavailable, match=r"disk is full; 500 records are kept"):
        await store.flush()
    full = False
    await store.close()
    again = opened()
    await again.flush()
    assert await count(again) == 500


async def test_records_wait_in_memory_when_nothing_can_be_written_and_the_limit_is_told(
    opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "HELD_LIMIT", 10)
    path.parent.write_text("a file where the folder should be")
    store = opened()
    assert store.problem is not None
    for number in range(8):
        store.record(a_record(number))
    with pytest.raises(UsageUnavailable, match=r"cannot be used: .*; 8 records wait in memory"):
        await store.flush()
    with pytest.raises(UsageUnavailable, match="cannot be used"):
        await store.totals(UsageFilter())
    for number in range(8, 16):
        store.record(a_record(number))
    with pytest.raises(UsageUnavailable):
        await store.flush()
    assert store.pending == 10
    assert store.problem is not None
    assert "6 usage records were lost" in store.problem
    assert "lost" in caplog.text
    path.parent.unlink()
    await store.flush()
    assert await count(store) == 10
    assert store.pending == 0


async def test_closing_says_what_is_lost(opened: Opener, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.write_text("a file where the folder should be")
    store = opened()
    store.record(a_record(1))
    await store.close()
    assert store.problem is not None
    assert "1 usage records were lost" in store.problem
    assert "1 usage records were lost" in caplog.text


# --- damaged, replaced, gone ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"no database at all, whatever it is" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_a_damaged_file_is_set_aside_and_told(
    opened: Opener, path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store = opened()
    aside = path.with_name("usage.db.damaged-20250101T000000")
    assert aside.read_bytes() == content
    assert store.problem is not None
    assert str(aside) in store.problem
    assert str(aside) in caplog.text
    store.record(a_record(1))
    await store.flush()
    assert await count(store) == 1
    assert str(aside) in (store.problem or "")


async def spoil(path: Path) -> None:
    """Overwrite the first page of every table and index, but not the schema, as a failing disk would."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = [page for (page,) in connection.execute("SELECT rootpage FROM sqlite_master WHERE rootpage > 1")]
    connection.close()
    with open(path, "r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)


async def test_damage_found_while_writing_costs_no_new_record(opened: Opener, path: Path) -> None:
    first = opened()
    first.record(a_record(1))
    await first.close()
    await spoil(path)
    store = opened()
    for number in range(5):
        store.record(a_record(number))
    await store.flush()
    assert await count(store) == 5
    assert "was damaged" in (store.problem or "")
    assert len(list(path.parent.glob("usage.db.damaged-*"))) >= 1


async def test_damage_found_while_reading_is_told_and_the_next_read_works(opened: Opener, path: Path) -> None:
    first = opened()
    first.record(a_record(1))
    await first.close()
    await spoil(path)
    store = opened()
    with pytest.raises(UsageUnavailable, match="was damaged"):
        await store.totals(UsageFilter())
    assert await count(store) == 0


async def test_a_database_that_was_deleted_is_begun_anew(opened: Opener, path: Path) -> None:
    store = opened()
    store.record(a_record(1))
    await store.flush()
    assert await count(store) == 1
    for part in path.parent.glob("usage.db*"):
        part.unlink()
    store.record(a_record(2))
    await store.flush()
    assert path.exists()
    assert await count(store) == 1


# --- records that no table can hold --------------------------------------------------------------------------------


async def test_one_bad_record_does_not_take_the_others_with_it(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened()
    records = [
        a_record(1),
        a_record(2, tenant_id="lone \ud800"),
        a_record(3, latency_ms=float("nan")),
        a_record(4, prompt_tokens=10**40),
        a_record(5, estimated_cost=0.25),
        a_record(6, estimated_cost=Decimal("1E+30")),
        a_record(7, story={"odd": {1, 2}}),
        a_record(8, tenant_id=None),
        a_record(9),
    ]
    for record in records:
        store.record(record)
    await store.flush()
    assert await count(store) == 8
    tenants = [name for name, _ in await store.breakdown(UsageFilter(), "tenant")]
    assert tenants == ["acme", "lone \\ud800"]
    fifth = await store.get("req-000005")
    assert fifth is not None
    assert fifth.estimated_cost == Decimal("0.25")
    assert "1 usage records were lost" in (store.problem or "")
    assert "cannot be stored" in caplog.text


# --- ways of running -----------------------------------------------------------------------------------------------


async def test_synchronous_durability_has_the_record_when_it_returns(path: Path) -> None:
    store = SqliteUsageStore(path, clock=FakeClock(), durability="sync")
    for number in range(5):
        store.record(a_record(number))
        with sqlite3.connect(path) as other:
            assert other.execute("SELECT count(*) FROM usage").fetchone() == (number + 1,)
        other.close()
    lock = Lock(path)
    store.record(a_record(9))
    assert len(spooled(path)) == 1
    lock.release()
    await store.close()


async def test_old_records_go_at_the_start_and_the_sums_stay(path: Path) -> None:
    clock = FakeClock()
    records = [a_record(number, timestamp_us=START_US - number * DAY_US) for number in range(10)]
    first = SqliteUsageStore(path, clock=clock)
    for record in records:
        first.record(record)
    await first.close()
    store = SqliteUsageStore(path, clock=clock, retention_days=3.5)
    store.record(a_record(100))
    await store.flush()
    while len(await store.recent(UsageFilter())) > 5:
        await store.flush()
    assert {r.timestamp_us for r in await store.recent(UsageFilter())} == {
        START_US + 100, *(START_US - number * DAY_US for number in range(4))
    }  # fmt: skip
    expected = expected_breakdown([*records, a_record(100)], UsageFilter(), "day")
    assert await store.breakdown(UsageFilter(), "day") == expected
    await store.close()


async def test_a_record_after_closing_is_not_lost(opened: Opener) -> None:
    store = opened()
    await store.close()
    store.record(a_record(1))
    assert await count(store) == 1
    await store.close()
    assert await count(opened()) == 1
