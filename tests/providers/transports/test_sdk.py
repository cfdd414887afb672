"""The vendors' SDKs as transports: what they send, what they must not take from the environment, how they fail."""

from __future__ import annotations

import asyncio
import gzip
import socket

import httpx2
import openai
import pytest

from providers.errors import ConnectionFailedError, ProviderTimeoutError
from providers.transports.anthropic_sdk import anthropic_transport
from providers.transports.base import WireRequest
from providers.transports.openai_sdk import azure_transport, openai_transport
from tests import fake_vendor
from tests.fake_vendor import serving

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":5}'
STREAM = b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"max_tokens":5,"stream":true}'
AZURE_PATH = "/openai/deployments/d/chat/completions?api-version=2024-10-21"

SDKS = {
    "openai": (
        lambda url: openai_transport(url + "/v1", api_key="canary-key", organization="org-1"),
        "/chat/completions",
    ),
    "azure": (lambda url: azure_transport(url, api_key="canary-key", api_version="2024-10-21"), AZURE_PATH),
    "anthropic": (lambda url: anthropic_transport(url, api_key="canary-key", api_version="2023-06-01"), "/v1/messages"),
}


@pytest.fixture
async def vendor():
    async with serving() as server:
        yield server


@pytest.fixture(params=SDKS)
async def sdk(request, vendor):
    make, path = SDKS[request.param]
    transport = make(vendor.url)
    yield request.param, transport, path
    await transport.close()


async def test_the_bytes_go_out_as_given_and_the_sdk_authenticates(sdk, vendor):
    name, transport, path = sdk
    response = await transport.send(WireRequest(path, BODY))
    assert (response.status, response.headers["x-request-id"]) == (200, "req-ok")
    assert b"fuse in your kitchen" in await response.read()
    await response.close()
    seen = vendor.seen[0]
    assert seen.body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}
    assert seen.headers["content-type"] == "application/json"
    match name:
        case "openai":
            assert seen.path == "/v1/chat/completions"
            assert seen.headers["authorization"] == "Bearer canary-key"
            assert seen.headers["openai-organization"] == "org-1"
        case "azure":
            assert seen.path == AZURE_PATH
            assert seen.headers["api-key"] == "canary-key"
        case "anthropic":
            assert seen.path == "/v1/messages"
            assert seen.headers["x-api-key"] == "canary-key"
            assert seen.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize("status", [302, 400, 401, 429, 500, 529])
async def test_a_bad_status_is_handed_over_and_not_retried(sdk, vendor, status):
    _, transport, path = sdk
    vendor.script = [fake_vendor.raw(status, b'{"error":{"message":"no"}}', retry_after="3", location="/elsewhere")]
    response = await transport.send(WireRequest(path, BODY))
    assert (response.status, response.headers["retry-after"]) == (status, "3")
    assert await response.read() == b'{"error":{"message":"no"}}'
    assert len(vendor.seen) == 1


@pytest.mark.parametrize("status", [200, 500])
async def test_a_compressed_body_is_handed_over_plain(sdk, vendor, status):
    _, transport, path = sdk
    packed = gzip.compress(b'{"error":{"message":"no"}}')
    vendor.script = [fake_vendor.raw(status, packed, content_encoding="gzip")]
    response = await transport.send(WireRequest(path, BODY))
    assert await response.read() == b'{"error":{"message":"no"}}'


async def test_chunks_arrive_as_they_are_sent(sdk, vendor):
    _, transport, path = sdk
    vendor.script = [fake_vendor.stream_gated()]
    response = await transport.send(WireRequest(path, STREAM, stream=True))
    chunks = response.chunks()
    first = await anext(chunks)
    assert b"Think of " in first
    assert b"wiring" not in first
    vendor.gate.set()
    assert b"wiring" in b"".join([chunk async for chunk in chunks])
    await response.close()


async def test_closing_half_way_closes_the_connection_at_once(sdk, vendor):
    _, transport, path = sdk
    vendor.script = [fake_vendor.stream_gated()]
    response = await transport.send(WireRequest(path, STREAM, stream=True))
    await anext(response.chunks())
    await response.close()
    await asyncio.wait_for(vendor.left.wait(), 5)


async def test_connections_are_used_again(sdk, vendor):
    _, transport, path = sdk
    vendor.script = [fake_vendor.answer(), fake_vendor.raw(500, b"{}"), fake_vendor.answer()]
    for _ in range(3):
        response = await transport.send(WireRequest(path, BODY))
        await response.read()
        await response.close()
    assert len(vendor.connections) == 1


@pytest.mark.parametrize("name", SDKS)
async def test_a_refused_connection_keeps_the_key_to_itself(name):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    make, path = SDKS[name]
    transport = make(f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionFailedError, match="Connection refused") as caught:
        await transport.send(WireRequest(path, BODY))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    await transport.close()


async def test_a_reset_inside_an_error_body(sdk, vendor):
    _, transport, path = sdk

    async def cut_error(server, request, body):
        from aiohttp import web

        response = web.StreamResponse(status=500, headers={"content-length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        fake_vendor.cut(request)
        return response

    vendor.script = [cut_error]
    with pytest.raises(ConnectionFailedError):
        await transport.send(WireRequest(path, BODY))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(openai.APITimeoutError, ProviderTimeoutError), (openai.APIConnectionError, ConnectionFailedError)],
)
async def test_the_sdks_own_connection_errors_are_translated(raised, expected, monkeypatch):
    transport = openai_transport("http://127.0.0.1:1/v1", api_key="canary-key")

    async def post(*args, **kwargs):
        raise raised(request=httpx2.Request("POST", "http://127.0.0.1:1", headers={"Authorization": "canary-key"}))

    monkeypatch.setattr(transport._client, "post", post)
    with pytest.raises(expected) as caught:
        await transport.send(WireRequest("/chat/completions", BODY))
    assert caught.value.__context__ is None


async def test_nothing_is_taken_from_the_environment(vendor, monkeypatch):
    for name in (
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
    ):
        monkeypatch.setenv(name, "from-environment")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "X-Leak: from-environment")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    for make, path in (
        (lambda url: openai_transport(url, api_key="canary-key"), "/chat/completions"),
        SDKS["azure"],
        SDKS["anthropic"],
    ):
        transport = make(vendor.url)
        response = await transport.send(WireRequest(path, BODY))
        assert response.status == 200
        await response.read()
        await transport.close()
    assert len(vendor.seen) == 3
    assert "from-environment" not in repr(vendor.seen)


async def test_the_first_call_starts_no_thread(sdk, monkeypatch):
    _, transport, path = sdk

    def refused(*args, **kwargs):
        raise AssertionError("a thread was started")

    monkeypatch.setattr("anyio.to_thread.run_sync", refused)
    monkeypatch.setattr("threading.Thread.start", refused)
    response = await transport.send(WireRequest(path, BODY))
    assert response.status == 200
    await response.read()


async def test_the_key_is_in_no_log(sdk, caplog):
    _, transport, path = sdk
    with caplog.at_level("DEBUG"):
        response = await transport.send(WireRequest(path, BODY))
        await response.read()
    assert "canary-key" not in caplog.text
