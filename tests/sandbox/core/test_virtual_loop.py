"""The virtual loop: exact times, order, no drift, and nothing of real time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.core.virtual import EPOCH_US, VirtualClock, VirtualTimeLoop, run_virtual


def virtually(body: Callable[[VirtualTimeLoop, VirtualClock], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        return await body(loop, VirtualClock(loop))

    return run_virtual(main())


def test_time_begins_at_zero_and_the_calendar_at_its_epoch() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        assert (clock.monotonic(), clock.time_us()) == (0.0, EPOCH_US)
        await clock.sleep(1.5)
        assert (clock.monotonic(), clock.time_us()) == (1.5, EPOCH_US + 1_500_000)

    virtually(body)


def test_a_thousand_hours_are_slept_to_the_microsecond() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        for hours in (1, 10, 989):
            await clock.sleep(hours * 3600.0)
        await clock.sleep(0.000001)
        assert loop.now_us == 1000 * 3600 * 1_000_000 + 1

    virtually(body)


def test_no_drift_over_a_million_timers_of_odd_lengths() -> None:
    """0.1, 0.7 and the like are no round floats, and their sums even less; each timer is rounded once.

    A round of the seven lengths is 100,000 + 700,000 + 3 + 1,100,000 + 333,333 + 2,718,280 + 50,000 = 5,001,616 µs.
    """
    lengths = (0.1, 0.7, 0.000003, 1.1, 0.333333, 2.71828, 0.05)
    rounds, slept = 142_858, 2_000  # 1,000,006 timers, and 14,000 sleeps of a coroutine

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> tuple[int, int]:
        done = loop.create_future()
        coming = iter(lengths * rounds)

        def again() -> None:
            length = next(coming, None)
            if length is None:
                done.set_result(loop.now_us)
            else:
                loop.call_later(length, again)

        again()
        by_timers = await done
        for _ in range(slept):
            for length in lengths:
                await clock.sleep(length)
        return by_timers, loop.now_us - by_timers

    assert virtually(body) == (rounds * 5_001_616, slept * 5_001_616)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=40), st.integers(0, 10**12))
def test_timers_fire_in_order_of_time_and_then_of_creation(delays: list[int], start_us: int) -> None:
    """Delays in tens of milliseconds, so that many fall together, beginning at any microsecond."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> list[tuple[int, int]]:
        await clock.sleep(start_us / 1e6)
        began, fired = loop.now_us, list[tuple[int, int]]()

        def fire(index: int) -> None:
            fired.append((loop.now_us - began, index))

        for index, delay in enumerate(delays):
            loop.call_later(delay / 100, fire, index)
        await clock.sleep(1.0)
        return fired

    assert virtually(body) == sorted((delay * 10_000, index) for index, delay in enumerate(delays))


def test_one_instant_reached_by_different_sums_is_one_instant() -> None:
    """0.1 + 0.2 and 0.3 are different floats and the same microsecond: neither timer waits for the other's."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []

        async def steps(name: str, *lengths: float) -> None:
            for length in lengths:
                await clock.sleep(length)
            seen.append((name, loop.now_us))

        await asyncio.gather(steps("sum", 0.1, 0.2), steps("whole", 0.3), steps("thirds", 0.1, 0.1, 0.1))
        return seen

    assert sorted(virtually(body)) == [("sum", 300_000), ("thirds", 300_000), ("whole", 300_000)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(st.integers(1, 3_000_000), min_size=1, max_size=6),
        min_size=1,
        max_size=8,
    )
)
def test_concurrent_sleepers_each_wake_exactly_when_they_should(sleepers: list[list[int]]) -> None:
    """Nested: a gather of gathers; its end is the latest of all sums."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> int:
        async def one(naps: list[int]) -> None:
            expected = loop.now_us
            for nap in naps:
                await clock.sleep(nap / 1e6)
                expected += nap
                assert loop.now_us == expected
                assert round(clock.monotonic() * 1e6) == expected

        half = len(sleepers) // 2
        await asyncio.gather(
            asyncio.gather(*(one(naps) for naps in sleepers[:half])),
            asyncio.gather(*(one(naps) for naps in sleepers[half:])),
        )
        return loop.now_us

    assert virtually(body) == max(sum(naps) for naps in sleepers)


def test_two_runs_are_the_same_run() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> list[tuple[int, int]]:
        log: list[tuple[int, int]] = []

        async def worker(number: int) -> None:
            for step in range(20):
                await clock.sleep((number * 7 + step * 3) % 5 / 10)
                log.append((loop.now_us, number))

        await asyncio.gather(*(worker(n) for n in range(10)))
        return log

    first = virtually(body)
    assert first == virtually(body)
    assert [t for t, _ in first] == sorted(t for t, _ in first)


