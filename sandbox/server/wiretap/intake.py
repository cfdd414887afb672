"""What a request brings: a body within bounds, and in it the model and whether a stream is wanted."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import http_exceptions, web

from providers.errors import InvalidRequestError
from providers.exchange.framing import STREAM_APIS
from sandbox.server.wiretap.listings import LISTED
from sandbox.server.wiretap.reply import Reply
from sandbox.server.wiretap.vendor import TappedRequest

BODILESS: Final = frozenset({"GET", "HEAD"})
_STREAM_UNLESS_TOLD: Final = frozenset({"chat", "generate"})
"""Ollama's APIs, which stream unless told not to."""


async def body_of(request: web.BaseRequest, reply: Reply) -> bytes:
    """The whole body. Raises InvalidRequestError for one that is too large or cannot be read."""
    headers = request.headers
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > request.client_max_size:
        raise _too_large(request, reply)
    transport = request.transport
    if headers.get("Expect", "").lower() == "100-continue" and transport is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(request, reply) from None
    except (web.RequestPayloadError, http_exceptions.HttpProcessingError) as error:
        reply.close_after()
        why = str(error).rpartition("\n")[2].strip()
        raise InvalidRequestError(f"The body of the request cannot be read: {why}", status=400) from None


async def take_in(request: web.BaseRequest, reply: Reply, wire: TappedRequest) -> None:
    """Give the request its body, and what the body tells. Raises InvalidRequestError for what is no JSON object."""
    if request.method in BODILESS:
        return
    wire.body = await body_of(request, reply)
    try:
        asked = orjson.loads(wire.body)
    except ValueError as error:
        raise InvalidRequestError(f"The body of the request is not valid JSON: {error}", status=400) from None
    if not isinstance(asked, dict):
        raise InvalidRequestError("The body of the request must be a JSON object.", status=400)
    model, entry = asked.get("model"), wire.entry
    if entry is not None and entry.model is None and isinstance(model, str):
        entry.model = model
    if wire.api in STREAM_APIS:
        wire.stream = True
    elif wire.api in _STREAM_UNLESS_TOLD:
        wire.stream = asked.get("stream") is not False
    elif wire.api not in LISTED:
        wire.stream = asked.get("stream") is True


def _too_large(request: web.BaseRequest, reply: Reply) -> InvalidRequestError:
    reply.close_after()
    limit = request.client_max_size
    return InvalidRequestError(f"The request is larger than {limit} bytes, which is the most that is read.", status=413)
