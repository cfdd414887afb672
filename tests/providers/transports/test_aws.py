"""Both roads to AWS against a server on loopback: the lean one that signs by itself, and boto3's own client."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from providers.dialects.eventstream import CONTENT_TYPE, FrameSplitter, write_frame
from providers.errors import AuthenticationError, ConnectionFailedError, ProviderTimeoutError
from providers.transports.aws_credentials import AwsCredentials, find_credentials, open_session
from providers.transports.aws_sigv4 import SigV4Transport
from providers.transports.base import Transport, WireRequest, WireResponse
from providers.transports.boto3_client import Boto3Transport
from providers.transports.boto3_pool import Call
from tests import fake_vendor
from tests.fake_vendor import Behaviour, FakeVendor, serving
from tests.providers.transports.sigv4 import expected_signature, signature

SECRET, TOKEN = "canary-secret/9b1f+", "canary-token/77d0=="
PROFILE = "us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
ARN = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.amazon.nova-lite-v1%3A0"
BODY = '{"messages":[{"role":"user","content":[{"text":"naïve"}]}]}'.encode()
ASK = WireRequest(f"/model/{PROFILE}/converse", BODY)
STREAM = WireRequest(f"/model/{PROFILE}/converse-stream", BODY, stream=True)
FRAMES = [
    write_frame({":message-type": "event", ":event-type": "contentBlockDelta"}, b'{"delta":{"text":"%d"}}' % number)
    for number in range(6)
]

Make = Callable[..., Transport]


def signed(url: str, credentials: AwsCredentials | None = None, **options: Any) -> Transport:
    session = open_session("AKIDCANARY", SECRET, TOKEN)
    credentials = credentials or find_credentials(session)
    assert credentials is not None
    return SigV4Transport(
        url, credentials=credentials, region="eu-west-1", service="bedrock",
        headers={"content-type": "application/json", "user-agent": "tester"}, **options,
    )  # fmt: skip


def by_boto3(url: str, credentials: AwsCredentials | None = None, **options: Any) -> Transport:
    session = open_session("AKIDCANARY", SECRET, TOKEN)
    credentials = credentials or find_credentials(session)
    return Boto3Transport(
        url, session=session, credentials=credentials, region="eu-west-1", user_agent="tester", **options
    )


@pytest.fixture(params=[signed, by_boto3], ids=["sigv4", "boto3"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


@pytest.fixture
async def vendor() -> AsyncIterator[FakeVendor]:
    async with serving() as server:
        yield server


@pytest.fixture
async def transport(make: Make, vendor: FakeVendor) -> AsyncIterator[Transport]:
    made = make(vendor.url)
    yield made
    await made.close()


async def drained(response: WireResponse) -> bytes:
    """The body piece by piece; closed whatever happens, as every caller does."""
    try:
        return b"".join([chunk async for chunk in response.chunks()])
    finally:
        await response.close()


async def started(request: web.Request, **headers: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": CONTENT_TYPE, "x-amzn-requestid": "req-1", **headers})
    await response.prepare(request)
    return response


def frames(*, gate_after: int = 0, then: str = "end") -> Behaviour:
    """A stream of all frames; after some of them it waits for the gate, and may break there."""

    async def behave(server: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        response = await started(request)
        for count, frame in enumerate(FRAMES, 1):
            await response.write(frame)
            if count == gate_after:
                await server.gate.wait()
                if then == "reset":
                    fake_vendor.cut(request)
                    return response
                if then == "fin":
                    request.transport.close()
                    return response
        await response.write_eof()
        return response

    return behave


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [PROFILE, ARN, "mistral.devstral-2-123b"])
@pytest.mark.parametrize("operation", ["converse", "converse-stream", "invoke", "invoke-with-response-stream"])
async def test_what_arrives_is_what_was_signed(transport, vendor, operation, model):
    arrived: list[tuple[str, dict[str, str], bytes]] = []

    async def check(server: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        arrived.append((request.raw_path, {k.lower(): v for k, v in request.headers.items()}, body))
        return web.Response(body=b"{}", content_type="application/json")

    vendor.script = [check]
    response = await transport.send(WireRequest(f"/model/{model}/{operation}", BODY))
    assert (response.status, await response.read()) == (200, b"{}")
    [(path, headers, body)] = arrived
    assert (path, body) == (f"/model/{model}/{operation}", BODY)
    assert headers["content-type"] == "application/json"
    assert headers["x-amz-security-token"] == TOKEN
    assert "/eu-west-1/bedrock/aws4_request" in headers["authorization"]
    assert "tester" in headers["user-agent"]
    assert signature(headers) == expected_signature("POST", path, headers, body, secret=SECRET)
    await response.close()


async def test_the_address_may_have_a_path_of_its_own(make, vendor):
    transport = make(f"{vendor.url}/bedrock/")
    response = await transport.send(ASK)
    await response.close()
    assert vendor.seen[0].path.startswith("/bedrock/model/")
    await transport.close()


async def test_a_token_in_the_environment_does_not_take_the_place_of_the_keys(make, vendor, monkeypatch):
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-api-key-other")
    transport = make(vendor.url)
    await (await transport.send(ASK)).close()
    assert vendor.seen[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDCANARY/")
    await transport.close()


async def test_boto3_sends_a_given_api_key_as_a_bearer_token(vendor):
    transport = Boto3Transport(
        vendor.url, session=open_session(), region="eu-west-1", api_key="bedrock-api-key-1", user_agent="tester"
    )
    await (await transport.send(ASK)).close()
    headers = vendor.seen[0].headers
    assert headers["authorization"] == "Bearer bedrock-api-key-1"
    assert "x-amz-date" not in headers
    await transport.close()


async def test_no_proxy_is_taken_from_the_environment(make, vendor, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    transport = make(vendor.url)
    vendor.script = [fake_vendor.raw(200, b"{}")]
    assert await (await transport.send(ASK)).read() == b"{}"
    await transport.close()


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [ASK, STREAM], ids=["answer", "stream"])
@pytest.mark.parametrize("status", [302, 400, 403, 404, 408, 424, 429, 500, 503])
async def test_a_bad_status_is_an_answer_and_not_repeated(transport, vendor, status, request_):
    vendor.script = [
        fake_vendor.raw(status, b'{"message":"no"}', x_amzn_errortype="ThrottlingException", location="/elsewhere")
    ]
    response = await transport.send(request_)
    assert (response.status, await response.read()) == (status, b'{"message":"no"}')
    assert response.headers["x-amzn-errortype"] == "ThrottlingException"
    assert all(name == name.lower() for name in response.headers)
    assert len(vendor.seen) == 1


async def test_a_compressed_body_is_handed_over_plain(transport, vendor):
    vendor.script = [fake_vendor.raw(200, gzip.compress(b'{"a":1}'), content_encoding="gzip")]
    response = await transport.send(ASK)
    assert await response.read() == b'{"a":1}'


async def test_frames_arrive_as_they_are_sent(transport, vendor):
    vendor.script = [frames(gate_after=2)]
    response = await transport.send(STREAM)
    assert (response.status, response.headers["content-type"]) == (200, CONTENT_TYPE)
    chunks, splitter, seen = response.chunks(), FrameSplitter(), []
    while len(seen) < 2:
        seen += splitter.feed(await anext(chunks))
    assert [frame.payload for frame in seen] == [b'{"delta":{"text":"0"}}', b'{"delta":{"text":"1"}}']
    vendor.gate.set()
    async for chunk in chunks:
        seen += splitter.feed(chunk)
    assert len(seen) == len(FRAMES)
    await response.close()
    await response.close()


async def test_nothing_is_fetched_ahead_of_the_reader(transport, vendor):
    sent = 0

    async def flood(server: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal sent
        response = await started(request)
        for _ in range(400):
            await response.write(b"x" * 65536)
            sent += 1
        await response.write_eof()
        return response

    vendor.script = [flood]
    response = await transport.send(STREAM)
    chunks = response.chunks()
    await anext(chunks)
    before = -1
    while before != sent:
        before = sent
        await asyncio.sleep(0.05)
    # The sockets' buffers are full, and nobody has taken the rest into memory.
    assert sent < 400
    assert sum([len(chunk) async for chunk in chunks]) > 390 * 65536
    assert sent == 400


async def test_connections_are_used_again(transport, vendor):
    vendor.script = [
        frames(),
        fake_vendor.raw(429, b"{}"),
        fake_vendor.raw(200, b"{}"),
        frames(),
        fake_vendor.raw(200, b""),
    ]
    for request in (STREAM, STREAM, ASK, STREAM, ASK):
        response = await transport.send(request)
        async for _ in response.chunks():
            pass
        await response.close()
    assert len(vendor.seen) == 5
    assert len(vendor.connections) == 1


async def test_an_answer_that_is_closed_late_does_not_cut_who_has_its_connection_now(transport, vendor):
    vendor.script = [fake_vendor.raw(200, b"{}"), frames(gate_after=1)]
    first = await transport.send(ASK)
    assert await first.read() == b"{}"
    second = await transport.send(STREAM)
    await first.close()
    vendor.gate.set()
    assert b"".join([chunk async for chunk in second.chunks()]) == b"".join(FRAMES)
    assert len(vendor.connections) == 1


async def test_many_at_once(make, vendor):
    vendor.script = [frames()]
    transport = make(vendor.url, max_connections=8)

    async def one() -> bytes:
        return await drained(await transport.send(STREAM))

    assert set(await asyncio.gather(*(one() for _ in range(40)))) == {b"".join(FRAMES)}
    await transport.close()


async def test_more_open_streams_than_connections_do_not_hold_each_other_up(make, vendor):
    transport = make(vendor.url, max_connections=3)
    vendor.script = [frames(gate_after=1)]
    first = [await transport.send(STREAM) for _ in range(3)]
    fourth = asyncio.create_task(transport.send(STREAM))
    for response in first:
        await anext(response.chunks())
    vendor.gate.set()
    for response in first:
        assert len(b"".join([chunk async for chunk in response.chunks()])) >= len(FRAMES[0])
    response = await fourth
    assert b"".join([chunk async for chunk in response.chunks()]) == b"".join(FRAMES)
    await transport.close()


# --- leaving --------------------------------------------------------------------------------------------------------


async def test_closing_half_way_closes_the_socket_at_once(transport, vendor):
    vendor.script = [frames(gate_after=1)]
    response = await transport.send(STREAM)
    await anext(response.chunks())
    await response.close()
    await asyncio.wait_for(vendor.left.wait(), 5)
    await response.close()


@pytest.mark.parametrize("where", ["headers", "body"])
async def test_cancelling_closes_the_socket_at_once(transport, vendor, where):
    vendor.script = [fake_vendor.silence() if where == "headers" else frames(gate_after=1)]

    async def call() -> None:
        await drained(await transport.send(STREAM))

    calling = asyncio.create_task(call())
    while not vendor.seen:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(vendor.left.wait(), 5)


async def test_an_answer_that_boto3_gets_just_after_its_caller_left_is_closed(vendor, monkeypatch):
    transport = by_boto3(vendor.url)
    vendor.script = [frames(gate_after=1)]
    loop, answers = asyncio.get_running_loop(), []
    ask = transport._ask

    def ask_too_long(request: WireRequest) -> Any:
        answers.append(ask(request))
        # Told to the loop before the answer is, so that the caller leaves first.
        loop.call_soon_threadsafe(calling.cancel)
        return answers[0]

    monkeypatch.setattr(transport, "_ask", ask_too_long)
    calling = asyncio.create_task(transport.send(STREAM))
    with pytest.raises(asyncio.CancelledError):
        await calling
    await asyncio.wait_for(vendor.left.wait(), 5)
    async with asyncio.timeout(5):
        while not answers[0].closed:
            await asyncio.sleep(0.01)
    await transport.close()


async def test_closing_boto3_ends_what_its_threads_wait_for(vendor):
    transport = by_boto3(vendor.url)
    vendor.script = [frames(gate_after=1)]
    response = await transport.send(STREAM)
    chunks = response.chunks()
    await anext(chunks)
    waiting = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0.05)
    await transport.close()
    with pytest.raises(ConnectionFailedError):
        await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(vendor.left.wait(), 5)
    await transport.close()
    vendor.script = [fake_vendor.raw(200, b"{}")]
    assert await (await transport.send(ASK)).read() == b"{}"
    await transport.close()


async def test_a_call_given_up_before_its_turn_closes_the_connection_that_it_drew(vendor):
    transport = by_boto3(vendor.url)
    vendor.script = [fake_vendor.raw(200, b"{}")]
    await (await transport.send(ASK)).read()
    (key,) = transport._http._manager.pools.keys()
    pool = transport._http._manager.pools[key]
    idle = pool.pool.queue[-1]
    assert idle.sock is not None
    call = Call(BODY)
    call.cut()
    with pytest.raises(ConnectionAbortedError):
        call.run(pool._get_conn)
    assert idle.sock is None
    await transport.close()


async def test_a_closed_transport_leaves_no_connection_even_where_its_pool_lives_on(vendor):
    transport = by_boto3(vendor.url)
    vendor.script = [fake_vendor.raw(200, b"{}")]
    await (await transport.send(ASK)).read()
    (key,) = transport._http._manager.pools.keys()
    idle = transport._http._manager.pools[key].pool.queue[-1]
    assert idle.sock is not None
    await transport.close()
    assert idle.sock is None


async def test_a_closed_transport_leaves_no_thread(vendor):
    transport = by_boto3(vendor.url)
    vendor.script = [fake_vendor.raw(200, b"{}")]
    await (await transport.send(ASK)).read()
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("boto3")]
    assert workers
    await transport.close()
    for worker in workers:
        await asyncio.to_thread(worker.join, 5)
        assert not worker.is_alive()


# --- failures -------------------------------------------------------------------------------------------------------


async def test_a_reset_before_the_answer(transport, vendor):
    vendor.script = [fake_vendor.reset()]
    with pytest.raises(ConnectionFailedError, match="closed the connection without an answer"):
        await transport.send(ASK)


@pytest.mark.parametrize("then", ["reset", "fin"])
async def test_a_body_that_breaks_off(transport, vendor, then):
    vendor.script = [frames(gate_after=2, then=then)]
    response = await transport.send(STREAM)
    chunks = response.chunks()
    await anext(chunks)
    vendor.gate.set()
    with pytest.raises(ConnectionFailedError, match="broke in the middle of its answer"):
        async for _ in chunks:
            pass
    await response.close()


@pytest.mark.parametrize("end", ["reset", "fin"])
async def test_a_body_that_is_shorter_than_announced(transport, vendor, end):
    async def behave(server: FakeVendor, request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"half": ')
        if end == "reset":
            fake_vendor.cut(request)
        else:
            request.transport.close()
        return response

    vendor.script = [behave]
    with pytest.raises(ConnectionFailedError, match=r"broke in the middle|without an answer"):
        await drained(await transport.send(ASK))


async def test_nobody_listens(make):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    transport = make(f"http://{address}")
    with pytest.raises(ConnectionFailedError, match=re.escape(f"could not connect to {address}: Connection refused")):
        await transport.send(ASK)
    await transport.close()


async def test_a_host_that_is_none(make, monkeypatch):
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    transport = make("http://nowhere.localhost:1")
    with pytest.raises(ConnectionFailedError, match=r"the host name nowhere.localhost(:1)? cannot be resolved"):
        await transport.send(ASK)
    await transport.close()


async def test_a_server_without_tls(make, vendor):
    transport = make(vendor.url.replace("http://", "https://"))
    with pytest.raises(ConnectionFailedError, match="no TLS connection to"):
        await transport.send(ASK)
    await transport.close()


async def test_boto3_is_not_waited_for_without_end(vendor, monkeypatch):
    monkeypatch.setattr("providers.transports.boto3_client.READ_TIMEOUT", 0.1)
    transport = by_boto3(vendor.url)
    vendor.script = [fake_vendor.silence(), frames(gate_after=1)]
    with pytest.raises(ProviderTimeoutError, match="did not answer in time"):
        await transport.send(ASK)
    response = await transport.send(STREAM)
    chunks = response.chunks()
    await anext(chunks)
    with pytest.raises(ProviderTimeoutError, match="stopped sending in the middle"):
        await anext(chunks)
    await transport.close()


@pytest.mark.parametrize("make", [signed, by_boto3], ids=["sigv4", "boto3"])
async def test_credentials_that_cannot_be_renewed(make, vendor):
    class Expired:
        def refresh_needed(self) -> bool:
            return True

        def get_frozen_credentials(self) -> Any:
            raise RuntimeError("canary")

    transport = make(vendor.url, AwsCredentials(Expired()))
    with pytest.raises(AuthenticationError, match="cannot be renewed"):
        await transport.send(ASK)
    assert not vendor.seen
    await transport.close()


# --- secrets --------------------------------------------------------------------------------------------------------


async def test_no_secret_is_in_an_error_or_a_log(make, vendor, caplog):
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    transport = make(vendor.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = make(f"http://127.0.0.1:{free.getsockname()[1]}")
    scripts = [[fake_vendor.reset()], [fake_vendor.body_then_reset()], [frames(gate_after=1, then="reset")]]
    vendor.gate.set()
    for sender, script in [*((transport, one) for one in scripts), (nobody, [])]:
        vendor.script = script
        with pytest.raises(ConnectionFailedError) as caught:
            await drained(await sender.send(STREAM))
        error: BaseException | None = caught.value
        shown.append("".join(traceback.format_exception(caught.value)))
        while error is not None:
            shown += [repr(error), repr(vars(error)), repr(error.args)]
            error = error.__cause__ or error.__context__
    vendor.script = [fake_vendor.raw(200, b"{}")]
    await (await transport.send(ASK)).read()
    sent = vendor.seen[-1].headers
    shown.append(caplog.text)
    everything = "\n".join(shown)
    leaked = {secret for secret in (SECRET, TOKEN, signature(sent), sent["authorization"]) if secret in everything}
    assert not leaked
    assert [line for line in everything.splitlines() if "Signature=" in line] == []
    for one in (transport, nobody):
        await one.close()
