"""The breaker on Redis: by itself it is the one in memory, case for case; between processes it is one for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.clock import SYSTEM_CLOCK, random_id
from sandbox.gateway.breaker import BreakerPolicy, Snapshot, State
from sandbox.gateway.shared_breaker import SharedBreaker
from sandbox.gateway.shared_breakers import PROBE_LEASE_S, SharedBreakers
from sandbox.shared.address import RedisAddress
from sandbox.shared.link import RedisLink
from tests.redis_server import PATIENCE_S, RedisServer
from tests.sandbox.gateway import test_breaker_examples, test_breaker_model

# --- one process ------------------------------------------------------------------------------------------------------


class Obedient:
    """A shared breaker of which every call returns when the server has had its say."""

    def __init__(self, loop: asyncio.AbstractEventLoop, breaker: SharedBreaker) -> None:
        self._loop = loop
        self._breaker = breaker

    @property
    def state(self) -> State:
        return self._breaker.state

    def snapshot(self) -> Snapshot:
        async def looked() -> Snapshot:
            self._breaker.look()
            await self._breaker.settled()
            return self._breaker.snapshot()

        return self._loop.run_until_complete(looked())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._breaker, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            await self._breaker.settled()
            return result

        return lambda *arguments, **named: self._loop.run_until_complete(call(*arguments, **named))


class World:
    """Makes obedient breakers, as CircuitBreaker makes its own."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._link = RedisLink(RedisAddress.parse(url), ask_s=20)

    def make(self, policy: BreakerPolicy, clock: Any, on_change: Any = None) -> Obedient:
        hub = SharedBreakers(
            self._link,
            scope=random_id(),
            clock=clock,
            failed=pytest.fail,
            recovered=pytest.fail,
            poll=False,
            probe_lease=1e9,
        )
        return Obedient(self.loop, hub.breaker("one", policy, on_change))

    def close(self) -> None:
        self.loop.run_until_complete(self._link.close())
        self.loop.close()


@pytest.fixture
def world(one_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(one_redis.url)
    for module in (test_breaker_examples, test_breaker_model):
        monkeypatch.setattr(module, "CircuitBreaker", world.make)
    yield world
    world.close()


def examples() -> Iterator[Any]:
    """Every case that was worked out for the breaker in memory."""
    for name, test in vars(test_breaker_examples).items():
        if name.startswith("test_"):
            marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
            values = marks[0].args[1] if marks else [()]
            for number, value in enumerate(values):
                arguments = value if isinstance(value, tuple) else (value,)
                yield pytest.param(test, arguments, id=f"{name.removeprefix('test_')}-{number}")


@pytest.mark.parametrize(("test", "arguments"), list(examples()))
def test_it_passes_every_example(world: World, test: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    test(*arguments)


STEPS = st.lists(test_breaker_model.STEP, min_size=20, max_size=40)
HANDS = st.lists(st.tuples(st.integers(0, 40), test_breaker_model.HANDS), max_size=3)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    test_breaker_model.POLICIES, STEPS, st.lists(st.tuples(st.integers(0, 40), test_breaker_model.HANDS), max_size=3)
)
def test_every_step_agrees_with_the_model(
    world: World, policy: BreakerPolicy, steps: list[Any], hands: list[tuple[int, Any]]
) -> None:
    for place, hand in hands:
        steps = [*steps[:place], hand, *steps[place:]]
    test_breaker_model.Pair(policy).run(steps)


# --- several processes ------------------------------------------------------------------------------------------------


class Process:
    """One of those that share: its breaker, its clock and what it was told."""

    def __init__(self, url: str, policy: BreakerPolicy, *, poll: bool = False, scope: str = "test") -> None:
        self.link = RedisLink(RedisAddress.parse(url), ask_s=20)
        self.failed: list[str] = []
        self.recovered: list[str] = []
        self.changes: list[str] = []
        self.shift = 0.0
        self.hub = SharedBreakers(
            self.link,
            scope=scope,
            clock=self,  # type: ignore[arg-type]
            failed=self.failed.append,
            recovered=self.recovered.append,
            poll=poll,
        )
        self.breaker = self.hub.breaker("openai", policy, lambda change: self.changes.append(change.to_state))

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic() + self.shift

    def time_us(self) -> int:
        return SYSTEM_CLOCK.time_us()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.02))

    async def look(self) -> None:
        self.breaker.look()
        await self.breaker.settled()

    async def fail(self, times: int = 1) -> None:
        for _ in range(times):
            permit = self.breaker.admit()
            assert permit is not None
            self.breaker.failure(permit)
        await self.breaker.settled()

    async def close(self) -> None:
        await self.hub.close()
        await self.link.close()


