"""Single flight: identical questions asked at the same time share one upstream call, which belongs to none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from providers.types import LLMResponse


class _Flight:
    __slots__ = ("task", "waiters")

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        # Futures of its own for each who waits, instead of the task behind a shield: the last step of the task wakes
        # them, where a shield needs another turn of the loop.
        self.waiters: list[asyncio.Future[LLMResponse]] = []


class Flights:
    """Keyed calls under way. A flight is cancelled when nobody waits for it any more."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Flight] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._under_way

    async def join(self, key: str, start: Callable[[], Awaitable[LLMResponse]]) -> LLMResponse:
        """The answer of the flight under way, begun here if there is none. Failures are shared by all who wait."""
        loop = asyncio.get_running_loop()
        flight = self._under_way.get(key)
        if flight is None:
            flight = self._under_way[key] = _Flight()
            flight.task = loop.create_task(self._fly(key, flight, start))
        waiter: asyncio.Future[LLMResponse] = loop.create_future()
        flight.waiters.append(waiter)
        try:
            return await waiter
        finally:
            flight.waiters.remove(waiter)
            if not flight.waiters and self._under_way.get(key) is flight:
                # Nobody may join a flight that is being called off, so it leaves the board first.
                del self._under_way[key]
                flight.task.cancel()

    async def _fly(self, key: str, flight: _Flight, start: Callable[[], Awaitable[LLMResponse]]) -> None:
        try:
            response = await start()
        except BaseException as error:
            for waiter in self._landed(key, flight):
                if isinstance(error, asyncio.CancelledError):
                    waiter.cancel()
                else:
                    waiter.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for waiter in self._landed(key, flight):
                waiter.set_result(response)

    def _landed(self, key: str, flight: _Flight) -> list[asyncio.Future[LLMResponse]]:
        """Take it off the board; who waits for it still."""
        if self._under_way.get(key) is flight:
            del self._under_way[key]
        return [waiter for waiter in flight.waiters if not waiter.done()]
