"""The cache on Redis: what it costs a request when the server is in trouble, and what it says of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK, seeded
from sandbox.cache.base import CacheUnavailable
from sandbox.cache.redis import PREFIX, WAITING_BYTES, RedisCacheStore
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway
from sandbox.shared.link import ASK_S, REQUEST_S, RedisLink
from tests.redis_server import PASSWORD, PATIENCE_S, RedisCluster, RedisServer
from tests.sandbox.gateway.support import Scripted

Start = Callable[..., RedisServer]

SLOW_S = 1.0
"""No request may take this long while a server does not answer for 2 s and more. What it may is 0.05 s beyond its own
time; the rest is for a machine that runs the whole suite on two cores."""


class Told:
    """What was said of the cache."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.recovered: list[str] = []

    def counts(self) -> tuple[int, int]:
        return len(self.failed), len(self.recovered)


class TimedLink(RedisLink):
    """Remembers how long each question took, and how many were given up for want of an answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.took: list[float] = []
        self.given_up = 0

    async def ask(self, *command: Any, within: float | None = None) -> Any:
        began = SYSTEM_CLOCK.monotonic()
        try:
            return await super().ask(*command, within=within)
        except RedisAway as error:
            self.given_up += within is None and "did not answer" in str(error)
            raise
        finally:
            if within is None:
                self.took.append(SYSTEM_CLOCK.monotonic() - began)


Open = Callable[..., RedisCacheStore]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def opened(told: Told) -> AsyncIterator[Open]:
    """Opens caches; takes an address, and how long a request may wait."""
    caches: list[RedisCacheStore] = []

    def open(address: RedisAddress | str, ask_s: float = 20.0) -> RedisCacheStore:
        where = RedisAddress.parse(address) if isinstance(address, str) else address
        link = TimedLink(where, ask_s=ask_s)
        caches.append(
            RedisCacheStore(link, clock=SYSTEM_CLOCK, failed=told.failed.append, recovered=told.recovered.append)
        )
        return caches[-1]

    yield open
    for cache in caches:
        await cache.close()


def link_of(cache: RedisCacheStore) -> TimedLink:
    link = cache._link
    assert isinstance(link, TimedLink)
    return link


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


async def until_used(cache: RedisCacheStore) -> None:
    """Return when the server answers fast enough to be asked by requests."""
    await until(lambda: link_of(cache)._wire is not None)


class Load:
    """A gateway over the cache, whose only provider answers at once."""

    def __init__(self, cache: RedisCacheStore) -> None:
        self.provider = Scripted(SYSTEM_CLOCK, kind="openai")
        self.gateway = Gateway(replace(Policy(), name="load"), mode="mock", draws=seeded(1), cache=cache)
        self.gateway.register("openai", self.provider)
        self.asked = self.hits = 0
        self.slowest = 0.0

    async def ask(self, count: int, *, of: int = 20) -> int:
        """So many requests, one after the other; returns how many of them were answered from the cache."""
        before = self.hits
        for number in range(count):
            began = SYSTEM_CLOCK.monotonic()
            response = await self.gateway.generate(f"question {number % of}")
            self.slowest = max(self.slowest, SYSTEM_CLOCK.monotonic() - began)
            assert response.text == "hello from openai"
            self.asked += 1
            self.hits += response.cached
        return self.hits - before


# --- servers in trouble -----------------------------------------------------------------------------------------------


async def test_a_server_that_is_killed_and_restarted_costs_no_request(
    start_redis: Start, opened: Open, told: Told
) -> None:
    server = start_redis()
    load = Load(cache := opened(server.url, ASK_S))
    await cache.check()
    await load.ask(20)
    await cache.size_bytes()
    assert await load.ask(200) > 150
    server.kill()
    await load.ask(200)
    await until(lambda: told.failed != [])
    assert await load.ask(20) == 0
    server.restart()
    await until(lambda: told.recovered != [])
    await load.ask(20)
    await cache.size_bytes()
    assert await load.ask(200) > 150
    assert (load.asked, load.asked - load.hits) == (660, len(load.provider.requests))
    assert told.counts() == (1, 1)
    assert told.failed[0].endswith("cannot be used: Connection refused; going on without cache")
    assert load.slowest < SLOW_S


async def test_a_server_that_answers_nothing_for_seconds_is_waited_for_once(
    start_redis: Start, opened: Open, told: Told
) -> None:
    server = start_redis()
    load = Load(cache := opened(server.url, ASK_S))
    await cache.check()
    await load.ask(20)
    await cache.size_bytes()
    link_of(cache).given_up = 0
    server.pause()
    await load.ask(300)
    assert link_of(cache).given_up == 1
    assert load.slowest < SLOW_S
    await until(lambda: told.failed != [])
    await cache._writer  # type: ignore[misc]
    assert await load.ask(100) == 0
    assert link_of(cache).given_up == 1
    server.resume()
    await until(lambda: told.recovered != [])
    # It has lost nothing, so the answers of before are there.
    assert await load.ask(20) > 10
    assert told.counts() == (1, 1)


async def test_the_bounds_of_a_request_add_up_to_less_than_it_may_wait() -> None:
    """Asked twice at most: for the answer, and for room in the budgets. What is written waits for nobody."""
    assert 2 * ASK_S < REQUEST_S == 0.05


async def test_a_server_in_trouble_from_the_beginning_is_told_of_once(opened: Open, told: Told) -> None:
    load = Load(opened("127.0.0.1:1", ASK_S))
    await load.ask(50)
    await until(lambda: told.failed != [])
    await load.ask(50)
    assert (load.hits, told.counts()) == (0, (1, 0))
    assert told.failed[0].startswith("the Redis server redis://127.0.0.1:1 cannot be used: ")
    assert told.failed[0].endswith("; going on without cache")


async def test_a_connection_that_is_cut_is_replaced_without_a_word(
    redis_server: RedisServer, opened: Open, told: Told
) -> None:
    cache = opened(redis_server.url)
    await cache.set("k", b"v", ttl=60)
    await cache.size_bytes()
    for _ in range(3):
        wire = link_of(cache)._wire
        redis_server.do("CLIENT", "KILL", "TYPE", "normal")
        await until(lambda before=wire: link_of(cache)._wire not in (None, before))  # type: ignore[misc]
        assert await cache.get("k") == b"v"
    assert told.counts() == (0, 0)


# --- credentials and TLS ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"user": "app"}, {"password": PASSWORD}], ids=["acl", "auth"])
async def test_credentials_let_in_and_wrong_ones_are_told_without_being_shown(
    start_redis: Start, opened: Open, told: Told, options: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = start_redis(**options)
    cache = opened(server.url)
    await cache.set("k", b"v", ttl=60)
    reached = await cache.check()
    assert await cache.get("k") == b"v"
    assert (reached.mode, reached.user) == ("standalone", options.get("user", "default"))
    assert reached.server.startswith(("redis ", "valkey "))
    assert 0 < reached.seconds < PATIENCE_S
    wrong = replace(RedisAddress.parse(server.url), password="canary-wrong")
    for address, why in (
        (wrong, "with the password given"),
        (replace(wrong, username=None, password=None), "NOAUTH|no password|[Aa]uthentication required"),
    ):
        with pytest.raises(CacheUnavailable, match=why) as refusal:
            await opened(address).check()
        shown = f"{refusal.value!r} {refusal.value.__cause__!r} {told.failed} {caplog.text}"
        assert "canary" not in shown
        assert PASSWORD not in shown
    assert told.counts() == (2, 0)


async def test_tls_is_spoken_and_checked(start_redis: Start, opened: Open) -> None:
    server = start_redis(tls=True, user="app")
    assert server.certificate is not None
    known = replace(RedisAddress.parse(server.url), ca_file=server.certificate.file)
    cache = opened(known)
    await cache.set("k", b"v" * 300_000, ttl=60)
    await cache.size_bytes()
    assert await cache.get("k") == b"v" * 300_000
    with pytest.raises(CacheUnavailable, match=r"TLS fails.*tls_ca_file"):
        await opened(replace(known, ca_file=None)).check()


async def test_certificates_that_cannot_be_read_are_told_by_their_file(opened: Open, tmp_path: Path) -> None:
    address = replace(RedisAddress.parse("rediss://127.0.0.1:1"), ca_file=tmp_path / "missing.pem")
    with pytest.raises(CacheUnavailable, match=r"tls_ca_file .*missing\.pem cannot be read: No such file"):
        await opened(address).check()


async def test_who_speaks_tls_to_a_plain_port_or_the_other_way_is_told_so(
    start_redis: Start, redis_server: RedisServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CacheUnavailable, match="rediss://"):
        await opened(f"redis://{start_redis(tls=True).address}").check()
    # It waits for the end of a line that never comes.
    monkeypatch.setattr("sandbox.shared.wires.HANDSHAKE_S", 0.3)
    with pytest.raises(CacheUnavailable, match=r"speak TLS.*redis://"):
        await opened(f"rediss://{redis_server.address}").check()


async def test_a_user_who_may_not_write_is_told_of_once(start_redis: Start, opened: Open, told: Told) -> None:
    server = start_redis()
    server.do("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+get", "+ping", "+hello", "+client")
    cache = opened(replace(RedisAddress.parse(server.address), username="reader", password=PASSWORD))
    for number in range(5):
        await cache.set(f"k{number}", b"v", ttl=60)
        await cache._written()
        assert await cache.get(f"k{number}") is None
    assert len(told.failed) == 1
    assert "cannot be written to" in told.failed[0]
    assert "NOPERM" in told.failed[0]
    with pytest.raises(CacheUnavailable, match="NOPERM"):
        await cache.clear()


# --- what is stored ---------------------------------------------------------------------------------------------------


async def test_a_full_memory_is_told_of_once_and_what_is_there_is_still_read(
    start_redis: Start, opened: Open, told: Told
) -> None:
    server = start_redis(options={"maxmemory-policy": "noeviction"})
    load = Load(cache := opened(server.url))
    await load.ask(5, of=5)
    await cache.size_bytes()
    server.do("CONFIG", "SET", "maxmemory", 1)
    for _ in range(3):
        assert await load.ask(20) == 5
        await cache._written()
    assert told.counts() == (1, 0)
    assert "memory is full" in told.failed[0]
    server.do("CONFIG", "SET", "maxmemory", 0)
    await load.ask(20)
    await cache._written()
    assert await load.ask(20) == 20
    assert told.counts() == (1, 1)


@pytest.mark.parametrize(
    "command",
    [
        ("SET", b"not ours"),
        ("SET", b""),
        ("SET", b"SBX1short"),
        ("SET", b"SBX1" + b"\xff" * 8 + b"{no answer"),
        ("SET", b"SBX1" + b"\xff" * 8 + b'{"v":1}'),
        ("HSET", b"a", b"hash"),
        ("RPUSH", b"a", b"list"),
    ],
    ids=["words", "nothing", "cut", "no JSON", "other JSON", "hash", "list"],
)
async def test_what_another_program_keeps_under_our_key_is_a_miss_and_is_replaced(
    redis_server: RedisServer, opened: Open, told: Told, command: tuple[Any, ...]
) -> None:
    load = Load(cache := opened(redis_server.url))
    await load.ask(1)
    await cache.size_bytes()
    (key,) = redis_server.do("KEYS", "*")
    redis_server.do("DEL", key)
    redis_server.do(command[0], key, *command[1:])
    assert await load.ask(1) == 0
    await cache._written()
    assert await load.ask(1) == 1
    assert told.counts() == (0, 0)


async def test_only_our_keys_are_cleared_and_counted(redis_server: RedisServer, opened: Open) -> None:
    redis_server.do("SET", "somebody's", b"x" * 100_000)
    cache = opened(redis_server.url)
    for number in range(1200):
        await cache.set(f"k{number}", b"v", ttl=60)
    assert 0 < await cache.size_bytes() < 1200 * 500
    assert await cache.clear() == 1200
    assert redis_server.do("KEYS", "*") == [b"somebody's"]


async def test_the_server_forgets_what_nobody_asks_for(redis_server: RedisServer, opened: Open) -> None:
    cache = opened(redis_server.url)
    await cache.set("k", b"v", ttl=100)
    await cache.size_bytes()
    assert 100_000 < redis_server.do("PTTL", f"{PREFIX}k") <= 160_000


async def test_a_burst_goes_over_one_connection(redis_server: RedisServer, opened: Open) -> None:
    cache = opened(redis_server.url)
    for number in range(300):
        await cache.set(f"k{number}", str(number).encode(), ttl=60)
    await cache.size_bytes()
    found = await asyncio.gather(*(cache.get(f"k{number % 300}") for number in range(3000)))
    assert found == [str(number % 300).encode() for number in range(3000)]
    # One is the test's own.
    assert redis_server.do("CLIENT", "LIST").count(b" cmd=") == 2


async def test_who_gives_up_waiting_does_not_shift_the_answers_of_others(
    redis_server: RedisServer, opened: Open
) -> None:
    cache = opened(redis_server.url)
    for number in range(100):
        await cache.set(f"k{number}", str(number).encode(), ttl=60)
    await cache.size_bytes()
    asked = [asyncio.ensure_future(cache.get(f"k{number}")) for number in range(100)]
    await asyncio.sleep(0)
    for one in asked[::2]:
        one.cancel()
    await asyncio.wait(asked)
    assert [one.result() for one in asked[1::2]] == [str(number).encode() for number in range(1, 100, 2)]


async def test_answers_that_cannot_be_written_do_not_pile_up(start_redis: Start, opened: Open) -> None:
    server = start_redis()
    cache = opened(server.url)
    await cache.check()
    server.pause()
    value = b"x" * (WAITING_BYTES // 8)
    with pytest.raises(CacheUnavailable, match="cannot keep up: 7 answers wait"):
        for number in range(9):
            await cache.set(f"k{number}", value, ttl=60)
    server.resume()


async def test_what_is_done_by_hand_waits_for_no_silent_server(
    start_redis: Start, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_redis()
    cache = opened(server.url, ASK_S)
    await cache.check()
    monkeypatch.setattr("sandbox.shared.link.PATIENT_S", 0.05)
    server.pause()
    for work in (cache.clear, cache.size_bytes):
        with pytest.raises(CacheUnavailable, match=r"did not answer|too slow|is being asked"):
            async with asyncio.timeout(PATIENCE_S):
                await work()
    server.resume()


# --- clusters ---------------------------------------------------------------------------------------------------------


async def test_a_cluster_is_found_out_and_followed_through_moves_and_failovers(
    start_cluster: Callable[..., RedisCluster], opened: Open
) -> None:
    cluster = start_cluster(replica=True)
    cache = opened(cluster.url)
    assert (await cache.check()).mode == "cluster"
    names = [f"k{number}" for number in range(60)]
    for name in names:
        await cache.set(name, name.encode(), ttl=600)
    assert await cache.size_bytes() > 0
    assert all([await cache.get(name) == name.encode() for name in names])

    # The slot of a key moves: the key is gone, and the next one is kept where the slot is now.
    slot = cluster.nodes[0].do("CLUSTER", "KEYSLOT", f"{PREFIX}k0")
    owner = next(node for node in cluster.nodes if f"{PREFIX}k0".encode() in node.do("KEYS", "*"))
    other = next(node for node in cluster.nodes[1:] if node is not owner)
    cluster.move_slot(slot, other)
    assert await cache.get("k0") is None
    await cache.set("k0", b"moved", ttl=600)
    await cache.size_bytes()
    assert await cache.get("k0") == b"moved"

    # A node dies: what the others keep is found, and after its replica has taken over everything is.
    lost = [key.decode().removeprefix(PREFIX) for key in cluster.nodes[0].do("KEYS", "*")]
    kept = [name for name in names if name not in lost]
    assert lost
    assert kept
    cluster.replicate()
    cluster.nodes[0].kill()
    for name in lost[:2]:
        assert await cache.get(name) is None
    await until_used(cache)
    assert all([await cache.get(name) is not None for name in kept])
    cluster.fail_over()
    async with asyncio.timeout(PATIENCE_S):
        while not all([await cache.get(name) is not None for name in names]):
            await asyncio.sleep(0.05)
    assert await cache.clear() == len(names)
