"""Looks after providers by itself: a check at an interval, in the background, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from providers.clock import Clock

logger = logging.getLogger(__name__)


class HealthMonitor:
    """Calls `check` every `interval` seconds, first at once. A check that raises is logged; the next still comes."""

    def __init__(self, check: Callable[[], Awaitable[object]], *, interval: float, clock: Clock) -> None:
        self._check = check
        self._interval = interval
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    async def start(self) -> None:
        """Begin; a second start changes nothing."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        """End, and wait for the end; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await self._check()
            except Exception:
                logger.exception("a health check failed")
            await self._clock.sleep(self._interval)