Begin = Callable[..., Process]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    processes: list[Process] = []

    def begin(server: RedisServer, policy: BreakerPolicy, **options: Any) -> Process:
        processes.append(Process(server.url, policy, **options))
        return processes[-1]

    yield begin
    for process in processes:
        await process.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


THREE = BreakerPolicy("consecutive", failure_threshold=3, recovery_timeout=30.0)


async def test_failures_of_all_processes_count_together(redis_server: RedisServer, begin: Begin) -> None:
    """Threshold 3: one failure each in three processes opens the breaker of all of them, and of a fourth that waits."""
    processes = [begin(redis_server, THREE) for _ in range(4)]
    for process in processes[:3]:
        await process.fail()
    for process in processes:
        await process.look()
    assert [process.breaker.state for process in processes] == ["open"] * 4
    assert [process.changes for process in processes] == [["open"]] * 4
    assert all(29 < (process.breaker.retry_after() or 0) <= 30 for process in processes)


async def test_a_success_anywhere_breaks_the_row(redis_server: RedisServer, begin: Begin) -> None:
    one, two = begin(redis_server, THREE), begin(redis_server, THREE)
    await one.fail(2)
    permit = two.breaker.admit()
    assert permit is not None
    two.breaker.success(permit)
    await two.breaker.settled()
    await one.fail(2)
    assert one.breaker.state == "closed"


async def test_an_idle_process_hears_of_it(redis_server: RedisServer, begin: Begin) -> None:
    one, idle = begin(redis_server, THREE), begin(redis_server, THREE, poll=True)
    idle.hub.began()
    await one.fail(3)
    await until(lambda: idle.breaker.state == "open")
    one.breaker.reset()
    await until(lambda: idle.breaker.state == "closed")


@pytest.mark.parametrize("hand", ["force_open", "force_close", "disable"])
async def test_what_is_done_by_hand_is_done_to_all(redis_server: RedisServer, begin: Begin, hand: str) -> None:
    one, two = begin(redis_server, THREE), begin(redis_server, THREE)
    getattr(one.breaker, hand)()
    state = one.breaker.state
    assert state in ("forced_open", "forced_closed", "disabled")
    await one.breaker.settled()
    await two.look()
    assert two.breaker.state == state
    assert two.breaker.would_admit() is (hand != "force_open")


async def test_a_fleet_that_knows_of_a_probe_sends_no_other(redis_server: RedisServer, begin: Begin) -> None:
    processes = [begin(redis_server, THREE) for _ in range(5)]
    await processes[0].fail(3)
    for process in processes:
        await process.look()
        process.shift = 31.0
    permit = processes[0].breaker.admit()
    assert permit is not None
    await processes[0].breaker.settled()
    for process in processes[1:]:
        await process.look()
        assert process.breaker.state == "half_open"
        assert process.breaker.admit() is None
    processes[0].breaker.success(permit)
    await processes[0].breaker.settled()
    for process in processes[1:]:
        await process.look()
    assert {process.breaker.state for process in processes} == {"closed"}


async def test_probes_at_the_same_moment_are_one_for_each_process_and_all_count(
    redis_server: RedisServer, begin: Begin
) -> None:
    processes = [begin(redis_server, THREE) for _ in range(5)]
    await processes[0].fail(3)
    for process in processes:
        await process.look()
        process.shift = 31.0
    permits = [process.breaker.admit() for process in processes]
    assert None not in permits
    assert all(process.breaker.admit() is None for process in processes)
    for process in processes:
        await process.breaker.settled()
    for process, permit in zip(processes, permits, strict=True):
        assert permit is not None
        process.breaker.failure(permit)
        await process.breaker.settled()
    for process in processes:
        await process.look()
    # The first failure re-opened it; those after it were late.
    assert {process.breaker.state for process in processes} == {"open"}
    assert processes[0].changes == ["open", "half_open", "open"]


