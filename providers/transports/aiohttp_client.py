"""The lean transport: the same bytes as the vendor's SDK, for a fraction of its cost.

aiohttp pools, resolves, connects and parses; what its ClientSession does around that for every request (headers merged
and written anew, cookies, redirects, traces, a task that writes, a response that knows it all) costs more than the
request itself and is not wanted here, so requests go straight over its connector.

Nothing is taken from the environment: no proxy, no netrc, no cookies. Redirects are not followed, so that a credential
goes to the configured host and to no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from multidict import CIMultiDict
from yarl import URL

from providers.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from providers.transports.base import WireRequest
from providers.transports.judged import Judge, JudgedResolver

CONNECT_TIMEOUT = 10.0
"""Seconds to open a connection, TLS included. How long an answer may take is the caller's to limit."""
MAX_ROUTES = 256
"""Addresses whose headers are remembered; a path may hold a model's name, and callers may ask for any."""
LARGE_BODY = 1 << 20
"""Bytes from which a body goes out in slices that leave the loop free in between."""
_SLICE = 1 << 16
_FAILURES = (aiohttp.ClientError, HttpProcessingError, OSError)
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
"""What would end a header's line, or let a proxy on the way see another header than we do."""
_BODILESS = frozenset({"GET", "HEAD"})

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class AiohttpResponse:
    """One answer on one connection, whose failures speak the transport's language."""

    __slots__ = ("_connection", "_content", "_host", "_upload", "headers", "status")

    def __init__(
        self,
        message: RawResponseMessage,
        content: aiohttp.StreamReader,
        connection: Connection,
        host: str | None,
        upload: asyncio.Task[None] | None,
    ) -> None:
        self.status = message.code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in message.headers.items()}
        self._content = content
        self._connection: Connection | None = connection
        self._host = host
        self._upload = upload
        # The connection is free for the next request as soon as the body is here, read or not.
        content.on_eof(self._release)

    async def read(self) -> bytes:
        content = self._content
        try:
            # Mostly all of it came with the headers.
            return content.read_nowait() if content.is_eof() else await content.read()
        except _FAILURES as error:
            failure = self._broken(error)
        raise failure

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    # An iterator and not a generator: one that is left half way needs no clean-up of its own.
    async def __anext__(self) -> bytes:
        try:
            data = await self._content.readany()
        except _FAILURES as error:
            failure = self._broken(error)
        else:
            if data:
                return data
            raise StopAsyncIteration
        raise failure

    async def close(self) -> None:
        # Before the end of the body this closes the socket; after it the connection is back in the pool already.
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._upload is not None:
            self._upload.cancel()
        if self._content.exception() is None:
            self._content.set_exception(aiohttp.ClientConnectionError("closed"))
        connection.close()

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport, upload = connection.transport, self._upload
        if (upload is None or upload.done()) and (transport is None or not transport.get_write_buffer_size()):
            connection.release()
            return
        # Answered before the whole question was sent; what is left of it must not reach the next request.
        if upload is not None:
            upload.cancel()
        connection.close()

    def _broken(self, error: BaseException) -> ProviderError:
        if isinstance(error, TimeoutError):
            return ProviderTimeoutError(f"{self._host} stopped sending in the middle of its answer")
        return ConnectionFailedError(f"the connection to {self._host} broke in the middle of its answer")


class _Route:
    """Where requests of one method and address go, and all of their head that does not change."""

    __slots__ = ("asked", "begin", "head", "headers")

    def __init__(self, method: str, url: URL, headers: CIMultiDict[str]) -> None:
        if url.scheme not in ("http", "https"):
            raise aiohttp.InvalidURL(url)
        try:
            (url.raw_host or "").encode("idna")
        except UnicodeError:
            # As every look-up would, with an error that says nothing of the address.
            raise aiohttp.InvalidURL(url) from None
        self.asked = aiohttp.ClientRequest(method, url, headers=headers, loop=asyncio.get_running_loop())
        """What the connector knows a connection by. It is never sent itself."""
        self.begin = f"{method} {url.raw_path_qs} HTTP/1.1"
        self.headers = self.asked.headers
        self.head = self._written(self.headers)

    def lines(self, headers: Headers | None) -> bytes:
        """The head, with `headers` in place of the route's own of the same names; its last line is still to come."""
        if not headers:
            return self.head
        items = list(headers.items() if isinstance(headers, Mapping) else headers)
        merged = self.headers.copy()
        for name, _ in items:
            merged.popall(name, None)
        merged.extend(items)
        return self._written(merged)

    def _written(self, headers: CIMultiDict[str]) -> bytes:
        # Whatever anybody says of the length: two lines that differ are two requests to some servers.
        headers.popall("Content-Length", None)
        lines = [self.begin, *(f"{name}: {value}" for name, value in headers.items())]
        if any(map(_FORBIDDEN.search, lines)):
            raise ValueError("a header or an address of the request holds a control character")
        return ("\r\n".join(lines) + "\r\n").encode()


