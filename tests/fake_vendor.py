"""A vendor on loopback that behaves as a test tells it to, written with the dialects' encoding half."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from providers.dialects import dialect
from providers.dialects.base import Dialect
from providers.errors import ProviderError
from providers.types import Completion, RawUsage, TextDelta, TokenUsage

TEXT = "Think of the fuse in your kitchen: it trips before the wiring burns."
PIECES = ["Think of ", "the fuse ", "in your kitchen: ", "it trips ", "before the wiring burns."]
assert "".join(PIECES) == TEXT

Behaviour = Callable[["FakeVendor", web.Request, bytes], Awaitable[web.StreamResponse]]


def completion(text: str = TEXT, model: str = "the-model") -> Completion:
    return Completion(
        text=text, finish_reason=None, stop="stop", usage=TokenUsage(16, 15), raw_usage=RawUsage(16, 15), model=model
    )


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class FakeVendor:
    url: str = ""
    script: list[Behaviour] = field(default_factory=list)
    """What to do with the next requests; the last behaviour stays. Empty: answer."""
    seen: list[Seen] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)
    """The client ports that requests came from."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client went away before its answer was whole."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Opened by the test; gated behaviours wait for it."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.seen.append(Seen(request.path_qs, {k.lower(): v for k, v in request.headers.items()}, orjson.loads(body)))
        self.connections.add(request.transport.get_extra_info("peername")[1])
        behave = self.script.pop(0) if len(self.script) > 1 else self.script[0] if self.script else answer()
        try:
            return await behave(self, request, body)
        except asyncio.CancelledError:
            self.left.set()
            raise


@asynccontextmanager
async def serving() -> AsyncIterator[FakeVendor]:
    vendor = FakeVendor()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_post("/{tail:.*}", vendor.handle)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()


def dialect_for(path: str) -> Dialect:
    if path.endswith("/api/chat"):
        return dialect("ollama")
    if path.endswith(("generateContent", "GenerateContent")):
        return dialect("gemini")
    if path.endswith(("/converse", "/converse-stream")):
        return dialect("bedrock_converse")
    if path.endswith(("/invoke", "/invoke-with-response-stream")):
        return dialect("bedrock_invoke")
    if path.endswith("/responses"):
        return dialect("openai_responses")
    if path.endswith("/completions") and not path.endswith("/chat/completions"):
        return dialect("openai_completions")
    return dialect("anthropic_messages" if path.endswith("/messages") else "openai_chat")


def stream_bytes(spoken: Dialect, pieces: list[str], *, end: bool = True) -> list[bytes]:
    """A stream in its chunks: the head, one for each piece, the end."""
    encoder = spoken.encoder(model="the-model", response_id="id-1", created=1_700_000_000)
    chunks = [encoder.start(), *(encoder.event(TextDelta(piece)) for piece in pieces)]
    return [*chunks, encoder.finish(completion("".join(pieces)))] if end else chunks


# --- behaviours ---------------------------------------------------------------------------------------------------


def answer(text: str = TEXT, pieces: list[str] | None = None) -> Behaviour:
    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        spoken = dialect_for(request.path)
        if not spoken.decode_request(body, path=request.path).stream:
            whole = spoken.encode_completion(
                completion(text), model="the-model", response_id="id-1", created=1_700_000_000
            )
            return web.Response(body=whole, content_type="application/json", headers={"x-request-id": "req-ok"})
        response = await _started(request, spoken)
        for chunk in stream_bytes(spoken, pieces or PIECES):
            await response.write(chunk)
        await response.write_eof()
        return response

    return behave


def fail(error: ProviderError) -> Behaviour:
    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        wire = dialect_for(request.path).encode_error(error)
        return web.Response(status=wire.status, headers={**wire.headers, "x-request-id": "req-bad"}, body=wire.body)

    return behave


def raw(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Behaviour:
    async def behave(vendor: FakeVendor, request: web.Request, _: bytes) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, content_type=content_type, headers=named)

    return behave


def reset() -> Behaviour:
    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        cut(request)
        return web.Response()

    return behave


def stream_then(tail: Callable[[Dialect], bytes] | None, pieces: int = 2) -> Behaviour:
    """Some pieces, then `tail`'s bytes and a clean end of the body; None: a reset."""

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        spoken = dialect_for(request.path)
        response = await _started(request, spoken)
        for chunk in stream_bytes(spoken, PIECES[:pieces], end=False):
            await response.write(chunk)
        if tail is None:
            await vendor.gate.wait()
            cut(request)
            return response
        await response.write(tail(spoken))
        await response.write_eof()
        return response

    return behave


def stream_gated() -> Behaviour:
    """The first piece; the rest when the test opens the gate."""

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        spoken = dialect_for(request.path)
        response = await _started(request, spoken)
        head, first, *rest = stream_bytes(spoken, PIECES)
        await response.write(head + first)
        await vendor.gate.wait()
        for chunk in rest:
            await response.write(chunk)
        await response.write_eof()
        return response

    return behave


def body_then_reset() -> Behaviour:
    """Headers that promise more than comes."""

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": "x", ')
        cut(request)
        return response

    return behave


def stream_that_lingers() -> Behaviour:
    """A whole stream, whose body ends only when the test opens the gate."""

    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        spoken = dialect_for(request.path)
        response = await _started(request, spoken)
        await response.write(b"".join(stream_bytes(spoken, PIECES)))
        await vendor.gate.wait()
        await response.write_eof()
        return response

    return behave


def silence() -> Behaviour:
    async def behave(vendor: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        await vendor.gate.wait()
        return web.Response()

    return behave


async def _started(request: web.Request, spoken: Dialect) -> web.StreamResponse:
    encoder = spoken.encoder(model="the-model", response_id="id-1", created=1_700_000_000)
    response = web.StreamResponse(headers={"content-type": encoder.content_type, "x-request-id": "req-ok"})
    await response.prepare(request)
    return response


def cut(request: web.Request) -> None:
    """Close the connection the hard way: RST, not FIN."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
