"""Whose turn it is, counted for all processes that share a Redis server."""

from __future__ import annotations

import asyncio
from typing import Final

from sandbox.gateway.turns import MOST_NAMES
from sandbox.shared.errors import RedisAway, RedisRefused
from sandbox.shared.link import PATIENT_S, RedisLink

_MOST_AT_ONCE: Final = 64
"""Turns that a process draws ahead of their use."""
_KEPT_S: Final = 86_400
"""A count that nobody has drawn from this long begins anew."""


class _Tickets:
    """Turns that are this process's own."""

    __slots__ = ("at_once", "fetching", "first", "left")

    def __init__(self) -> None:
        self.first = self.left = 0
        self.at_once = 1
        self.fetching = False


class SharedTurns:
    """Counted on a Redis server: no turn is given twice, whichever process asks.

    A process draws its turns before it needs them, so that nobody waits: one at a time, and more where that is too few.
    One that has none at hand, or cannot reach the server, goes on from its last as if it were alone.
    """

    def __init__(self, link: RedisLink, *, scope: str) -> None:
        """`scope`: gateways of the same one share. The link belongs to whoever made it."""
        self._link = link
        self._base = f"{{llm_turns:{scope}}}"
        self._tickets: dict[str | None, _Tickets] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def next(self, model: str | None) -> int:
        tickets = self._tickets.get(model)
        return 0 if tickets is None else tickets.first

    def take(self, model: str | None) -> int:
        tickets = self._tickets.get(model)
        if tickets is None:
            tickets = self._tickets[model] = _Tickets()
            if len(self._tickets) > MOST_NAMES:
                del self._tickets[next(iter(self._tickets))]
        turn = tickets.first
        tickets.first += 1
        if tickets.left:
            tickets.left -= 1
        elif tickets.fetching:
            tickets.at_once = min(2 * tickets.at_once, _MOST_AT_ONCE)
        if not tickets.left and not tickets.fetching and self._link.away is None:
            tickets.fetching = True
            task = asyncio.get_running_loop().create_task(self._fetch(model, tickets))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return turn

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _fetch(self, model: str | None, tickets: _Tickets) -> None:
        key, count = f"{self._base}:{model or 'any'}", tickets.at_once
        try:
            end = await self._link.ask("INCRBY", key, count, within=PATIENT_S)
            tickets.first, tickets.left = end - count, count
            await self._link.ask("EXPIRE", key, _KEPT_S, within=PATIENT_S)
        except (RedisAway, RedisRefused):
            pass  # each process takes turns by itself
        finally:
            tickets.fetching = False
