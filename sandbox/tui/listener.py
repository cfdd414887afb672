"""The gateway as a server inside the program: outside traffic goes through the same runtime as the screen's own."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from providers.clock import Clock
from providers.errors import InputError
from sandbox.tui.reports import Served

if TYPE_CHECKING:
    from sandbox.runtime import Runtime
    from sandbox.serving import OpenServer, ServerControl

HOST: Final = "127.0.0.1"
GRACE_S: Final = 2.0
"""How long what is under way may go on when the server ends: whoever quits does not want to wait."""


class Listener:
    """Belongs to the engine's loop. What it does is told as Served."""

    def __init__(self, open_server: OpenServer | None, clock: Clock, tell: Callable[[Served], None]) -> None:
        self._open = open_server
        self._clock = clock
        self._tell = tell
        self._server: ServerControl | None = None
        self._port: int | None = None
        """Where it listens, so that it can go on there over another runtime."""
        self._door = asyncio.Lock()

    async def start(self, runtime: Runtime, port: int) -> None:
        """Listen on this machine; 0 takes a free port. What stands in the way is told too."""
        async with self._door:
            if self._server is None:
                await self._start(runtime, port)

    async def stop(self) -> None:
        async with self._door:
            self._port = None
            await self._stop()

    async def close(self) -> None:
        """Stop for good."""
        self._open = None
        await self.stop()

    async def leave(self) -> None:
        """Before a runtime ends: `follow` goes on where this leaves off."""
        async with self._door:
            await self._stop()

    async def follow(self, runtime: Runtime) -> None:
        """Go on over another runtime, if it listened before."""
        async with self._door:
            if self._port is not None and self._server is None:
                await self._start(runtime, self._port)

    async def _start(self, runtime: Runtime, port: int) -> None:
        self._port = None
        try:
            if self._open is None:
                raise InputError("this program was started without a server")
            server = self._open(runtime, host=HOST, port=port)
            await server.start()
        except (OSError, OverflowError, InputError) as error:
            self._tell(Served(port=port, problem=_sentence(error, port)))
            return
        self._server = server
        self._port = urlsplit(server.url).port
        self._tell(Served(server.url, self._port or 0, tuple(server.clients), server.asks_callers))

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        with suppress(TimeoutError):
            async with self._clock.timeout(GRACE_S):
                await server.stop()
        self._tell(Served())


def _sentence(error: Exception, port: int) -> str:
    if isinstance(error, OSError):
        if error.errno == errno.EADDRINUSE:
            return f"port {port} is taken by another program: choose another, or 0 for any that is free"
        return f"cannot listen on port {port}: {(error.strerror or str(error)).lower()}"
    return str(error)
