"""The wiretap for clients that speak HTTP/2 from the first byte."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import orjson
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, PingAckReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

from sandbox.server.wiretap import Wiretap
from tests.sandbox.server.support import put, tapped

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
    for _ in range(1000):
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
    assert await asyncio.wait_for(reader.read(1 << 16), 20)
    writer.close()
    async with httpx2.AsyncClient(base_url=tap.url) as client:
        assert (await client.post(CHAT, json=ASKED)).status_code == 200


# --- frame by frame -------------------------------------------------------------------------------------------------


class Speaker:
    """A client that says what no library would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        config = H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h2 = H2Connection(config)

    @classmethod
    async def of(cls, tap: Wiretap, **settings: int) -> Speaker:
        speaker = cls(*await asyncio.open_connection("127.0.0.1", tap.port))
        speaker.h2.initiate_connection()
        speaker.h2.update_settings({SettingCodes[name.upper()]: value for name, value in settings.items()})
        speaker.flush()
        await speaker.hear()
        return speaker

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, path: str = "/openai/v1/models", method: str = "GET", body: bytes = b"", **more: str) -> int:
        number = self.h2.get_next_available_stream_id()
        pseudo = {":method": method, ":path": path, ":scheme": "http", ":authority": "127.0.0.1"}
        headers = [*pseudo.items(), *((name.replace("_", "-"), value) for name, value in more.items())]
        self.h2.send_headers(number, headers, end_stream=not body)
        if body:
            self.h2.send_data(number, body, end_stream=True)
        self.flush()
        return number

    async def hear(self) -> list[Event]:
        """What comes next; nothing at the end of the connection."""
        async with asyncio.timeout(5):
            data = await self.reader.read(1 << 16)
        events = self.h2.receive_data(data) if data else []
        for event in events:
            if isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return events


async def test_a_path_is_of_this_server_and_of_no_other(tap: Wiretap) -> None:
    """`@host/path` behind an address is a path on another host."""
    asked = asyncio.Event()

    async def called(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        writer.close()

    async with await asyncio.start_server(called, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        speaker = await Speaker.of(tap)
        speaker.ask(f"@127.0.0.1:{port}/openai/v1/models")
        heard = await speaker.hear()
        assert [event.error_code for event in heard if isinstance(event, StreamReset)] == [1]
        speaker.writer.close()
    assert not asked.is_set()


@pytest.mark.parametrize("path", ["*", "80/x", "openai/v1/models", "http://127.0.0.1/openai/v1/models", "/a b", "/ä"])
@pytest.mark.parametrize("method", ["POST", "G T"])
async def test_what_is_no_request_ends_its_stream_alone(
    tap: Wiretap, caplog: pytest.LogCaptureFixture, path: str, method: str
) -> None:
    speaker = await Speaker.of(tap)
    number = speaker.ask(path, method)
    (reset,) = [event for event in await speaker.hear() if isinstance(event, StreamReset)]
    assert (reset.stream_id, reset.error_code) == (number, 1)
    number = speaker.ask()
    heard: list[Event] = []
    while not any(isinstance(event, StreamEnded) for event in heard):
        heard += await speaker.hear()
    speaker.writer.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_its_end_is_that_of_every_connection(tap: Wiretap) -> None:
    silent, writer = await asyncio.open_connection("127.0.0.1", tap.port)
    speaker = await Speaker.of(tap)
    speaker.ask("/openai/v1/chat/completions", "POST", b'{"messages": []}', x_wiretap_fault="hang")
    await asyncio.sleep(0.05)
    await tap.close()
    async with asyncio.timeout(20):
        assert await silent.read() == b""
        while await speaker.hear():
            pass
    writer.close()
    speaker.writer.close()


async def test_a_client_that_does_not_read_does_not_fill_the_memory(tmp_path: Path) -> None:
    """However much it lets be sent to it."""
    put(
        tmp_path, "openai/big", api="chat.completions", request={"path": "/v1", "body": ASKED | {"stream": True}},
        response={"status": 200, "headers": {}, "chunks": [{"data": f"data: {'x' * (1 << 16)}\n\n"}] * 400},
    )  # fmt: skip
    async with tapped(tmp_path) as rig:
        speaker = await Speaker.of(rig.tap, initial_window_size=2**31 - 1)
        speaker.h2.increment_flow_control_window(2**31 - 1 - 65535)
        speaker.ask(CHAT, "POST", orjson.dumps(ASKED | {"stream": True}))
        speaker.writer.transport.pause_reading()
        await asyncio.sleep(0.5)
        waiting = [transport.get_write_buffer_size() for transport in rig.tap.http2.transports]
        assert 0 < max(waiting) < 1 << 20
        speaker.writer.transport.resume_reading()
        got, heard = 0, list[Event]()
        while not any(isinstance(event, StreamEnded) for event in heard):
            heard = await speaker.hear()
            got += sum(len(event.data) for event in heard if isinstance(event, DataReceived))
        assert got > 399 << 16
        speaker.writer.close()


async def test_a_client_that_reads_nothing_is_not_listened_to(tap: Wiretap) -> None:
    """Whoever has a server say something for everything that it hears."""
    speaker = await Speaker.of(tap)
    speaker.writer.transport.pause_reading()
    (transport,) = tap.http2.transports
    ping = b"\0\0\x08\6\0\0\0\0\0" + b"8 bytes!"
    transport.get_protocol().pause_writing()
    speaker.writer.write(ping * 10_000)
    await asyncio.sleep(0.3)
    assert not transport.is_reading()
    assert transport.get_write_buffer_size() < 1 << 16
    transport.get_protocol().resume_writing()
    speaker.writer.transport.resume_reading()
    got = 0
    while got < 10_000:
        got += sum(isinstance(event, PingAckReceived) for event in await speaker.hear())
    speaker.writer.close()
