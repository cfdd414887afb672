"""The disk cache: pickles, damage, locks, limits, other processes."""

from __future__ import annotations

import asyncio
import logging
import pickle
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import diskcache
import pytest

from sandbox.cache import disk, plain
from sandbox.cache.base import CacheUnavailable
from sandbox.cache.disk import DiskCacheStore
from tests.fake_clock import FakeClock

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def opened(folder: Path) -> AsyncIterator[Callable[..., DiskCacheStore]]:
    stores: list[DiskCacheStore] = []

    def opener(size_limit: int = 2**26) -> DiskCacheStore:
        stores.append(DiskCacheStore(folder, size_limit=size_limit, clock=FakeClock()))
        return stores[-1]

    yield opener
    for store in stores:
        await store.close()


Opener = Callable[..., DiskCacheStore]


async def settled(store: DiskCacheStore) -> int:
    return await store.size_bytes()


# --- rows that were not written here -------------------------------------------------------------------------------


def test_the_library_s_own_doors_take_and_give_nothing_but_text_and_bytes(folder: Path) -> None:
    """Whatever method of the library comes to be used: no row leads to an unpickling or to a file."""
    one = plain.PlainDisk(str(folder))
    assert one.get(*one.put("key")) == "key"
    assert one.fetch(plain.MODE_RAW, None, one.store(b"value", False)[-1], False) == b"value"
    for key in (5, b"key", ("a",), None):
        with pytest.raises(TypeError, match="a cache key is text"):
            one.put(key)
    for value, read in (("text", False), (5, False), (b"value", True)):
        with pytest.raises(TypeError, match="a cached value is bytes"):
            one.store(value, read)
    for key, raw in (("key", False), (pickle.dumps("key"), True)):
        with pytest.raises(plain.Refused):
            one.get(key, raw)
    for mode, value, read in (
        (plain.MODE_RAW + 3, b"", False),
        (plain.MODE_RAW, "", False),
        (plain.MODE_RAW, b"", True),
    ):
        with pytest.raises(plain.Refused):
            one.fetch(mode, None, value, read)


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.path, "code ran")


def plant(
    folder: Path, key: object, mode: int, *, raw: int = 1, filename: str | None = None, value: object = None
) -> None:
    with sqlite3.connect(folder / "cache.db") as connection:
        connection.execute(
            "INSERT INTO Cache (key, raw, store_time, expire_time, access_time, tag, size, mode, filename, value) "
            "VALUES (?, ?, 0, 1, 0, ?, 0, ?, ?, ?)",
            (key, raw, 2**62, mode, filename, value),
        )
        connection.execute("UPDATE Cache SET expire_time = NULL WHERE mode != 99")
    connection.close()


async def test_a_pickled_row_is_a_miss_and_its_code_never_runs(opened: Opener, folder: Path, tmp_path: Path) -> None:
    store = opened()
    mark, secret, victim = tmp_path / "mark", tmp_path / "secret", tmp_path / "victim"
    secret.write_text("not for the cache")
    victim.write_text("still here")
    bomb = pickle.dumps(Bomb(mark))
    (folder / "bomb.val").write_bytes(bomb)
    plant(folder, "value", plain.MODE_RAW + 3, value=bomb)
    plant(folder, "file", plain.MODE_RAW + 3, filename="bomb.val")
    plant(folder, bomb, plain.MODE_RAW, raw=0, value=b"a pickled key")
    plant(folder, "read", plain.MODE_RAW + 1, filename="../secret")
    plant(folder, "text", plain.MODE_RAW + 2, filename="../secret")
    plant(folder, "delete", plain.MODE_RAW + 1, filename="../victim")
    plant(folder, "number", plain.MODE_RAW, value=7)
    plant(folder, "words", plain.MODE_RAW, value="text")
    for key in ("value", "file", "read", "text", "delete", "number", "words"):
        assert await store.get(key) is None, key
    await store.set("value", b"fresh", ttl=60)
    await settled(store)
    assert await store.get("value") == b"fresh"
    await store.delete("file")
    await store.delete("delete")
    assert await store.clear() == 6
    await store.close()
    assert not mark.exists()
    assert victim.read_text() == "still here"


