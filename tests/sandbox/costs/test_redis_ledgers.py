"""Ledgers on Redis between several processes, and when the server is lost or its answers are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from providers.clock import SYSTEM_CLOCK, Clock
from sandbox.costs.base import ALL, Balance, BudgetUnavailable, Debt, scope_of
from sandbox.costs.redis import RedisBudgetStore
from sandbox.costs.sheltered import ShelteredBudgetStore
from sandbox.shared.address import RedisAddress
from sandbox.shared.errors import RedisAway
from sandbox.shared.link import RedisLink, Script
from tests.redis_server import PATIENCE_S, RedisCluster, RedisServer

ACME = scope_of("acme")
MONTH = 1_735_689_600_000_000


class LossyLink(RedisLink):
    """Loses the answers of scripts that were run all the same, as many as `lose` says."""

    lose = 0

    async def run(self, script: Script, keys: list[str], arguments: list[Any], *, within: float | None = None) -> Any:
        answer = await super().run(script, keys, arguments, within=within)
        if self.lose:
            self.lose -= 1
            raise RedisAway("the answer is lost")
        return answer


Open = Callable[..., RedisBudgetStore]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    stores: list[RedisBudgetStore] = []

    def open(url: str, clock: Clock = SYSTEM_CLOCK, ask_s: float = 20.0) -> RedisBudgetStore:
        stores.append(RedisBudgetStore(LossyLink(RedisAddress.parse(url), ask_s=ask_s), mode="mock", clock=clock))
        return stores[-1]

    yield open
    for store in stores:
        await store.close()


def lossy(store: RedisBudgetStore) -> LossyLink:
    link = store._link
    assert isinstance(link, LossyLink)
    return link


def later(seconds: float = 600.0) -> int:
    return SYSTEM_CLOCK.time_us() + round(seconds * 1e6)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


async def balance(store: Any, scope: str = ACME) -> Balance:
    found: Balance = (await store.balances(MONTH, [scope]))[scope]
    return found


async def test_processes_at_once_never_hold_more_than_the_limit(redis_server: RedisServer, opened: Open) -> None:
    """8 processes ask 400 times for 10 of 1,000: 100 are granted, whoever they are."""
    stores = [opened(redis_server.url) for _ in range(8)]
    asked = (
        store.reserve(MONTH, {ALL: 5000, ACME: 1000}, [10], expires_us=later()) for _ in range(50) for store in stores
    )
    grants = await asyncio.gather(*asked)
    assert sum(grant.hold is not None for grant in grants) == 100
    assert await balance(stores[0]) == Balance(0, 1000)
    for number, grant in enumerate(grants):
        if grant.hold is not None:
            stores[number % 8].settle(Debt(grant.hold, MONTH, (ALL, ACME), 7))
    for store in stores:
        await store.balances(MONTH, [ACME])
    assert await balance(stores[3]) == Balance(700, 0)


async def test_amounts_beyond_what_lua_can_count_are_exact(redis_server: RedisServer, opened: Open) -> None:
    """2⁵³ + 1 is the first whole number that a double is not."""
    store, limit = opened(redis_server.url), 2**53 + 3
    store.settle(Debt(None, MONTH, (ACME,), 2**53 + 1))
    assert (await store.reserve(MONTH, {ACME: limit}, [3], expires_us=later())).hold is None
    assert (await store.reserve(MONTH, {ACME: limit}, [2], expires_us=later())).hold is not None
    assert await balance(store) == Balance(2**53 + 1, 2)


async def test_a_process_sees_what_others_have_spent_and_claimed(redis_server: RedisServer, opened: Open) -> None:
    one, two = opened(redis_server.url), opened(redis_server.url)
    one.settle(Debt(None, MONTH, (ACME,), 5))
    assert one.claim(MONTH, ACME, "0.75")
    await balance(one)
    assert await balance(two) == Balance(5, 0)
    assert not two.claim(MONTH, ACME, "0.75")
    assert two.settle(Debt(None, MONTH, (ACME,), 2)) == {ACME: Balance(7, 0)}


@pytest.mark.parametrize("lost", [1, 3])
async def test_what_was_spent_is_booked_once_however_many_answers_are_lost(
    redis_server: RedisServer, opened: Open, lost: int
) -> None:
    store = opened(redis_server.url)
    await balance(store)
    lossy(store).lose = lost
    for _ in range(20):
        store.settle(Debt(None, MONTH, (ACME,), 1))
        await asyncio.sleep(0)
    await until(lambda: not store._queue)
    assert lossy(store).lose == 0
    assert await balance(opened(redis_server.url)) == Balance(20, 0)


async def test_a_hold_whose_grant_was_lost_ends_by_itself(redis_server: RedisServer, opened: Open) -> None:
    store = opened(redis_server.url)
    await balance(store)
    lossy(store).lose = 1
    with pytest.raises(BudgetUnavailable, match="lost"):
        await store.reserve(MONTH, {ACME: 100}, [60], expires_us=later(0.2))
    assert await balance(store) == Balance(0, 60)
    async with asyncio.timeout(PATIENCE_S):
        while await balance(store) != Balance(0, 0):
            await asyncio.sleep(0.02)


async def test_a_server_that_has_forgotten_everything_is_told_what_was_used(
    redis_server: RedisServer, opened: Open
) -> None:
    store = opened(redis_server.url)
    grant = await store.reserve(MONTH, {ALL: 900, ACME: 100}, [10], expires_us=later())
    store.settle(Debt(None, MONTH, (ALL, ACME), 80))
    await balance(store)
    before = store.generation
    redis_server.do("FLUSHALL")
    assert (await store.reserve(MONTH, {ACME: 100}, [30], expires_us=later())).hold is None
    assert store.generation == before + 1
    store.settle(Debt(grant.hold, MONTH, (ALL, ACME), 5))
    assert await store.balances(MONTH, [ALL, ACME]) == {ALL: Balance(85, 0), ACME: Balance(85, 0)}


async def test_while_the_server_is_gone_the_process_keeps_to_the_limit_alone_and_books_it_afterwards(
    start_redis: Callable[..., RedisServer], opened: Open
) -> None:
    server = start_redis()
    told: list[str] = []
    store = ShelteredBudgetStore(inner := opened(server.url), clock=SYSTEM_CLOCK, told=told.append)
    assert (await store.reserve(MONTH, {ACME: 100}, [40], expires_us=later())).hold is not None
    server.kill()
    granted = []
    for _ in range(10):
        grant = await store.reserve(MONTH, {ACME: 100}, [10], expires_us=later())
        if grant.hold is not None:
            granted.append(grant.hold)
            store.settle(Debt(grant.hold, MONTH, (ACME,), 10))
    # 40 are held for somebody that nobody can ask now.
    assert len(granted) == 6
    assert len(told) == 1
    assert "limits are kept by this process alone" in told[0]
    server.restart()
    await until(lambda: inner._link._wire is not None)
    assert (await store.reserve(MONTH, {ACME: 100}, [50], expires_us=later())).hold is None
    assert not store.in_trouble
    # The hold of 40 was lost with the server; what was spent is booked once.
    assert await balance(opened(server.url)) == Balance(60, 0)
    assert len(told) == 1


async def test_a_silent_server_holds_up_nobody(start_redis: Callable[..., RedisServer], opened: Open) -> None:
    server = start_redis()
    told: list[str] = []
    store = ShelteredBudgetStore(inner := opened(server.url, ask_s=0.024), clock=SYSTEM_CLOCK, told=told.append)
    await inner._link.check()
    await balance(store)
    server.pause()
    began = SYSTEM_CLOCK.monotonic()
    grants = await asyncio.gather(*(store.reserve(MONTH, {ACME: 1000}, [1], expires_us=later()) for _ in range(200)))
    assert SYSTEM_CLOCK.monotonic() - began < 3.0  # One after the other they would wait for five.
    assert all(grant.hold is not None for grant in grants)
    assert len(told) == 1
    server.resume()


async def test_a_cluster_keeps_the_ledgers_of_a_mode_on_one_node(
    start_cluster: Callable[..., RedisCluster], opened: Open
) -> None:
    cluster = start_cluster()
    store = opened(cluster.url)
    grant = await store.reserve(MONTH, {ALL: 100, ACME: 100}, [40], expires_us=later())
    store.settle(Debt(grant.hold, MONTH, (ALL, ACME), 30))
    assert store.claim(MONTH, ACME, "0.75")
    assert await store.balances(MONTH, [ALL, ACME]) == {ALL: Balance(30, 0), ACME: Balance(30, 0)}
    assert sorted(bool(node.do("KEYS", "*")) for node in cluster.nodes) == [False, False, True]