def test_a_timeout_ends_exactly_at_its_time_and_not_before() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        with pytest.raises(TimeoutError):
            async with clock.timeout(2.5):
                await clock.sleep(2.500001)
        assert loop.now_us == 2_500_000
        async with clock.timeout(2.5):
            await clock.sleep(2.499999)
        assert loop.now_us == 4_999_999
        async with clock.timeout(None):
            await clock.sleep(1e6)

    virtually(body)


def test_nested_timeouts_end_by_the_nearer_one() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        outer, inner = clock.timeout(1.0), clock.timeout(5.0)
        with pytest.raises(TimeoutError):
            async with outer, inner:
                await clock.sleep(60)
        assert (outer.expired(), inner.expired(), loop.now_us) == (True, False, 1_000_000)
        outer, inner = clock.timeout(5.0), clock.timeout(1.0)
        async with outer:
            with pytest.raises(TimeoutError):
                async with inner:
                    await clock.sleep(60)
            await clock.sleep(1.0)
        assert (outer.expired(), inner.expired(), loop.now_us) == (False, True, 3_000_000)

    virtually(body)


def test_a_timer_left_behind_does_not_hold_time_up_or_push_it_on() -> None:
    """The unused timeouts end with their blocks; a cancelled sleeper's hour is not slept by anybody else."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        for _ in range(500):
            async with clock.timeout(3600):
                await clock.sleep(0.001)
        assert loop.now_us == 500_000
        sleeper = asyncio.ensure_future(clock.sleep(3600))
        await clock.sleep(1)
        sleeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        assert loop.now_us == 1_500_000
        await clock.sleep(1)
        assert loop.now_us == 2_500_000

    virtually(body)


def test_cancellation_arrives_at_the_moment_it_is_sent() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> list[int]:
        ended: list[int] = []

        async def sleeper() -> None:
            try:
                await clock.sleep(100)
            finally:
                ended.append(loop.now_us)
                await clock.sleep(0.25)
                ended.append(loop.now_us)

        task = asyncio.ensure_future(sleeper())
        await clock.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return ended

    assert virtually(body) == [10_000_000, 10_250_000]


def test_a_chain_of_timers_set_from_timers() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> list[int]:
        fired: list[int] = []
        done = asyncio.Event()

        def link(left: int) -> None:
            fired.append(loop.now_us)
            if left:
                loop.call_later(0.7, link, left - 1)
            else:
                loop.call_soon(done.set)

        loop.call_later(0.7, link, 9)
        await done.wait()
        return fired

    assert virtually(body) == [700_000 * n for n in range(1, 11)]


def test_work_that_is_ready_holds_time_still() -> None:
    """A timer is due in a microsecond; two hundred rounds of ready work come first and take no time."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        timer = asyncio.ensure_future(clock.sleep(0.000001))
        before = [loop.now_us]
        for _ in range(200):
            await asyncio.sleep(0)
            before.append(loop.now_us)
        await timer
        assert set(before[:2]) == {0}
        assert loop.now_us == 1

    virtually(body)


def test_nothing_slept_takes_no_time() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> int:
        await clock.sleep(0)
        await clock.sleep(-5)
        await asyncio.gather(*(clock.sleep(0) for _ in range(100)))
        queue: asyncio.Queue[int] = asyncio.Queue()
        await asyncio.gather(queue.put(1), queue.get())
        return loop.now_us

    assert virtually(body) == 0


def test_a_thread_wakes_the_loop_without_time_moving() -> None:
    """Nothing is scheduled, so the loop waits in earnest for the other thread."""

    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> int:
        await clock.sleep(3)
        woken: asyncio.Future[str] = loop.create_future()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(woken.set_result, "hello"))
        thread.start()
        assert await woken == "hello"
        thread.join()
        return loop.now_us

    assert virtually(body) == 3_000_000


def test_what_a_run_returns_and_raises() -> None:
    async def body(loop: VirtualTimeLoop, clock: VirtualClock) -> str:
        await clock.sleep(1)
        return "done"

    async def broken(loop: VirtualTimeLoop, clock: VirtualClock) -> None:
        await clock.sleep(1)
        raise KeyError("lost")

    assert virtually(body) == "done"
    with pytest.raises(KeyError, match="lost"):
        virtually(broken)
