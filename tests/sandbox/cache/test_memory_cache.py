"""The cache of runs in virtual time: it forgets on time, and everything at its end."""

from __future__ import annotations

from sandbox.cache.memory import MemoryCacheStore
from tests.fake_clock import FakeClock


async def test_an_entry_lives_until_its_time_and_not_longer() -> None:
    clock = FakeClock()
    cache = MemoryCacheStore(clock)
    await cache.set("k", b"value", ttl=60)
    await clock.sleep(59.999999)
    assert await cache.get("k") == b"value"
    await clock.sleep(0.000001)
    assert await cache.get("k") is None
    assert await cache.size_bytes() == 0


async def test_what_is_deleted_cleared_or_closed_is_gone() -> None:
    cache = MemoryCacheStore(FakeClock())
    for key in ("a", "b", "c"):
        await cache.set(key, b"xx", ttl=9)
    assert await cache.size_bytes() == 6
    await cache.delete("a")
    await cache.delete("never there")
    assert (await cache.get("a"), await cache.get("b")) == (None, b"xx")
    assert await cache.clear() == 2
    await cache.set("d", b"x", ttl=9)
    await cache.close()
    assert await cache.get("d") is None
