"""The wiretap for clients that speak HTTP/2 from the first byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from sandbox.server.wiretap import Wiretap

CHAT = "/openai/v1/chat/completions"
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Name three sorts of fuse, please."}]}


@pytest.fixture
async def tap() -> AsyncIterator[Wiretap]:
    async with Wiretap() as running:
        yield running


@pytest.fixture
async def client(tap: Wiretap) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(http1=False, http2=True, base_url=tap.url, timeout=10) as speaker:
        yield speaker


async def test_the_same_answer_as_over_http1(tap: Wiretap, client: httpx2.AsyncClient) -> None:
    two = await client.post(CHAT, json=ASKED)
    async with httpx2.AsyncClient(base_url=tap.url) as plain:
        one = await plain.post(CHAT, json=ASKED)
    assert (two.http_version, one.http_version) == ("HTTP/2", "HTTP/1.1")
    assert (two.status_code, two.json()["choices"]) == (200, one.json()["choices"])
    assert two.headers["x-request-id"]


async def test_a_stream_comes_whole(client: httpx2.AsyncClient) -> None:
    async with client.stream("POST", CHAT, json={**ASKED, "stream": True}) as response:
        body = b"".join([chunk async for chunk in response.aiter_raw()])
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_many_streams_on_one_connection(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(CHAT, json={**ASKED, "seed": n}) for n in range(60)))
    assert {answer.status_code for answer in answers} == {200}


async def test_bodies_larger_than_any_window(client: httpx2.AsyncClient) -> None:
    prompt = "word " * 400_000
    asked = {**ASKED, "messages": [{"role": "user", "content": prompt}]}
    assert (await client.post(CHAT, json=asked)).json()["usage"]["prompt_tokens"] > 300_000


async def test_an_unknown_path_and_a_provoked_error(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/openai/v1/chat/completion", json=ASKED)).status_code == 404
    refused = await client.post(CHAT, json=ASKED, headers={"x-wiretap-fault": "503"})
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, "HTTP 503 (provoked).")


@pytest.mark.parametrize("fault", ["connection_reset", "stream_cut:3"])
async def test_a_break_ends_the_stream_and_not_the_connection(client: httpx2.AsyncClient, fault: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.post(CHAT, json={**ASKED, "stream": True}, headers={"x-wiretap-fault": fault})
    assert (await client.post(CHAT, json=ASKED)).status_code == 200


async def test_a_client_that_leaves_is_noticed(tap: Wiretap) -> None:
    async with httpx2.AsyncClient(http1=False, http2=True, base_url=tap.url) as client:
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(CHAT, json=ASKED, headers={"x-wiretap-fault": "timeout"}, timeout=0.2)
    for _ in range(100):
        if entries := list(tap.journal.entries()):
            break
        await asyncio.sleep(0.02)
    assert entries[0].hint == "the client left before the end"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"P", b"OST /openai/v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
        [b"PRI * HTTP/2", b".0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64],
        [b"PRI * HTTP/1.1\r\nHost: x\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01\x00"],
    ],
)
async def test_other_first_bytes_are_answered_or_hung_up_on(tap: Wiretap, pieces: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    if pieces[0] != b"P":
        writer.write_eof()
    assert await asyncio.wait_for(reader.read(1 << 16), 5)
    writer.close()
    async with httpx2.AsyncClient(base_url=tap.url) as client:
        assert (await client.post(CHAT, json=ASKED)).status_code == 200
