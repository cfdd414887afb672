"""What a work tells while it goes on, as an iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

_END = object()


async def flow_of(work: Callable[[Callable[[Any], None]], Awaitable[None]]) -> AsyncIterator[Any]:
    """Everything that `work` tells, in order; then what it raises. Left early, it is cancelled and waited for."""
    told: asyncio.Queue[Any] = asyncio.Queue()

    async def run() -> None:
        try:
            await work(told.put_nowait)
        finally:
            told.put_nowait(_END)

    task = asyncio.create_task(run())
    try:
        while (one := await told.get()) is not _END:
            yield one
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
