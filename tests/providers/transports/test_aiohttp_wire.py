"""The lean transport byte by byte: how it writes requests, how it reads every framing, when a connection is kept."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from providers.errors import ConnectionFailedError
from providers.transports.aiohttp_client import LARGE_BODY, AiohttpTransport
from providers.transports.base import WireRequest

BODY = b'{"answer":42}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PLAIN = OK + b"Content-Length: 13\r\n\r\n" + BODY
ASK = WireRequest("/v1/chat", b'{"q":1}')


@dataclass
class Server:
    """Answers request after request with the next of its answers; the last one stays."""

    answers: list[bytes]
    hang_up: bool = False
    """Close after each answer, without having said so."""
    early: bool = False
    """Answer the first request before its body is there, and read on only when `gate` opens."""
    url: str = ""
    heads: list[list[str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """A connection has ended."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[:-1]
                self.heads.append(head)
                if self.early:
                    self.early = False
                    writer.write(self.answers.pop(0))
                    await writer.drain()
                    await self.gate.wait()
                    while await reader.read(1 << 16):
                        pass
                    return
                size = next((line for line in head if line.lower().startswith("content-length:")), ":0")
                self.bodies.append(await reader.readexactly(int(size.partition(":")[2])))
                writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
                await writer.drain()
                if self.hang_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            self.gone.set()


@asynccontextmanager
async def talking(*answers: bytes, **how: bool) -> AsyncIterator[tuple[AiohttpTransport, Server]]:
    server = Server(list(answers), **how)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    server.url = f"http://{host}:{port}"
    transport = AiohttpTransport(
        server.url, headers={"Authorization": "Bearer key", "Content-Type": "application/json"}
    )
    try:
        yield transport, server
    finally:
        await transport.close()
        listening.close()
        await listening.wait_closed()


async def ask(transport: AiohttpTransport, request: WireRequest = ASK) -> bytes:
    response = await transport.send(request)
    try:
        return await response.read()
    finally:
        await response.close()


def chunked(*pieces: bytes, more: bytes = b"") -> bytes:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return OK + more + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


def sized(body: bytes, more: bytes) -> bytes:
    return OK + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (PLAIN, True),
        (chunked(BODY), True),
        (chunked(BODY[:3], BODY[3:]), True),
        (chunked(gzip.compress(BODY), more=b"Content-Encoding: gzip\r\n"), True),
        (sized(gzip.compress(BODY), b"Content-Encoding: gzip\r\n"), True),
        (sized(zlib.compress(BODY), b"Content-Encoding: deflate\r\n"), True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + PLAIN, True),
        (sized(BODY, b"Connection: close\r\n"), False),
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
    ],
)
async def test_every_framing_is_read_and_the_connection_kept_where_it_may_be(answer, kept):
    async with talking(answer) as (transport, server):
        assert [await ask(transport), await ask(transport)] == [BODY, BODY]
    assert server.connections == (1 if kept else 2)


async def test_a_body_of_unknown_length_ends_with_the_connection():
    async with talking(OK + b"\r\n" + BODY, hang_up=True) as (transport, _):
        assert await ask(transport) == BODY


async def test_a_body_cut_short_is_a_broken_connection():
    async with talking(OK + b"Content-Length: 99\r\n\r\n" + BODY, hang_up=True) as (transport, _):
        with pytest.raises(ConnectionFailedError, match="in the middle"):
            await ask(transport)


async def test_a_status_without_a_body_frees_the_connection_at_once():
    async with talking(b"HTTP/1.1 204 No Content\r\n\r\n", PLAIN) as (transport, server):
        assert [await ask(transport), await ask(transport)] == [b"", BODY]
    assert server.connections == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again():
    async with talking(PLAIN, hang_up=True) as (transport, server):
        assert await ask(transport) == BODY
        await server.gone.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        assert await ask(transport) == BODY
    assert server.connections == 2


