"""One HTTP answer, written to the socket by hand: a fault needs every byte, and nothing may be added to a recording.

The web framework's own responses also cost more than everything else that an answer takes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from providers.clock import Clock

HIGH_WATER: Final = 1 << 16
"""Bytes that may wait to be written together."""
RESET_GRACE: Final = 0.02
"""Seconds that what was sent gets to arrive before the connection is reset, which could overtake it."""
NOT_PASSED_ON: Final = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "content-length", "content-encoding",
    }
)  # fmt: skip
"""Headers that tell of one connection, not of an answer: they are written anew. Bodies are kept decoded."""

_FOR_PAGES: Final = frozenset({"access-control-allow-origin", "access-control-expose-headers"})
_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_CONTROL: Final = dict.fromkeys((*range(9), *range(10, 32), 127), " ")


class Reply(web.StreamResponse):
    """Written while the request is handled; for the framework, which sends what a handler returns, nothing is left."""

    def __init__(self, request: web.BaseRequest, clock: Clock) -> None:
        # Not the base's __init__: it makes what no answer here uses, and that would be a tenth of an answer's cost.
        self._request = request
        self._clock = clock
        self._waiting: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._head: bytes | None = None
        self._chunked = True
        self._over = False
        self._kept = request.keep_alive
        self.origin: str | None = None
        """Whose page asks that may read the answer."""
        self.code: int | None = None
        """The status that was sent, or is about to be; None: no answer yet."""
        self.sent = 0
        """Bytes of the body that were handed over."""
        self.moved = False
        """Something was handed over since somebody last looked."""

    # --- what the framework asks ------------------------------------------------------------------------------------

    @property
    def keep_alive(self) -> bool | None:
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: Any = b"") -> None:
        return None

    # --- writing ----------------------------------------------------------------------------------------------------

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A body that is complete."""
        self.code = status
        bare = self._request.method == "HEAD" or status in (204, 304)
        length = "" if status == 204 else f"content-length: {len(body)}\r\n"
        self._over = True
        self._write(self._opening(status, headers, length) + (b"" if bare else body))
        self.sent = 0 if bare else len(body)
        await self.drained()

    async def relay(
        self,
        status: int,
        headers: Mapping[str, str],
        source: AsyncIterator[bytes],
        *,
        stream: bool,
        computed: bool = False,
    ) -> None:
        """A body piece by piece, each as soon as the source pauses after it.

        One that is no `stream` and came without a pause goes out with its length. Where the body is `computed` first
        the headers wait for it. Raises what the source raises; what came before that has been sent.
        """
        if self._request.method == "HEAD":
            await self.whole(status, headers, b"")
            return
        self.open(status, headers, at_once=not computed)
        try:
            async for piece in source:
                await self.put(piece)
        except Exception:
            self._flush()
            raise
        if self._head is not None and not stream:
            self._head = None
            await self.whole(status, headers, b"".join(self._waiting))
            return
        await self.end()

    def open(self, status: int, headers: Mapping[str, str], *, at_once: bool = True) -> None:
        """Begin a body of unknown length; its headers go out with its first piece, or `at_once` when the loop turns."""
        self.code = status
        self._chunked = self._request.version >= (1, 1)
        if not self._chunked:
            self._kept = False
        self._head = self._opening(status, headers, "transfer-encoding: chunked\r\n" if self._chunked else "")
        if at_once:
            self._schedule()

    async def put(self, piece: bytes) -> None:
        """Another piece of the body. Waits while the client does not read, so that little ever waits to be sent.

        Raises ConnectionError where there is no client any more.
        """
        self.push(piece)
        if self.crowded:
            await self.drained()

    @property
    def crowded(self) -> bool:
        """Whether what was handed over is so much that it has to be `drained` before more is."""
        return self._size >= HIGH_WATER or self._request.protocol.writing_paused

    async def drained(self) -> None:
        """Wait until a slow client has read enough. Raises ConnectionError where there is no client any more."""
        if self._size >= HIGH_WATER:
            self._flush()
        await self._request.writer.drain()

    def push(self, piece: bytes) -> None:
        """Another piece of the body, at the loop's next turn."""
        if piece and not self._over:
            self._waiting.append(piece)
            self._size += len(piece)
            self._schedule()

    @property
    def backlog(self) -> int:
        """Bytes that were handed over and that the client has not taken."""
        transport = self._request.transport
        return 0 if transport is None or transport.is_closing() else transport.get_write_buffer_size()

    async def end(self) -> None:
        """The body is complete."""
        self._flush(end=True)
        await self.drained()

    def finish(self) -> None:
        """Nothing more is written, whatever still waits."""
        self._over = True

    def reset(self) -> None:
        """Cut the connection as a crash does: the client sees a reset, not an end."""
        self._over = True
        self._kept = False
        transport = self._request.transport
        if transport is None:
            return
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        transport.abort()

    def close_after(self) -> None:
        """The connection is not used again."""
        self._kept = False

    # --- bytes ------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        """Write at the loop's next turn: what a source gives without a pause goes out together."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        if not self._over:
            self._flush()

    def _flush(self, *, end: bool = False) -> None:
        head, self._head = self._head, None
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        self.sent += len(data)
        if self._chunked:
            data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if end else b"")
        if end:
            self._over = True
        if head is not None:
            data = head + data
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            self.moved = True
            transport.write(data)

    def _opening(self, status: int, headers: Mapping[str, str], framing: str) -> bytes:
        if self.origin is not None:
            headers = {
                "access-control-allow-origin": self.origin, "access-control-expose-headers": "*",
                **{name: value for name, value in headers.items() if name not in _FOR_PAGES},
            }  # fmt: skip
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if name not in NOT_PASSED_ON]
        text = "".join(lines)
        if text.count("\n") != len(lines) or text.count("\r") != len(lines):
            # A value of several lines would begin a header, or the body, of its own.
            text = "".join(line[:-2].translate(_CONTROL) + "\r\n" for line in lines)
        if "date" not in headers:
            framing += _date(self._clock.time_us() // 1_000_000)
        connection = "" if self._kept else "connection: close\r\n"
        if self._kept and self._request.version < (1, 1):
            connection = "connection: keep-alive\r\n"
        return f"{_status_line(status)}{text}{framing}{connection}\r\n".encode("latin-1", "replace")


@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    return f"date: {formatdate(seconds, usegmt=True)}\r\n"


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n"
