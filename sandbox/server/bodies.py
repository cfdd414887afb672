"""Bodies of requests, read within bounds."""

from __future__ import annotations

from typing import Final

from aiohttp import http_exceptions, web

from providers.errors import InvalidRequestError
from sandbox.server.reply import Reply

MAX_BODY: Final = 32 << 20
"""Bytes of a request; the vendors' own limits lie between 20 and 32 MB."""


async def body_of(request: web.BaseRequest, reply: Reply) -> bytes:
    """The whole body. Raises InvalidRequestError for one that is too large or cannot be read."""
    headers = request.headers
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > request.client_max_size:
        raise _too_large(request, reply)
    transport = request.transport
    # Who speaks HTTP/1.0 would take that for the answer.
    asks = request.version >= (1, 1) and headers.get("Expect", "").lower() == "100-continue"
    if asks and transport is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(request, reply) from None
    except (web.RequestPayloadError, http_exceptions.HttpProcessingError) as error:
        reply.close_after()
        why = str(error).rpartition("\n")[2].strip()
        raise InvalidRequestError(f"The body of the request cannot be read: {why}", status=400) from None


def _too_large(request: web.BaseRequest, reply: Reply) -> InvalidRequestError:
    reply.close_after()
    limit = request.client_max_size
    return InvalidRequestError(f"The request is larger than {limit} bytes, which is the most that is read.", status=413)