class _Pool:
    """The connections of one event loop."""

    def __init__(
        self, headers: CIMultiDict[str], timeout: aiohttp.ClientTimeout, limit: int, judge: Judge | None
    ) -> None:
        self._headers = headers
        self._timeout = timeout
        self._connector = aiohttp.TCPConnector(limit=limit, resolver=None if judge is None else JudgedResolver(judge))
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._routes: dict[tuple[str, str], _Route] = {}

    @property
    def closed(self) -> bool:
        return self._connector.closed

    def route(self, method: str, address: str) -> _Route:
        """Raises aiohttp's InvalidURL."""
        known = self._routes.get((method, address))
        if known is None:
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            known = self._routes[method, address] = _Route(method, URL(address, encoded=True), self._headers)
        return known

    async def send(self, route: _Route, headers: Headers | None, body: bytes) -> AiohttpResponse:
        head = route.lines(headers)
        asked = route.asked
        method = asked.method
        connection = await self._connected(asked)
        upload: asyncio.Task[None] | None = None
        try:
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(skip_payload=method == "HEAD", read_until_eof=True)
            if body or method not in _BODILESS:
                head = b"%bContent-Length: %d\r\n" % (head, len(body))
            if len(body) < LARGE_BODY:
                transport.write(b"%b\r\n%b" % (head, body))
            else:
                transport.write(head + b"\r\n")
                loop = asyncio.get_running_loop()
                upload = loop.create_task(_write(StreamWriter(protocol, loop), body))
            while True:
                message, content = await protocol.read()
                if not 100 <= message.code < 200 or message.code == 101:
                    return AiohttpResponse(message, content, connection, asked.url.host, upload)
        except BaseException:
            if upload is not None:
                upload.cancel()
            connection.close()
            raise

    async def _connected(self, asked: aiohttp.ClientRequest) -> Connection:
        """A connection on which nothing has come since its last answer: it would be taken for the answer to this.

        Some servers say 408 to a connection that is idle, and then close it. What one says to a new connection before
        it has read anything is an answer, such as 503 where it has no room.
        """
        while True:
            connection = await self._connector.connect(asked, [], self._timeout)
            protocol = connection.protocol
            if protocol is None:
                return connection
            if not protocol.should_close or protocol not in self._used:
                self._used.add(protocol)
                return connection
            connection.close()

    async def close(self) -> None:
        await self._connector.close()


async def _write(writer: StreamWriter, body: bytes) -> None:
    view = memoryview(body)
    # A connection that breaks is told of by the side that reads.
    with contextlib.suppress(OSError, aiohttp.ClientError):
        for at in range(0, len(body), _SLICE):
            await writer.write(view[at : at + _SLICE])


class AiohttpTransport:
    """One pool of connections for each event loop that uses it; `base_url` and `headers` go with every request."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 100,
        connect_timeout: float = CONNECT_TIMEOUT,
        judge: Judge | None = None,
    ) -> None:
        """`judge`: asked of each address that a host name leads to, whenever it is looked up."""
        self._base_url = base_url.rstrip("/")
        self._headers = CIMultiDict(headers or {})
        self._max_connections = max_connections
        self._judge = judge
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()

    async def send(self, request: WireRequest) -> AiohttpResponse:
        return await self.send_to(self._base_url + request.path, request.method, request.headers, request.body)

    async def send_to(self, address: str, method: str, headers: Headers | None, body: bytes) -> AiohttpResponse:
        """Send to an absolute address, as it is written. Raises ConnectionFailedError, ProviderTimeoutError."""
        try:
            pool = self._pool()
            return await pool.send(pool.route(method, address), headers, body)
        except _FAILURES as error:
            failure = connect_failure(error, URL(address, encoded=True))
        # Raised here and not in the handler: aiohttp's errors hold the request's headers, and with them the key.
        raise failure

    def _pool(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.closed:
            for other, old in list(self._pools.items()):
                if other.is_closed():
                    del self._pools[other]
                    _run_without_loop(old.close())
            pool = self._pools[loop] = _Pool(self._headers, self._timeout, self._max_connections, self._judge)
        return pool

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        pools = list(self._pools.items())
        self._pools.clear()
        for loop, pool in pools:
            if loop is here:
                await pool.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.close(), loop)
            else:
                _run_without_loop(pool.close())


def _run_without_loop(closing: Coroutine[Any, Any, None]) -> None:
    """Close a pool whose loop is gone: nothing is left to wait for, so one step is the whole way."""
    with contextlib.suppress(StopIteration, RuntimeError):
        closing.send(None)
    closing.close()


def connect_failure(error: BaseException, url: URL) -> ProviderError:
    """What went wrong before there was an answer, naming the host and nothing else of the request."""
    host = url.host if url.port is None or url.is_default_port() else f"{url.host}:{url.port}"
    if isinstance(error, TimeoutError):
        return ProviderTimeoutError(f"{host} did not accept a connection in time")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError)):
        return ConnectionFailedError(f"the TLS certificate of {host} cannot be verified")
    if isinstance(error, (aiohttp.ClientSSLError, ssl.SSLError)):
        return ConnectionFailedError(f"no TLS connection to {host} could be made; is it an https address?")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ConnectionFailedError(f"the host name {host} cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        reason = os.strerror(number) if number else type(error.os_error).__name__
        return ConnectionFailedError(f"could not connect to {host}: {reason}")
    if isinstance(error, HttpProcessingError):
        return ConnectionFailedError(f"{host} answered with something that is not HTTP")
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectionFailedError(f"{url.with_query(None)} is not an address that can be called")
    return ConnectionFailedError(f"{host} closed the connection without an answer")