def test_the_bomb_does_go_off_in_a_bare_diskcache(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with diskcache.Cache(tmp_path / "bare") as bare:
        plant(tmp_path / "bare", "value", 4, value=pickle.dumps(Bomb(mark)))
        bare.get("value")
    assert mark.exists()


async def test_a_row_without_our_expiry_is_a_miss(opened: Opener, folder: Path) -> None:
    store = opened()
    with sqlite3.connect(folder / "cache.db") as connection:
        connection.execute("INSERT INTO Cache (key, raw, mode, value) VALUES ('k', 1, 1, x'00')")
    connection.close()
    assert await store.get("k") is None


# --- the folder ----------------------------------------------------------------------------------------------------


async def test_the_folder_is_private_even_if_it_was_not(opened: Opener, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    store = opened()
    await store.set("k", b"v", ttl=60)
    await settled(store)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content", [b"no database at all, whatever it is" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
async def test_a_damaged_database_is_moved_aside_with_one_warning(
    opened: Opener, folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir()
    (folder / "cache.db").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        store = opened()
        await store.set("k", b"v", ttl=60)
        await settled(store)
    assert await store.get("k") == b"v"
    assert (folder / "cache.db.damaged-20250101T000000").read_bytes() == content
    assert caplog.text.count("was damaged") == 1


async def test_damage_that_shows_later_is_a_miss_and_then_works(
    opened: Opener, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened()
    for number in range(50):
        await first.set(f"k{number}", b"v" * 1000, ttl=60)
    await first.close()
    path = folder / "cache.db"
    with open(path, "r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096 * 4)
        file.write(b"\xa5" * (size - 4096 * 4))
    with caplog.at_level(logging.WARNING):
        store = opened()
        assert [await store.get(f"k{number}") for number in range(50)].count(None) > 0
        for number in range(50):
            await store.set(f"k{number}", b"w", ttl=60)
        await settled(store)
    assert [await store.get(f"k{number}") for number in range(50)] == [b"w"] * 50
    assert caplog.text.count("was damaged") == 1


async def test_a_folder_that_cannot_be_made_is_said_in_one_sentence(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(CacheUnavailable) as refused:
        DiskCacheStore(folder, size_limit=2**20, clock=FakeClock())
    assert str(refused.value) == f"the cache {folder} cannot be used: File exists"


async def test_a_folder_that_goes_bad_is_told_by_the_next_set_and_used_again_when_it_is_good(
    opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    await store.set("kept", b"1", ttl=60)
    await settled(store)

    real = plain.PlainCache.set_many

    def full(self: plain.PlainCache, items: object, *, now: float) -> None:
        pages = self._con.execute("PRAGMA page_count").fetchone()[0]
        self._con.execute(f"PRAGMA max_page_count = {pages}")
        real(self, items, now=now)  # type: ignore[arg-type]

    monkeypatch.setattr(plain.PlainCache, "set_many", full)
    await store.set("large", b"x" * 100_000, ttl=60)
    assert await store.get("large") == b"x" * 100_000
    await settled(store)
    assert await store.get("large") is None
    with pytest.raises(CacheUnavailable) as refused:
        await store.set("next", b"2", ttl=60)
    assert str(refused.value) == f"the cache {folder} cannot be used: database or disk is full"
    assert await store.get("kept") == b"1"
    monkeypatch.undo()
    await store.set("large", b"x" * 100_000, ttl=60)
    await settled(store)
    assert await store.get("large") == b"x" * 100_000


async def test_what_fails_last_is_logged_at_the_end(
    opened: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    store = opened()
    monkeypatch.setattr(plain.PlainCache, "set_many", failing)
    await store.set("k", b"1", ttl=60)
    await store.close()
    assert "cannot be used: Input/output error" in caplog.text


async def test_a_backlog_has_a_limit(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "OVERLAY_BYTES", 1000)
    store = opened()
    await store.set("k", b"x" * 900, ttl=60)
    await store.set("k", b"x" * 50, ttl=60)
    with pytest.raises(CacheUnavailable, match="cannot keep up: 1 answers"):
        await store.set("l", b"x" * 960, ttl=60)
    await settled(store)
    await store.set("l", b"x" * 960, ttl=60)


# --- locks and other processes -------------------------------------------------------------------------------------


class Exclusive:
    """Another process that lets nobody read."""

    def __init__(self, folder: Path) -> None:
        self.connection = sqlite3.connect(folder / "cache.db", isolation_level=None, timeout=5)
        self.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        self.connection.execute("BEGIN EXCLUSIVE")

    def release(self) -> None:
        self.connection.close()


async def test_a_locked_database_is_a_miss_and_a_hit_again_when_it_is_not(
    opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "BUSY_S", 0.005)
    first = opened()
    await first.set("k", b"v", ttl=60)
    await first.close()
    other = Exclusive(folder)
    clock = FakeClock()
    store = DiskCacheStore(folder, size_limit=2**26, clock=clock)
    assert await store.get("k") is None
    await store.set("new", b"1", ttl=60)
    assert await store.get("new") == b"1"
    with pytest.raises(CacheUnavailable, match="locked by another process"):
        await store.clear()
    other.release()
    clock.now = 2.0
    assert await store.get("k") == b"v"
    await store.close()


async def test_a_writer_elsewhere_delays_no_hit_and_loses_no_set(
    opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_WRITE_TRIES", 10_000)
    monkeypatch.setattr(plain, "BUSY_S", 0.001)
    store = opened()
    await store.set("k", b"v", ttl=60)
    await settled(store)
    other = sqlite3.connect(folder / "cache.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await store.set("l", b"w", ttl=60)
    assert await store.get("k") == b"v"
    assert await store.get("l") == b"w"
    waiting = asyncio.ensure_future(settled(store))
    await asyncio.sleep(0)
    other.execute("COMMIT")
    other.close()
    await waiting
    assert await store.get("l") == b"w"


async def test_a_value_set_while_the_one_before_is_written_stays_visible(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = plain.PlainCache.set_many
    begun, go = threading.Semaphore(0), threading.Semaphore(0)

    def stepwise(self: plain.PlainCache, items: Iterable[tuple[str, bytes, float, int]], *, now: float) -> None:
        taken = list(items)
        begun.release()
        assert go.acquire(timeout=10)
        real(self, taken, now=now)

    monkeypatch.setattr(plain.PlainCache, "set_many", stepwise)
    store = opened()
    await store.set("k", b"old", ttl=60)
    assert begun.acquire(timeout=10)
    await store.set("k", b"new", ttl=60)
    go.release()
    assert begun.acquire(timeout=10)
    # The old value is in the database, the new one not yet.
    assert await store.get("k") == b"new"
    go.release()
    await settled(store)
    assert await store.get("k") == b"new"


async def test_several_processes_may_use_the_folder_at_once(folder: Path, opened: Opener) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from providers.clock import SYSTEM_CLOCK
from sandbox.cache.disk import DiskCacheStore

async def main():
    folder, name = Path(sys.argv[1]), sys.argv[2]
    store = DiskCacheStore(folder, size_limit=2**26, clock=SYSTEM_CLOCK)
    for number in range(300):
        await store.set(f"{name}-{number}", name.encode(), ttl=10**9)
        await store.get(f"other-{number}")
    await store.close()

asyncio.run(main())
"""
    processes = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", program, str(folder), name], cwd=ROOT)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = opened()
    for name in ("a", "b", "c"):
        assert [await store.get(f"{name}-{number}") for number in range(300)] == [name.encode()] * 300


# --- limits --------------------------------------------------------------------------------------------------------


async def test_the_oldest_go_first_when_the_limit_is_reached(opened: Opener) -> None:
    limit = 2**20
    store = opened(size_limit=limit)
    for number in range(300):
        await store.set(f"k{number}", bytes([number % 256]) * 10_000, ttl=60)
        if number % 50 == 49:
            assert await settled(store) < limit + 20_000
    kept = [number for number in range(300) if await store.get(f"k{number}") is not None]
    assert 60 < len(kept) < 105
    assert kept == list(range(300 - len(kept), 300))


async def test_a_value_larger_than_the_limit_is_not_kept_and_harms_nothing(opened: Opener) -> None:
    store = opened(size_limit=2**20)
    await store.set("huge", b"x" * 2**21, ttl=60)
    await settled(store)
    await store.set("small", b"1", ttl=60)
    assert await settled(store) < 2**20
    assert await store.get("small") == b"1"
    assert await store.get("huge") is None


async def test_expired_entries_are_cleared_away(opened: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_GARBAGE_S", -10.0)
    store = opened()
    await store.set("old", b"1", ttl=1)
    await settled(store)
    await store.set("new", b"2", ttl=3600)
    await settled(store)
    with sqlite3.connect(folder / "cache.db") as connection:
        assert connection.execute("SELECT key FROM Cache").fetchall() == [("new",)]
    connection.close()


async def test_only_text_and_bytes_are_taken(folder: Path) -> None:
    cache = plain.PlainCache(folder, 2**20)
    for key, value in ((1, b"v"), ("k", "text"), ("k", {"a": 1})):
        with pytest.raises(TypeError):
            cache.set(key, value)
    assert len(cache) == 0
    cache.close()
