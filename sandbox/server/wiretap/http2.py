"""HTTP/2 in the clear, for clients that speak nothing else: AWS's JavaScript SDK does so to Bedrock by default.

A connection that begins with HTTP/2's preface gets a session of its own; each of its streams is asked again over HTTP/1
of the same server, so that there is one way to answer. Every other connection is HTTP/1 from its first byte.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from h2.connection import H2Connection

logger: Final = logging.getLogger(__name__)

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_METHOD: Final = re.compile(r"[A-Z]+")
_TARGET: Final = re.compile(r"/[!-~]*")
"""What is put behind this server's address; anything else, such as `@example.org/`, would lead to another one."""
_NOT_FORWARDED: Final = frozenset({"host", "connection", "content-length", "expect", "te", "transfer-encoding"})
_NOT_RETURNED: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"})


class Connections:
    """The connections of one server that speak HTTP/2, or nothing yet."""

    def __init__(self, url: Callable[[], str], max_body: int) -> None:
        self.url = url
        """Where the same server speaks HTTP/1."""
        self.max_body = max_body
        self.transports: set[asyncio.Transport] = set()
        self._client: aiohttp.ClientSession | None = None

    def front(self, http1: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """A protocol for a new connection; those that turn out to speak HTTP/1 are handed over."""
        return _Front(http1, self)

    def client(self) -> aiohttp.ClientSession:
        """Asks again over HTTP/1."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                auto_decompress=False,
                skip_auto_headers=("accept-encoding", "user-agent", "content-type", "accept"),
            )
        return self._client

    async def close(self) -> None:
        for transport in list(self.transports):
            transport.close()
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class _Front(asyncio.Protocol):
    """Waits for the first bytes of a connection, and hands it to who speaks its language."""

    def __init__(self, http1: Callable[[], asyncio.Protocol], server: Connections) -> None:
        self._http1 = http1
        self._server = server
        self._begun = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  a listening socket gives no other
        self._transport = transport
        self._server.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if len(self._begun) < len(PREFACE) and PREFACE.startswith(self._begun):
            return
        speaker: asyncio.Protocol
        if self._begun.startswith(PREFACE):
            speaker = _Session(self._server)
        else:
            self._server.transports.discard(self._transport)
            speaker = self._http1()
        self._transport.set_protocol(speaker)
        speaker.connection_made(self._transport)
        speaker.data_received(self._begun)


class _Stream:
    """One request on its way in, and the task that answers it."""

    __slots__ = ("body", "headers", "room", "task")

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.headers = headers
        self.body = bytearray()
        self.room = asyncio.Event()
        """Set when there may be room for more."""
        self.task: asyncio.Task[None] | None = None


class _Session(asyncio.Protocol):
    """One HTTP/2 connection."""

    def __init__(self, server: Connections) -> None:
        self._server = server
        self._full = False
        """The client does not read what is sent to it."""
        self._streams: dict[int, _Stream] = {}
        self._transport: asyncio.Transport
        self._h2: H2Connection

    # --- the connection -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection

        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.transports.discard(self._transport)
        self._leave()

    def pause_writing(self) -> None:
        # Nor is it listened to: whatever it says may have to be answered.
        self._full = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        self._transport.resume_reading()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        from h2.exceptions import ProtocolError

        try:
            events = self._h2.receive_data(data)
        except (ProtocolError, UnicodeDecodeError):
            # What has gone wrong is told to the client by what the library wants to send now.
            self._flush()
            self._leave()
            return
        for event in events:
            self._take(event)
        self._flush()

    def _take(self, event: Any) -> None:
        from h2 import events as h2

        if isinstance(event, h2.RequestReceived):
            self._streams[event.stream_id] = _Stream([(str(k), str(v)) for k, v in event.headers])
        elif isinstance(event, h2.DataReceived):
            stream = self._streams.get(event.stream_id)
            # More than the limit is still taken in, up to one piece of it, so that HTTP/1 refuses it in its own words.
            if stream is not None and len(stream.body) <= self._server.max_body:
                stream.body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.StreamEnded):
            stream = self._streams.get(event.stream_id)
            if stream is not None:
                self._begin(event.stream_id, stream)
        elif isinstance(event, h2.StreamReset):
            stream = self._streams.pop(event.stream_id, None)
            if stream is not None and stream.task is not None:
                stream.task.cancel()
        elif isinstance(event, (h2.WindowUpdated, h2.RemoteSettingsChanged)):
            self._make_room()
        elif isinstance(event, h2.ConnectionTerminated):
            # The library sends nothing after a farewell, not even what is under way.
            self._leave()

    def _make_room(self) -> None:
        for stream in self._streams.values():
            stream.room.set()

    def _leave(self) -> None:
        """Give up what is under way, and close."""
        for stream in self._streams.values():
            if stream.task is not None:
                stream.task.cancel()
        self._streams.clear()
        self._transport.close()

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._h2.data_to_send())

    # --- one stream ---------------------------------------------------------------------------------------------------

    def _begin(self, number: int, stream: _Stream) -> None:
        from h2.errors import ErrorCodes

        asked = dict(stream.headers)
        if _METHOD.fullmatch(asked.get(":method", "")) and _TARGET.fullmatch(asked.get(":path", "")):
            stream.task = asyncio.get_running_loop().create_task(self._answer(number, stream))
        else:
            del self._streams[number]
            self._reset(number, ErrorCodes.PROTOCOL_ERROR)

    async def _answer(self, number: int, stream: _Stream) -> None:
        from h2.errors import ErrorCodes

        try:
            async with self._asked(stream) as response:
                headers = [(":status", str(response.status))]
                headers += [(k.lower(), v) for k, v in response.headers.items() if k.lower() not in _NOT_RETURNED]
                self._h2.send_headers(number, headers)
                self._flush()
                async for data in response.content.iter_any():
                    await self._send(number, stream, data)
                self._h2.end_stream(number)
        except (aiohttp.ClientError, ConnectionError):
            # The answer broke off, as a fault wants it: over HTTP/2 that is the end of this stream alone.
            self._reset(number, ErrorCodes.INTERNAL_ERROR)
        except Exception:
            logger.exception("a stream of HTTP/2 could not be answered")
            self._reset(number, ErrorCodes.INTERNAL_ERROR)
        finally:
            self._streams.pop(number, None)
            self._flush()

    def _asked(self, stream: _Stream) -> Any:
        pseudo = {k: v for k, v in stream.headers if k.startswith(":")}
        headers = [(k, v) for k, v in stream.headers if not k.startswith(":") and k not in _NOT_FORWARDED]
        url = URL(self._server.url() + pseudo[":path"], encoded=True)
        # A file object, because aiohttp sends it in slices that leave the loop free in between.
        body = BytesIO(stream.body) if stream.body else None
        client = self._server.client()
        return client.request(pseudo[":method"], url, headers=headers, data=body, allow_redirects=False)

    async def _send(self, number: int, stream: _Stream, data: bytes) -> None:
        """All of it, as fast as the client allows."""
        while data:
            room = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if room <= 0 or self._full:
                stream.room.clear()
                await stream.room.wait()
                continue
            self._h2.send_data(number, data[:room])
            self._flush()
            data = data[room:]

    def _reset(self, number: int, code: Any) -> None:
        from h2.exceptions import ProtocolError

        with suppress(ProtocolError):  # the client has closed it already
            self._h2.reset_stream(number, code)
