"""What every response cache does, whatever it is made of. Another store joins by a parameter of `open_cache`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sandbox.cache.base import CacheStore
from sandbox.cache.disk import DiskCacheStore
from sandbox.cache.redis import RedisCacheStore
from sandbox.shared.address import RedisAddress
from sandbox.shared.link import RedisLink
from tests.fake_clock import FakeClock
from tests.redis_server import RedisServer


def _disk(request: pytest.FixtureRequest, folder: Path, clock: FakeClock) -> CacheStore:
    return DiskCacheStore(folder / "cache", size_limit=2**26, clock=clock)


def _redis(request: pytest.FixtureRequest, folder: Path, clock: FakeClock) -> CacheStore:
    server: RedisServer = request.getfixturevalue("redis_server")
    # Patient, because what is meant here is what it keeps, on however busy a machine.
    link = RedisLink(RedisAddress.parse(server.url), ask_s=20)
    return RedisCacheStore(link, clock=clock, failed=pytest.fail, recovered=pytest.fail)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=[pytest.param(_disk, id="disk"), pytest.param(_redis, id="redis")])
def open_cache(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Callable[[], CacheStore]:
    """Opens a cache over the same data each time."""
    return lambda: request.param(request, tmp_path, clock)


@pytest.fixture
async def cache(open_cache: Callable[[], CacheStore]) -> AsyncIterator[CacheStore]:
    cache = open_cache()
    yield cache
    await cache.close()


async def settled(cache: CacheStore) -> None:
    """Return when what was set is wherever the cache keeps it: asking for the size comes after it."""
    await cache.size_bytes()


@pytest.mark.parametrize("written", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    "value",
    [b"", b"x", bytes(range(256)), b"\x80\x04N." * 3, b"y" * 300_000],
    ids=["empty", "one", "all", "pickle", "large"],
)
async def test_a_value_comes_back_as_it_was(cache: CacheStore, value: bytes, written: bool) -> None:
    await cache.set("llm_cache:acme:gpt-4:0f", value, ttl=60)
    if written:
        await settled(cache)
    assert await cache.get("llm_cache:acme:gpt-4:0f") == value
    assert await cache.get("llm_cache:globex:gpt-4:0f") is None


@pytest.mark.parametrize("written", [False, True], ids=["at once", "later"])
async def test_an_entry_lives_for_its_time_by_the_given_clock(
    cache: CacheStore, clock: FakeClock, written: bool
) -> None:
    await cache.set("short", b"1", ttl=10)
    await cache.set("long", b"2", ttl=86_400 * 365)
    if written:
        await settled(cache)
    clock.now = 9.999
    assert await cache.get("short") == b"1"
    clock.now = 10.0
    assert await cache.get("short") is None
    assert await cache.get("long") == b"2"


async def test_real_time_does_not_count_against_an_entry(cache: CacheStore, clock: FakeClock) -> None:
    await cache.set("k", b"1", ttl=0.001)
    await settled(cache)
    assert await cache.get("k") == b"1"


@pytest.mark.parametrize("written", [False, True], ids=["at once", "later"])
async def test_the_last_value_counts(cache: CacheStore, clock: FakeClock, written: bool) -> None:
    await cache.set("k", b"old", ttl=1)
    if written:
        await settled(cache)
    await cache.set("k", b"new", ttl=10)
    if written:
        await settled(cache)
    clock.now = 5
    assert await cache.get("k") == b"new"
    await cache.set("k", b"gone", ttl=0)
    assert await cache.get("k") is None
    await settled(cache)
    assert await cache.get("k") is None


@pytest.mark.parametrize("written", [False, True], ids=["at once", "later"])
async def test_what_is_deleted_is_gone(cache: CacheStore, written: bool) -> None:
    await cache.set("k", b"1", ttl=60)
    if written:
        await settled(cache)
    await cache.delete("k")
    await cache.delete("never there")
    assert await cache.get("k") is None
    await settled(cache)
    assert await cache.get("k") is None
    await cache.set("k", b"2", ttl=60)
    assert await cache.get("k") == b"2"


async def test_clearing_says_how_many_there_were(cache: CacheStore) -> None:
    assert await cache.clear() == 0
    for number in range(250):
        await cache.set(f"k{number}", b"v", ttl=60)
    await cache.set("k7", b"w", ttl=60)
    assert await cache.clear() == 250
    assert await cache.get("k7") is None
    assert await cache.clear() == 0


async def test_the_size_grows_with_what_is_kept_and_shrinks_with_what_is_not(cache: CacheStore) -> None:
    empty = await cache.size_bytes()
    for number in range(50):
        await cache.set(f"k{number}", b"v" * 10_000, ttl=60)
    full = await cache.size_bytes()
    assert full - empty > 400_000
    await cache.clear()
    assert await cache.size_bytes() < empty + 50_000


async def test_entries_outlive_the_cache_and_closing_twice_is_fine(open_cache: Callable[[], CacheStore]) -> None:
    first = open_cache()
    await first.set("k", b"kept", ttl=60)
    await first.close()
    await first.close()
    second = open_cache()
    assert await second.get("k") == b"kept"
    await second.close()


async def test_a_closed_cache_opens_again_rather_than_failing(cache: CacheStore) -> None:
    await cache.set("k", b"1", ttl=60)
    await cache.close()
    assert await cache.get("k") == b"1"
    await cache.set("k", b"2", ttl=60)
    await cache.close()
    assert await cache.get("k") == b"2"


async def test_two_caches_over_the_same_data_see_each_other(open_cache: Callable[[], CacheStore]) -> None:
    one, two = open_cache(), open_cache()
    try:
        await asyncio.gather(*(one.set(f"a{n}", b"1", ttl=60) for n in range(100)))
        await asyncio.gather(*(two.set(f"b{n}", b"2", ttl=60) for n in range(100)))
        await asyncio.gather(settled(one), settled(two))
        assert [await two.get(f"a{n}") for n in range(100)] == [b"1"] * 100
        assert [await one.get(f"b{n}") for n in range(100)] == [b"2"] * 100
    finally:
        await one.close()
        await two.close()
