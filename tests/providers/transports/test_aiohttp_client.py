"""The lean transport against a server on loopback."""

from __future__ import annotations

import asyncio
import socket
import warnings

import pytest
from aiohttp import web

from providers.errors import ConnectionFailedError, ProviderTimeoutError
from providers.transports.aiohttp_client import LARGE_BODY, MAX_ROUTES, AiohttpTransport
from providers.transports.base import WireRequest
from tests import fake_vendor
from tests.fake_vendor import serving

CHAT = WireRequest("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}')
STREAM = WireRequest(
    "/v1/chat/completions", b'{"model":"m","stream":true,"messages":[{"role":"user","content":"Hi"}]}', stream=True
)


@pytest.fixture
async def vendor():
    async with serving() as server:
        yield server


@pytest.fixture
async def transport(vendor):
    made = AiohttpTransport(vendor.url, headers={"Authorization": "Bearer key", "Content-Type": "application/json"})
    yield made
    await made.close()


async def test_sends_the_bytes_and_hands_out_status_headers_and_body(transport, vendor):
    response = await transport.send(CHAT)
    assert response.status == 200
    assert response.headers["content-type"].startswith("application/json")
    assert all(name == name.lower() for name in response.headers)
    assert b"fuse in your kitchen" in await response.read()
    seen = vendor.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    assert seen.headers["authorization"] == "Bearer key"


async def test_a_request_adds_its_own_headers(transport, vendor):
    await (await transport.send(WireRequest(CHAT.path, CHAT.body, headers={"x-extra": "1"}))).read()
    assert vendor.seen[0].headers["x-extra"] == "1"
    assert vendor.seen[0].headers["authorization"] == "Bearer key"


@pytest.mark.parametrize("status", [301, 404, 429, 500, 529])
async def test_a_bad_status_is_an_answer_not_an_exception(transport, vendor, status):
    vendor.script = [fake_vendor.raw(status, b'{"error":"no"}', retry_after="3", location="/elsewhere")]
    response = await transport.send(CHAT)
    assert (response.status, response.headers["retry-after"], await response.read()) == (status, "3", b'{"error":"no"}')
    assert len(vendor.seen) == 1  # a redirect is not followed: it would take the key along


async def test_connections_are_used_again(transport, vendor):
    for _ in range(3):
        response = await transport.send(CHAT)
        await response.read()
        await response.close()
    assert len(vendor.connections) == 1


async def test_chunks_arrive_as_they_are_sent(transport, vendor):
    vendor.script = [fake_vendor.stream_gated()]
    response = await transport.send(STREAM)
    chunks = response.chunks()
    first = await anext(chunks)
    assert b"Think of " in first
    assert b"wiring" not in first
    vendor.gate.set()
    rest = b"".join([chunk async for chunk in chunks])
    assert b"wiring" in rest
    await response.close()


async def test_closing_half_way_closes_the_connection_at_once(transport, vendor):
    vendor.script = [fake_vendor.stream_gated()]
    response = await transport.send(STREAM)
    await anext(response.chunks())
    await response.close()
    await response.close()
    await asyncio.wait_for(vendor.left.wait(), 5)


async def test_cancelling_a_call_closes_the_connection(transport, vendor):
    vendor.script = [fake_vendor.silence()]
    calling = asyncio.create_task(transport.send(CHAT))
    while not vendor.seen:
        await asyncio.sleep(0)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(vendor.left.wait(), 5)


async def test_a_refused_connection_names_the_host_and_the_reason():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    transport = AiohttpTransport(f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer canary-key"})
    with pytest.raises(ConnectionFailedError) as caught:
        await transport.send(CHAT)
    await transport.close()
    assert f"could not connect to 127.0.0.1:{port}: Connection refused" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_reset_before_the_answer(transport, vendor):
    vendor.script = [fake_vendor.reset()]
    with pytest.raises(ConnectionFailedError, match="without an answer"):
        await transport.send(CHAT)


async def test_a_reset_inside_the_body(transport, vendor):
    vendor.script = [fake_vendor.body_then_reset()]
    response = await transport.send(CHAT)
    with pytest.raises(ConnectionFailedError, match="in the middle"):
        await response.read()
    await response.close()


async def test_a_reset_inside_a_stream(transport, vendor):
    vendor.script = [fake_vendor.stream_then(None)]
    response = await transport.send(STREAM)
    chunks = response.chunks()
    assert await anext(chunks)
    vendor.gate.set()
    with pytest.raises(ConnectionFailedError, match="in the middle") as caught:
        async for _ in chunks:
            pass
    assert caught.value.__context__ is None
    await response.close()


async def test_something_that_is_not_http():
    async def greet(reader, writer):
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = AiohttpTransport(f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionFailedError, match=f"127.0.0.1:{port}"):
        await transport.send(CHAT)
    await transport.close()
    server.close()
    await server.wait_closed()


async def test_tls_asked_of_a_plain_server_says_so(vendor):
    transport = AiohttpTransport(vendor.url.replace("http:", "https:"))
    with pytest.raises(ConnectionFailedError, match="TLS"):
        await transport.send(CHAT)
    await transport.close()


async def test_a_connection_that_is_not_accepted_in_time_is_a_timeout(monkeypatch):
    transport = AiohttpTransport("http://127.0.0.1:9", connect_timeout=0.01)

    async def never(*args, **kwargs):
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", never)
    with pytest.raises(ProviderTimeoutError, match=r"127\.0\.0\.1:9 did not accept"):
        await transport.send(CHAT)
    await transport.close()


async def test_nothing_is_taken_from_the_environment(transport, vendor, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await transport.send(CHAT)).status == 200
    assert vendor.seen[0].headers["authorization"] == "Bearer key"


async def test_cookies_are_not_kept(vendor, transport):
    vendor.script = [fake_vendor.raw(200, b"{}", set_cookie="a=b")]
    await (await transport.send(CHAT)).read()
    await (await transport.send(CHAT)).read()
    assert "cookie" not in vendor.seen[1].headers


async def test_a_large_body_goes_out_without_a_warning(transport, vendor):
    text = "x" * (LARGE_BODY + 10)
    body = b'{"model":"m","messages":[{"role":"user","content":"' + text.encode() + b'"}]}'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await (await transport.send(WireRequest(CHAT.path, body))).read()
    assert vendor.seen[0].body["messages"][0]["content"] == text


async def test_no_more_connections_than_allowed(vendor):
    transport = AiohttpTransport(vendor.url, max_connections=2)
    most = 0
    active = 0

    async def count(server: fake_vendor.FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal most, active
        active += 1
        most = max(most, active)
        await asyncio.sleep(0)
        active -= 1
        return web.json_response({})

    vendor.script = [count]

    async def call() -> None:
        await (await transport.send(CHAT)).read()

    await asyncio.gather(*(call() for _ in range(10)))
    await transport.close()
    assert most <= 2
    assert len(vendor.connections) <= 2


async def test_many_different_paths_are_not_remembered_for_ever(transport, vendor):
    vendor.script = [fake_vendor.raw(404, b"{}")]
    for number in range(MAX_ROUTES + 10):
        await (await transport.send(WireRequest(f"/deployments/{number}/chat", CHAT.body))).read()
    assert vendor.seen[-1].path == f"/deployments/{MAX_ROUTES + 9}/chat"
    assert len(transport._pool()._routes) <= MAX_ROUTES


async def ask_once(transport: AiohttpTransport) -> int:
    async with serving() as server:
        response = await transport.send_to(server.url + CHAT.path, "POST", None, CHAT.body)
        await response.read()
        return response.status


def test_each_event_loop_has_a_session_of_its_own():
    transport = AiohttpTransport("")

    async def ask() -> int:
        try:
            return await ask_once(transport)
        finally:
            await transport.close()

    assert [asyncio.run(ask()), asyncio.run(ask())] == [200, 200]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_whose_loop_is_gone_is_replaced():
    transport = AiohttpTransport("")
    assert asyncio.run(ask_once(transport)) == 200

    async def ask_and_close() -> int:
        try:
            return await ask_once(transport)
        finally:
            await transport.close()

    assert asyncio.run(ask_and_close()) == 200
