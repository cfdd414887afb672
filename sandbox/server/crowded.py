"""Connections for which there is no descriptor left: they are told so, with a status, and the log in one sentence.

Left alone, the event loop writes a traceback for each and lets them wait. Two descriptors are kept aside to take such a
connection with, so that whoever comes is answered.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from providers.clock import Clock
from sandbox.core.descriptors import limit

logger = logging.getLogger(__name__)

AT_ONCE: Final = 1_000
"""Connections that are turned away before the loop turns to those that are there."""
QUIET_S: Final = 60.0
"""The log is told again after so long at the earliest."""
SPARE: Final = 64
"""Descriptors for what is no connection: stores, logs, look-ups."""
_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_AGAIN: Final = "_start_serving"
_Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class Crowd:
    """From `watch` to `leave` of one server's listening sockets. Belongs to the running loop."""

    def __init__(self, answer: bytes, *, clock: Clock) -> None:
        """`answer`: what each is told, a whole HTTP answer after which the connection ends."""
        self._answer = answer
        self._clock = clock
        self._kept: list[int] = []
        self._addresses: frozenset[tuple[Any, ...]] = frozenset()
        self._before: _Handler | None = None
        self._told: float | None = None
        # One and the same at both ends: a bound method is a new object each time.
        self._handler: _Handler = self._handle

    def watch(self, addresses: Iterable[tuple[Any, ...]]) -> None:
        """`addresses`: those that are listened on."""
        self._addresses = frozenset(addresses)
        self._keep()
        loop = asyncio.get_running_loop()
        self._before = loop.get_exception_handler()
        loop.set_exception_handler(self._handler)

    def leave(self) -> None:
        """Safe to call twice."""
        loop = asyncio.get_running_loop()
        # The loop listens again a second after it could not, on a socket that may be closed by then: that is heard.
        if self._told is None and loop.get_exception_handler() is self._handler:
            loop.set_exception_handler(self._before)
        self._release()
        self._addresses = frozenset()

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, listening = context.get("exception"), context.get("socket")
        full = isinstance(error, OSError) and error.errno in _OUT_OF
        if full and listening is not None and listening.getsockname() in self._addresses:
            self._turn_away(listening)
        elif isinstance(error, ValueError) and not self._addresses and _AGAIN in context.get("message", ""):
            return
        elif self._before is not None:
            self._before(loop, context)
        else:
            loop.default_exception_handler(context)

    def _turn_away(self, listening: Any) -> None:
        now = self._clock.monotonic()
        if self._told is None or now - self._told >= QUIET_S:
            self._told = now
            logger.warning(
                "no descriptor is left for further connections, which are answered 503: raise the limit (ulimit -n)"
            )
        self._release()
        with suppress(OSError), listening.dup() as door:
            door.setblocking(False)
            for _ in range(AT_ONCE):
                visitor, _ = door.accept()
                with visitor, suppress(OSError):
                    visitor.setblocking(False)
                    with suppress(BlockingIOError):
                        # What is left unread would reset the connection, and the answer with it.
                        visitor.recv(1 << 16)
                    visitor.send(self._answer)
                    visitor.shutdown(socket.SHUT_WR)
        self._keep()

    def _keep(self) -> None:
        with suppress(OSError):
            while len(self._kept) < 2:
                self._kept.append(os.open(os.devnull, os.O_RDONLY))

    def _release(self) -> None:
        while self._kept:
            os.close(self._kept.pop())


def room(*, upstream: bool) -> int | None:
    """The highest number of a descriptor whose connection is answered; None: any.

    A system gives out the lowest number that is free, so that it tells how many are in use. `upstream`: each request
    needs a second one, for its provider, which would be blamed where there is none.
    """
    most = limit()
    return None if most is None else max(most - SPARE, most // 2) // (2 if upstream else 1)


def beyond(request: web.BaseRequest, room: int) -> bool:
    """Whether a request came by a connection for which there is no room."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    return connection is not None and connection.fileno() > room
