"""What a request brings: a body within bounds, and in it the model and whether a stream is wanted."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from providers.errors import InvalidRequestError
from providers.exchange.framing import STREAM_APIS
from sandbox.server.bodies import body_of
from sandbox.server.reply import Reply
from sandbox.server.wiretap.listings import LISTED
from sandbox.server.wiretap.vendor import TappedRequest

BODILESS: Final = frozenset({"GET", "HEAD"})
_STREAM_UNLESS_TOLD: Final = frozenset({"chat", "generate"})
"""Ollama's APIs, which stream unless told not to."""


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
