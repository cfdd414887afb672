"""Turns of round robin between processes that share a Redis server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from sandbox.gateway.shared_turns import SharedTurns
from sandbox.shared.address import RedisAddress
from sandbox.shared.link import RedisLink
from tests.redis_server import PATIENCE_S, RedisServer


async def drawn(turns: SharedTurns) -> None:
    """Return when what was asked of the server has come."""
    async with asyncio.timeout(PATIENCE_S):
        while turns._tasks:
            await asyncio.wait(list(turns._tasks))


async def test_no_turn_is_given_twice(redis_server: RedisServer) -> None:
    """4 processes, 50 requests each, 4 candidates: each candidate is asked 50 times. A first one has no turn yet."""
    links = [RedisLink(RedisAddress.parse(redis_server.url), ask_s=20) for _ in range(4)]
    fleet = [SharedTurns(link, scope="test") for link in links]
    for turns in fleet:
        turns.take("gpt-4")
    given = []
    for _ in range(50):
        for turns in fleet:
            await drawn(turns)
            assert turns.next("gpt-4") == turns.next("gpt-4")
            given.append(turns.take("gpt-4"))
    assert len(set(given)) == 200
    assert Counter(turn % 4 for turn in given) == {0: 50, 1: 50, 2: 50, 3: 50}
    for turns, link in zip(fleet, links, strict=True):
        await turns.close()
        await link.close()


async def test_a_burst_draws_more_at_once_and_nobody_waits(redis_server: RedisServer) -> None:
    link = RedisLink(RedisAddress.parse(redis_server.url), ask_s=20)
    turns = SharedTurns(link, scope="test")
    for _ in range(200):
        turns.take(None)
    await drawn(turns)
    first = turns.take(None)
    await drawn(turns)
    burst = [turns.take(None) for _ in range(60)]
    assert burst == list(range(burst[0], burst[0] + 60))
    assert first not in burst
    await turns.close()
    await link.close()


async def test_without_the_server_each_takes_turns_alone(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    link = RedisLink(RedisAddress.parse(server.url), ask_s=20)
    turns = SharedTurns(link, scope="test")
    turns.take(None)
    await drawn(turns)
    server.kill()
    given = [turns.take(None) for _ in range(20)]
    assert given == list(range(given[0], given[0] + 20))
    await turns.close()
    await link.close()
