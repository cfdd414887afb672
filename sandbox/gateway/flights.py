"""Single flight: identical questions asked at the same time share one upstream call, which belongs to none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from providers.types import LLMResponse


class _Flight:
    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[LLMResponse]) -> None:
        self.task = task
        self.waiting = 0


class Flights:
    """Keyed calls under way. A flight is cancelled when nobody waits for it any more."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Flight] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    async def join(self, key: str, start: Callable[[], Coroutine[Any, Any, LLMResponse]]) -> LLMResponse:
        """The answer of the flight under way, begun here if there is none. Failures are shared by all who wait."""
        flight = self._under_way.get(key)
        if flight is None:
            flight = _Flight(asyncio.get_running_loop().create_task(start()))
            self._under_way[key] = flight
            flight.task.add_done_callback(lambda _: self._landed(key, flight))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                # Nobody may join a flight that is being called off, so it leaves the board first.
                self._landed(key, flight)
                flight.task.cancel()

    def _landed(self, key: str, flight: _Flight) -> None:
        if self._under_way.get(key) is flight:
            del self._under_way[key]
        if flight.task.done() and not flight.task.cancelled():
            flight.task.exception()  # fetched, so that a failure nobody waited for is not reported as lost
