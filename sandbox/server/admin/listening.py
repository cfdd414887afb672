"""`GET /api/admin/events`: one listener's connection, from its first line to its end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from aiohttp import web

from providers.errors import ProviderError, RateLimitError
from sandbox import __version__
from sandbox.access.callers import Access
from sandbox.server.admin.api import SCOPE, query_of, refuse
from sandbox.server.admin.feed import Feed, Listener, note
from sandbox.server.admin.shapes import EventsQuery
from sandbox.server.gateway.telling import KEEP_ALIVE, identity

if TYPE_CHECKING:
    from sandbox.runtime import Runtime
    from sandbox.server.gateway.service import Service
    from sandbox.server.reply import Reply

PATH: Final = "/api/admin/events"
SILENCE: Final = 15.0
"""Seconds after which a listener is sent a sign of life."""
STUCK: Final = 60.0
"""A listener that has read nothing for so many seconds is gone."""
LOOK: Final = 2.0
"""Seconds between two looks at whether a listener may still listen: tokens end, and keys are taken back."""
AGAIN: Final = 5.0
"""Seconds after which another listener may have left."""


class Listening:
    """Its connections are no requests under way: a server that ends does not wait for them."""

    def __init__(self, runtime: Runtime, feed: Feed, access: Access, service: Service) -> None:
        self._runtime = runtime
        self._feed = feed
        self._access = access
        self._service = service

    async def handle(self, request: web.Request) -> web.StreamResponse:
        ident = self._service.new_id()
        reply = self._service.reply(request)
        try:
            self._access.required(request.headers, SCOPE)
            asked = query_of(EventsQuery, request)
            assert isinstance(asked, EventsQuery)  # noqa: S101
            listener = self._feed.listen(last=request.headers.get("Last-Event-ID"))
            if listener is None:
                raise RateLimitError("too many listen already", status=429, retry_after=AGAIN)
        except Exception as error:
            await refuse(request, reply, ident, error)
            return reply
        unread = self._runtime.bus.subscribe(listener.read) if asked.texts else None
        try:
            headers = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
            reply.open(200, {**headers, **identity(ident)})
            with suppress(ConnectionError):
                await self._told(request, reply, listener)
        finally:
            if unread is not None:
                unread()
            self._feed.leave(listener)
            reply.finish()
        return reply

    async def _told(self, request: web.Request, reply: Reply, listener: Listener) -> None:
        clock, feed = self._service.clock, self._feed
        pieces = [self._hello(), *self._missed(listener)]
        looked = told = clock.monotonic()
        while True:
            try:
                async with clock.timeout(STUCK):
                    for piece in pieces:
                        await reply.put(piece)
            except TimeoutError:
                reply.reset()
                return
            if feed.over:
                await reply.end()
                return
            with suppress(TimeoutError):
                async with clock.timeout(min(LOOK, SILENCE)):
                    await listener.wait()
            now = clock.monotonic()
            if now - looked >= LOOK:
                looked = now
                why = self._refusal(request)
                if why is not None:
                    # No event of the meantime: they are not his any more.
                    await reply.put(note("refused", message=why))
                    await reply.end()
                    return
            pieces = self._missed(listener)
            pieces += [feed.written(number, event) for number, event in listener.take()]
            if pieces:
                told = now
            elif now - told >= SILENCE:
                pieces, told = [KEEP_ALIVE], now

    def _refusal(self, request: web.Request) -> str | None:
        """Why somebody who was let in may listen no longer; None: he may."""
        try:
            self._access.required(request.headers, SCOPE)
        except ProviderError as error:
            return error.message
        return None

    @staticmethod
    def _missed(listener: Listener) -> list[bytes]:
        """A note where there are events that it does not get; null: nobody knows how many."""
        missed, lost = listener.missed, listener.lost
        listener.missed, listener.lost = 0, False
        return [note("missed", events=None if lost else missed)] if missed or lost else []

    def _hello(self) -> bytes:
        """What a listener needs to know before the first event: who is here, and how they are."""
        gateway = self._runtime.gateway
        return note(
            "hello",
            version=__version__,
            mode=gateway.mode,
            preset=gateway.policy.name,
            t_us=self._service.clock.time_us(),
            providers=[
                {"id": one.id, "kind": one.kind, "model": one.model, "breaker": str(one.breaker.state)}
                for one in gateway.health()
            ],
        )
