"""Steps of an async generator that are begun by hand and awaited only where there is something to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from providers.resuming import within


async def taken(source: AsyncGenerator[Any], seconds: float = 5.0) -> tuple[Any, bool]:
    """The next value, and whether it had to be waited for, which sets a timer."""
    limits: list[float] = []

    def timeout(limit: float) -> asyncio.Timeout:
        limits.append(limit)
        return asyncio.timeout(limit)

    return await within(timeout, seconds, source.__anext__()), limits == [seconds]


async def test_what_is_there_is_not_waited_for_and_the_rest_is() -> None:
    async def source() -> AsyncGenerator[int]:
        yield 1
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        yield 2
        yield 3

    one = source()
    assert [await taken(one) for _ in range(3)] == [(1, False), (2, True), (3, False)]
    with pytest.raises(StopAsyncIteration):
        await taken(one)


async def test_a_limit_and_a_cancelling_reach_the_generator_and_it_may_answer_them() -> None:
    seen: list[str] = []

    async def source() -> AsyncGenerator[int]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise
        yield 1

    with pytest.raises(TimeoutError):
        await taken(source(), 0.01)
    assert seen == ["cancelled", "cleaned up"]
    task = asyncio.ensure_future(taken(source()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(seen) == 4


async def test_what_is_raised_after_a_wait_comes_out() -> None:
    async def source() -> AsyncGenerator[int]:
        await asyncio.sleep(0)
        raise KeyError("gone")
        yield 1

    with pytest.raises(KeyError):
        await taken(source())