@pytest.mark.parametrize(
    "unasked",
    [
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n{"b":1}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
    ],
)
@pytest.mark.parametrize("cut", [len(PLAIN), len(PLAIN) - 5])
async def test_what_comes_on_an_idle_connection_is_nobodys_answer(unasked, cut):
    more, came = asyncio.Event(), asyncio.Event()

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if came.is_set():
            writer.write(PLAIN)
        else:
            writer.write(PLAIN[:cut])
            await writer.drain()
            await more.wait()
            # In one piece with the end of an answer, or after it.
            writer.write(PLAIN[cut:] + unasked)
            await writer.drain()
            came.set()
        while await reader.read(1 << 16):
            pass
        writer.close()

    listening = await asyncio.start_server(twice, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    transport = AiohttpTransport(f"http://{host}:{port}")
    try:
        response = await transport.send(ASK)
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        more.set()
        assert await reading == BODY
        await came.wait()
        [pool] = transport._pools.values()
        while not any(connection.should_close for connection in pool._used):
            await asyncio.sleep(0)
        second = await transport.send(ASK)
        assert (second.status, await second.read()) == (200, BODY)
    finally:
        await transport.close()
        listening.close()
        await listening.wait_closed()


async def test_what_is_said_to_a_new_connection_at_once_is_an_answer():
    async def full(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Full\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull")
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(full, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()
    transport = AiohttpTransport(f"http://{host}:{port}")
    try:
        response = await transport.send(WireRequest("/v1/chat", b"", method="GET"))
        assert (response.status, await response.read()) == (503, b"full")
    finally:
        await transport.close()
        listening.close()
        await listening.wait_closed()


async def test_the_head_says_each_thing_once():
    async with talking(PLAIN) as (transport, server):
        await ask(transport)
        own = WireRequest(
            "/v1/a%3Ab?x=1", b"{}", headers={"content-type": "text/plain", "X-Own": "ä", "content-length": "9"}
        )
        await ask(transport, own)
        await ask(transport)
    first, second, third = server.heads
    assert first[0] == "POST /v1/chat HTTP/1.1"
    names = [line.partition(":")[0].lower() for line in first[1:]]
    assert sorted(names) == [
        "accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "user-agent",
    ]  # fmt: skip
    assert f"Host: {server.url.removeprefix('http://')}" in first
    assert "Content-Length: 7" in first
    assert second[0] == "POST /v1/a%3Ab?x=1 HTTP/1.1"
    assert [line for line in second if line.lower().startswith("content-type")] == ["content-type: text/plain"]
    assert "X-Own: ä" in second
    assert [line for line in second if line.lower().startswith("content-length")] == ["Content-Length: 2"]
    assert third == first
    assert server.bodies == [ASK.body, b"{}", ASK.body]


@pytest.mark.parametrize(
    "request_",
    [
        WireRequest("/v1", b"{}", headers={"x-tenant": "a\r\nAuthorization: Bearer other"}),
        WireRequest("/v1", b"{}", headers={"x-ten\nant": "a"}),
    ],
)
async def test_nobody_writes_a_header_inside_another(request_):
    async with talking(PLAIN) as (transport, server):
        with pytest.raises(ValueError, match="control character"):
            await transport.send(request_)
    assert server.heads == []


async def test_a_large_body_arrives_whole_and_the_connection_is_used_again():
    large = WireRequest("/v1/chat", bytes(range(256)) * (LARGE_BODY // 128))
    async with talking(PLAIN) as (transport, server):
        assert [await ask(transport, large), await ask(transport)] == [BODY, BODY]
    assert server.bodies == [large.body, ASK.body]
    assert server.connections == 1


async def test_what_is_left_of_a_question_answered_early_never_reaches_the_next():
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}"
    async with talking(refusal, PLAIN, early=True) as (transport, server):
        # More than the sockets on both sides hold.
        assert await ask(transport, WireRequest("/v1/chat", b"x" * (64 * LARGE_BODY))) == b"{}"
        assert await asyncio.wait_for(ask(transport), 5) == BODY
        server.gate.set()
        await server.gone.wait()
    assert server.bodies == [ASK.body]
    assert server.connections == 2


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1:1", "https://api..example.com", f"http://{'a' * 64}.com"])
async def test_an_address_that_cannot_be_called(base_url):
    transport = AiohttpTransport(base_url)
    with pytest.raises(ConnectionFailedError, match=f"{re.escape(base_url)}/v1/chat is not an address"):
        await transport.send(ASK)
    await transport.close()


async def test_closing_wakes_who_is_reading():
    async with talking(OK + b"Content-Length: 99\r\n\r\n" + BODY) as (transport, _):
        response = await transport.send(ASK)
        assert await anext(response.chunks()) == BODY
        reading = asyncio.create_task(response.read())
        await asyncio.sleep(0)
        await response.close()
        with pytest.raises(ConnectionFailedError):
            await reading
