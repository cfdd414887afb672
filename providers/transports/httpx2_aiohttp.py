"""Lets a vendor's SDK send through our own aiohttp pool, about twice as cheap as the pool it brings."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from providers.transports.aiohttp_client import AiohttpResponse, AiohttpTransport

WIRE = "wire_response"
"""Key in an httpx2 response's extensions under which our own response lies, so that its bytes are read directly."""

# aiohttp negotiates what it can decode, and hands out decoded bodies.
_NOT_FORWARDED = frozenset({b"accept-encoding", b"connection", b"host", b"content-length"})
_NOT_RETURNED = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: AiohttpResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.chunks():
            yield chunk

    async def aclose(self) -> None:
        await self._response.close()


class AiohttpBackedTransport(httpx2.AsyncBaseTransport):
    """An httpx2 transport over aiohttp. Raises our own connection errors, which the SDKs let through or wrap."""

    def __init__(self, aiohttp_transport: AiohttpTransport) -> None:
        self._aiohttp = aiohttp_transport

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in request.headers.raw
            if name.lower() not in _NOT_FORWARDED
        ]
        response = await self._aiohttp.send_to(str(request.url), request.method, headers, request.content)
        return httpx2.Response(
            response.status,
            headers={k: v for k, v in response.headers.items() if k not in _NOT_RETURNED},
            stream=_Body(response),
            extensions={WIRE: response},
        )

    async def aclose(self) -> None:
        await self._aiohttp.close()
