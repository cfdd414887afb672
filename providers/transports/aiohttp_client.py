"""The lean transport: the same bytes as the vendor's SDK, for a fraction of its cost.

Nothing is taken from the environment: no proxy, no netrc, no cookies. Redirects are not followed, so that a credential
goes to the configured host and to no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from providers.errors import ConnectionFailedError, ProviderError, ProviderTimeoutError
from providers.transports.base import WireRequest

CONNECT_TIMEOUT = 10.0
"""Seconds to open a connection, TLS included. How long an answer may take is the caller's to limit."""
MAX_URLS = 256
"""Parsed addresses remembered; a path may hold a model's name, and callers may ask for any."""
LARGE_BODY = 1 << 20
"""Bytes from which aiohttp wants a file object, which it sends in slices that leave the loop free in between."""


class AiohttpResponse:
    """An aiohttp response whose failures speak the transport's language."""

    __slots__ = ("_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError) as error:
            failure = self._broken(error)
        raise failure

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    # An iterator and not a generator: one that is left half way needs no clean-up of its own.
    async def __anext__(self) -> bytes:
        try:
            data = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = self._broken(error)
        else:
            if data:
                return data
            raise StopAsyncIteration
        raise failure

    async def close(self) -> None:
        # Before the end of the body this closes the socket; after it the connection is back in the pool already.
        self._response.close()

    def _broken(self, error: BaseException) -> ProviderError:
        host = self._response.url.host
        if isinstance(error, TimeoutError):
            return ProviderTimeoutError(f"{host} stopped sending in the middle of its answer")
        return ConnectionFailedError(f"the connection to {host} broke in the middle of its answer")


class AiohttpTransport:
    """One pool of connections for each event loop that uses it; `base_url` and `headers` go with every request."""

    def __init__(
        self,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_connections: int = 100,
        connect_timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = CIMultiDict(headers or {})
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
        self._urls: dict[str, URL] = {}
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()

    async def send(self, request: WireRequest) -> AiohttpResponse:
        path = request.path
        url = self._urls.get(path)
        if url is None:
            if len(self._urls) >= MAX_URLS:
                self._urls.clear()
            url = self._urls[path] = URL(self._base_url + path, encoded=True)
        return await self.send_to(url, request.method, request.headers or None, request.body)

    async def send_to(self, url: URL, method: str, headers: Any, body: bytes) -> AiohttpResponse:
        """Send to an absolute address. Raises ConnectionFailedError, ProviderTimeoutError."""
        data: bytes | io.BytesIO = body if len(body) < LARGE_BODY else io.BytesIO(body)
        try:
            return AiohttpResponse(
                await self._session().request(method, url, data=data, headers=headers, allow_redirects=False)
            )
        except (aiohttp.ClientError, OSError) as error:
            failure = connect_failure(error, url)
        # Raised here and not in the handler: aiohttp's errors hold the request's headers, and with them the key.
        raise failure

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            for other, old in list(self._sessions.items()):
                if other.is_closed():
                    del self._sessions[other]
                    _run_without_loop(old.close())
            session = self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._max_connections),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                trust_env=False,
            )
        return session

    async def close(self) -> None:
        here = asyncio.get_running_loop()
        sessions = list(self._sessions.items())
        self._sessions.clear()
        for loop, session in sessions:
            if loop is here:
                await session.close()
            elif loop.is_running():
                asyncio.run_coroutine_threadsafe(session.close(), loop)
            else:
                _run_without_loop(session.close())


def _run_without_loop(closing: Coroutine[Any, Any, None]) -> None:
    """Close a session whose loop is gone: nothing is left to wait for, so one step is the whole way."""
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
    if isinstance(error, aiohttp.ClientResponseError):
        return ConnectionFailedError(f"{host} answered with something that is not HTTP")
    if isinstance(error, aiohttp.InvalidURL):
        return ConnectionFailedError(f"{url.with_query(None)} is not an address that can be called")
    return ConnectionFailedError(f"{host} closed the connection without an answer")
