"""Stores that are changed while they are in use: the one before ends after its last use, and gets nothing more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK
from sandbox.cache.base import CacheUnavailable
from sandbox.cache.disk import DiskCacheStore
from sandbox.cache.switchable import SwitchableCacheStore
from sandbox.usage.base import UsageFilter, UsageUnavailable
from sandbox.usage.sqlite import SqliteUsageStore
from sandbox.usage.switchable import SwitchableUsageStore
from tests.contract.usage_records import a_record

WHERE = UsageFilter("mock")


def usage(folder: Path) -> SqliteUsageStore:
    return SqliteUsageStore(folder / "usage.db", clock=SYSTEM_CLOCK)


def cache(folder: Path) -> DiskCacheStore:
    return DiskCacheStore(folder, size_limit=2**20, clock=SYSTEM_CLOCK)


async def test_a_report_under_way_ends_on_the_store_that_it_began_with(tmp_path: Path) -> None:
    before, after = usage(tmp_path / "a"), usage(tmp_path / "b")
    store = SwitchableUsageStore(before)
    for number in range(3):
        store.record(a_record(number))
    rows = store.scan(WHERE)
    first = await anext(aiter(rows))
    leaving = asyncio.create_task(store.replace(after))
    await asyncio.sleep(0)
    store.record(a_record(7))
    assert store.current is after
    assert not leaving.done(), "the scan is not over"
    rest = [row async for row in rows]
    await leaving
    assert [row.request_id for row in (first, *rest)] == [a_record(number).request_id for number in range(3)]
    assert [row.request_id async for row in store.scan(WHERE)] == [a_record(7).request_id]
    assert (await store.totals(WHERE)).requests == 1
    assert await store.get(a_record(7).request_id) is not None
    assert len(await store.recent(WHERE)) == 1
    assert [name for name, _ in await store.breakdown(WHERE, "provider")]
    assert await store.prune(before_us=0) == 0
    assert (store.pending, store.problem) == (0, None)
    await store.close()


async def test_a_store_that_cannot_commit_is_closed_all_the_same(tmp_path: Path, monkeypatch: Any) -> None:
    before = usage(tmp_path / "a")
    closed: list[str] = []
    close = before.close

    async def refuse() -> None:
        raise UsageUnavailable("the disk is full")

    async def noted() -> None:
        closed.append("closed")
        await close()

    monkeypatch.setattr(before, "flush", refuse)
    monkeypatch.setattr(before, "close", noted)
    store = SwitchableUsageStore(before)
    with pytest.raises(UsageUnavailable, match="the disk is full"):
        await store.replace(usage(tmp_path / "b"))
    assert closed == ["closed"]
    await store.close()


async def test_a_look_into_the_cache_ends_before_its_store_is_closed(tmp_path: Path, monkeypatch: Any) -> None:
    before = cache(tmp_path / "a")
    await before.set("key", b"kept", ttl=60)
    gate = asyncio.Event()
    get = before.get

    async def slow(key: str) -> bytes | None:
        await gate.wait()
        return await get(key)

    monkeypatch.setattr(before, "get", slow)
    store = SwitchableCacheStore(before)
    looking = asyncio.create_task(store.get("key"))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(store.replace(None))
    await asyncio.sleep(0)
    assert not leaving.done()
    gate.set()
    assert await looking == b"kept"
    await leaving
    await store.set("key", b"x", ttl=60)
    assert (await store.get("key"), await store.clear(), await store.size_bytes()) == (None, 0, 0), "over none"
    await store.replace(cache(tmp_path / "b"))
    await store.set("key", b"new", ttl=60)
    await store.delete("other")
    assert await store.get("key") == b"new"
    assert await store.size_bytes() > 0
    assert await store.clear() == 1
    await store.close()


async def test_a_failed_use_is_over_too(tmp_path: Path, monkeypatch: Any) -> None:
    before = cache(tmp_path / "a")

    async def broken(key: str) -> bytes | None:
        raise CacheUnavailable("gone")

    monkeypatch.setattr(before, "get", broken)
    store = SwitchableCacheStore(before)
    with pytest.raises(CacheUnavailable):
        await store.get("key")
    await asyncio.wait_for(store.replace(None), 5)
