"""What all endpoints of one server share: the runtime, the requests under way, and the watch over them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from providers.clock import random_id
from providers.errors import InvalidRequestError, ProviderError, ServiceUnavailableError
from sandbox.server.gateway.failures import Ended
from sandbox.server.gateway.telling import KEEP_ALIVE
from sandbox.server.reply import HIGH_WATER, Reply

if TYPE_CHECKING:
    from sandbox.runtime import Runtime
    from sandbox.server.gateway.asking import Asked

BEAT: Final = 15.0
"""Seconds between two looks at the requests under way. Proxies give up on a connection that is silent for a minute."""
BODY_BEATS: Final = 3
"""A body that has not arrived after so many looks is waited for no longer."""
STUCK_BEATS: Final = 8
"""A client that has read nothing for so many looks is gone."""


class Exchange:
    """One request under way."""

    __slots__ = ("_beats", "_task", "begin_stream", "ended", "ident", "received", "reply")

    def __init__(self, reply: Reply, ident: str) -> None:
        self.reply = reply
        # The first look comes at any moment, so that only the second one can tell.
        reply.moved = True
        self.ident = ident
        self.received = False
        """Its body is here."""
        self.begin_stream: Callable[[], None] | None = None
        """Commits to a stream although nobody has answered yet; set while that may be done."""
        self.ended: Ended | None = None
        self._task = asyncio.current_task()
        self._beats = 0

    def end(self, error: ProviderError) -> None:
        """Have its handler tell the caller of this error, now."""
        if self.ended is None and self._task is not None:
            self.ended = Ended(error)
            self._task.cancel()

    def taken_back(self) -> Ended | None:
        """Why the server cancelled it, for its handler, which goes on; None: somebody else did."""
        if self.ended is not None and self._task is not None:
            self._task.uncancel()
        return self.ended

    def beat(self) -> None:
        """Look after it: a silent stream is kept alive, a body that does not come and a client that is gone end it."""
        reply = self.reply
        moved, reply.moved = reply.moved, False
        if not self.received:
            self._beats += 1
            if self._beats >= BODY_BEATS:
                self.end(InvalidRequestError(f"the body did not arrive within {BEAT * BODY_BEATS:.0f} s"))
        elif reply.backlog >= HIGH_WATER and not moved:
            self._beats += 1
            if self._beats >= STUCK_BEATS:
                reply.reset()
        else:
            self._beats = 0
            if not moved and self.begin_stream is not None:
                self.begin_stream()
                reply.push(KEEP_ALIVE)


class Service:
    """One server's side of its requests. Belongs to the runtime's event loop."""

    def __init__(self, runtime: Runtime, *, ids: Callable[[], str] = random_id) -> None:
        self.runtime = runtime
        self.clock = runtime.clock
        self.new_id = ids
        self.steer: Callable[[Asked], Asked] | None = None
        """What is to be asked in place of what a caller asks; None: that itself."""
        self.reader: Callable[[Mapping[str, str]], str | None] = lambda _: None
        """Whose page asks that may read the answer."""
        self.draining = False
        """No further request is taken."""
        self.room: int | None = None
        """The highest number of a descriptor whose connection is answered; None: any."""
        self._exchanges: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def under_way(self) -> int:
        return len(self._exchanges)

    def reply(self, request: web.Request) -> Reply:
        reply = Reply(request, self.clock)
        reply.origin = self.reader(request.headers)
        return reply

    @contextmanager
    def exchange(self, request: web.Request) -> Iterator[Exchange]:
        exchange = Exchange(self.reply(request), self.new_id())
        if self.draining:
            exchange.reply.close_after()
        self._exchanges.add(exchange)
        self._idle.clear()
        try:
            yield exchange
        finally:
            exchange.reply.finish()
            self._exchanges.discard(exchange)
            if not self._exchanges:
                self._idle.set()

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._look_after())

    async def drain(self, seconds: float) -> None:
        """Wait for what is under way, at most so long; then have the rest tell its callers that it ends."""
        self.draining = True
        with suppress(TimeoutError):
            async with self.clock.timeout(seconds):
                await self._idle.wait()
        self.end_all()

    def end_all(self) -> None:
        for exchange in list(self._exchanges):
            exchange.end(ServiceUnavailableError("the gateway is shutting down", status=503, retry_after=1.0))

    async def close(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch

    async def _look_after(self) -> None:
        while True:
            await self.clock.sleep(BEAT)
            for exchange in list(self._exchanges):
                exchange.beat()