async def test_a_probe_whose_process_died_gives_its_place_back(redis_server: RedisServer, begin: Begin) -> None:
    one, two = begin(redis_server, THREE), begin(redis_server, THREE)
    await one.fail(3)
    await two.look()
    one.shift = two.shift = 31.0
    assert one.breaker.admit() is not None
    await one.breaker.settled()
    await two.look()
    assert two.breaker.admit() is None
    two.shift += PROBE_LEASE_S + 1
    await two.look()
    assert two.breaker.admit() is not None


async def test_clocks_that_differ_meet_at_the_servers(redis_server: RedisServer, begin: Begin) -> None:
    one, two = begin(redis_server, THREE), begin(redis_server, THREE)
    one.shift, two.shift = 1e6, -500.0
    await one.fail(3)
    await two.look()
    for process in (one, two):
        assert 29 < (process.breaker.retry_after() or 0) <= 30.01


async def test_every_answer_may_be_lost_and_nothing_counts_twice(
    redis_server: RedisServer, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.shared.errors import RedisAway

    one = begin(redis_server, BreakerPolicy("consecutive", failure_threshold=5))
    run, lost = one.link.run, [True, True, True]

    async def lossy(*arguments: Any, **named: Any) -> Any:
        answer = await run(*arguments, **named)
        if lost and arguments[1]:
            lost.pop()
            raise RedisAway("the answer is lost")
        return answer

    monkeypatch.setattr(one.link, "run", lossy)
    await one.fail(4)
    assert lost == []
    assert (one.breaker.state, one.breaker.snapshot().failures) == ("closed", 4)
    await one.fail()
    assert one.breaker.state == "open"


# --- without the server -----------------------------------------------------------------------------------------------


async def test_without_redis_each_goes_on_alone_from_what_was_known_and_comes_back(
    start_redis: Callable[..., RedisServer], begin: Begin
) -> None:
    server = start_redis()
    one = begin(server, THREE, poll=True)
    await one.look()
    await one.fail(1)
    server.kill()
    await until(lambda: one.failed != [])
    await one.fail(3)
    assert (one.breaker.state, one.changes) == ("open", ["open"])
    assert len(one.failed) == 1
    assert "circuit breakers of its own" in one.failed[0]
    server.restart()
    await until(lambda: one.recovered != [] and one.breaker._alone is None)
    # The server has forgotten everything: it is told what is known.
    assert one.breaker.state == "open"
    other = begin(server, THREE)
    await other.look()
    assert other.breaker.state == "open"
    assert 25 < (other.breaker.retry_after() or 0) <= 30
    assert (len(one.failed), len(one.recovered)) == (1, 1)


async def test_permits_of_one_era_count_for_nothing_in_another(
    start_redis: Callable[..., RedisServer], begin: Begin
) -> None:
    server = start_redis()
    one = begin(server, BreakerPolicy("consecutive", failure_threshold=1))
    await one.look()
    server.kill()
    await until(lambda: one.failed != [])
    permit = one.breaker.admit()
    server.restart()
    await until(lambda: one.recovered != [] and one.breaker._alone is None)
    assert permit is not None
    one.breaker.failure(permit)
    await one.look()
    assert one.breaker.state == "closed"


async def test_what_is_done_by_hand_while_it_is_gone_reaches_it_in_the_end(
    start_redis: Callable[..., RedisServer], begin: Begin
) -> None:
    server = start_redis()
    one = begin(server, THREE)
    await one.look()
    server.kill()
    await until(lambda: one.failed != [])
    one.breaker.force_open()
    assert one.breaker.state == "forced_open"
    server.restart()
    await until(lambda: one.recovered != [] and one.breaker._alone is None)
    other = begin(server, THREE)
    await other.look()
    assert (one.breaker.state, other.breaker.state) == ("forced_open", "forced_open")


async def test_a_silent_server_slows_no_call(start_redis: Callable[..., RedisServer], begin: Begin) -> None:
    server = start_redis()
    one = begin(server, THREE)
    await one.look()
    server.pause()
    began = SYSTEM_CLOCK.monotonic()
    for _ in range(2000):
        permit = one.breaker.admit()
        assert permit is not None
        one.breaker.success(permit)
    # Asking the server each time would take 2,000 times as long as it may be silent.
    assert SYSTEM_CLOCK.monotonic() - began < 5.0
    server.resume()
    await one.breaker.settled()
    assert one.breaker.state == "closed"
