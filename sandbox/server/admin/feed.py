"""The events of the bus for those who listen over HTTP (SSE): each gets what it can take, and is told what it missed.

From the first listener on the newest events are kept, so that one who comes back with `Last-Event-ID` gets what
happened meanwhile. Events with the text of a question or an answer are for listeners who ask for them, as they happen,
and are kept for nobody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import orjson

from providers.clock import random_id
from sandbox.core.bus import Bus
from sandbox.core.events import ChunkReceived, ClientAnswered, ClientAsked, Event
from sandbox.core.trace import encode

KEPT: Final = 1_000
"""Events for listeners who come back."""
WAITING: Final = 1_000
"""Events that may wait for one listener; beyond it the oldest are dropped."""
MAX_LISTENERS: Final = 32
_TEXTS: Final = (ChunkReceived, ClientAsked, ClientAnswered)


class Listener:
    """One who listens."""

    def __init__(self) -> None:
        self.missed = 0
        """Events dropped since it was last told."""
        self.lost = False
        """It asked for events of which nothing is known any more."""
        self._waiting: deque[tuple[int, Event]] = deque()
        self._awake = asyncio.Event()

    def read(self, event: Event) -> None:
        """Observe the bus for the events with texts."""
        if isinstance(event, _TEXTS):
            self.put(0, event)

    def put(self, number: int, event: Event) -> None:
        if len(self._waiting) >= WAITING:
            self._waiting.popleft()
            self.missed += 1
        self._waiting.append((number, event))
        self._awake.set()

    async def wait(self) -> None:
        """Until there is something to tell, or it is over."""
        await self._awake.wait()

    def wake(self) -> None:
        self._awake.set()

    def take(self) -> list[tuple[int, Event]]:
        """What waits, in order."""
        self._awake.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


class Feed:
    """Events are numbered from 1; those with texts have no number (0). While nobody has listened it costs nothing."""

    def __init__(self, bus: Bus, *, ids: Callable[[], str] = random_id) -> None:
        self._bus = bus
        self._leave: Callable[[], None] | None = None
        self._run = ids()[:8]
        """Tells this start from those before, whose numbers mean other events."""
        self._number = 0
        self._kept: deque[tuple[int, Event]] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []
        self.over = False

    def _take(self, event: Event) -> None:
        if isinstance(event, _TEXTS):
            # Those who want them read them off the bus themselves, which else does without.
            return
        self._number += 1
        self._kept.append((self._number, event))
        for one in self._listeners:
            one.put(self._number, event)

    def listen(self, *, last: str | None) -> Listener | None:
        """A listener from now on, or from behind the event that it saw `last`; None: there are too many."""
        if len(self._listeners) >= MAX_LISTENERS:
            return None
        if self._leave is None:
            self._leave = self._bus.subscribe(self._take, texts=False)
        listener = Listener()
        if last is not None:
            seen = self._seen(last)
            listener.lost, seen = seen is None, seen or 0
            listener.missed = max(0, (self._kept[0][0] if self._kept else self._number + 1) - 1 - seen)
            for number, event in self._kept:
                if number > seen:
                    listener.put(number, event)
        self._listeners.append(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def end(self) -> None:
        """Let the listeners go."""
        self.over = True
        if self._leave is not None:
            self._leave()
        for one in self._listeners:
            one.wake()

    def written(self, number: int, event: Event) -> bytes:
        """One event as SSE has it; its data is a line of a trace, and whole."""
        ident = f"id: {self._run}-{number}\n" if number else ""
        return f"{ident}event: {type(event).__name__}\ndata: ".encode() + encode(event, whole=True) + b"\n\n"

    def _seen(self, last: str) -> int | None:
        """The number of an id; None for one of another start, or none at all."""
        run, _, number = last.partition("-")
        if run != self._run or not number.isdecimal() or len(number) > 15:
            return None
        return min(int(number), self._number)


def note(kind: str, **facts: Any) -> bytes:
    """Something about the stream itself, by a name that no event has."""
    return f"event: {kind}\ndata: ".encode() + orjson.dumps(facts) + b"\n\n"
