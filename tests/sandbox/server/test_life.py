"""A wiretap's beginning and end, its connections, and clients that leave."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import orjson
import pytest

from providers.errors import ConfigError
from providers.mock.simulated import Simulation
from sandbox.server.wiretap import Wiretap
from tests.sandbox.server.support import CHAT, chat, http, parsed, tapped

STREAM = chat(stream=True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "example.org", "8.8.8.8"])
def test_a_host_that_is_not_this_machine_is_refused(host):
    with pytest.raises(ConfigError, match="listens on this machine only"):
        Wiretap(host=host)


async def test_it_has_an_address_while_it_runs():
    async with tapped() as rig:
        assert rig.tap.url == f"http://127.0.0.1:{rig.tap.port}"
        assert rig.tap.port > 0
        assert ("openai", f"OPENAI_BASE_URL={rig.tap.url}/openai/v1") in rig.tap.clients
        port = rig.tap.port
        with pytest.raises(OSError, match="address already in use"):
            await Wiretap(port=port).start()
        assert (await rig.ask(CHAT, chat())).status == 200
    async with tapped(port=port) as rig:
        assert rig.tap.port == port
    await rig.tap.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
async def test_ipv6_is_this_machine_too():
    try:
        async with Wiretap(host="::1", simulation=Simulation()) as tap:
            assert tap.url == f"http://[::1]:{tap.port}"
    except OSError:
        pytest.skip("this machine has no IPv6 address")


async def test_its_end_cuts_what_is_under_way():
    async with tapped() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, orjson.dumps(STREAM), x_wiretap_fault="hang"))
        await reader.readuntil(b"\r\n\r\n")
        began = asyncio.get_running_loop().time()
        await rig.tap.close()
        assert asyncio.get_running_loop().time() - began < 2
        with suppress(ConnectionError):
            assert not (await reader.read()).endswith(b"0\r\n\r\n")
        writer.close()
        with pytest.raises(OSError, match=r"refused|Connect"):
            await asyncio.open_connection("127.0.0.1", rig.tap.port or 1)


# --- clients that leave -------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_takes_its_answer_with_it(monkeypatch):
    from providers.mock import simulated

    closed = asyncio.Event()
    real = simulated.SimulatedTransport._stream

    async def watched(self, *arguments):
        try:
            async for piece in real(self, *arguments):
                yield piece
        finally:
            closed.set()

    monkeypatch.setattr(simulated.SimulatedTransport, "_stream", watched)
    async with tapped() as rig:
        await rig.provoke("openai", "slow_stream:5")
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, orjson.dumps(STREAM)))
        await reader.readuntil(b'"content"')
        writer.close()
        async with asyncio.timeout(20):
            await closed.wait()
        entry = await rig.ended()
    assert (entry["status"], entry["hint"]) == (200, "the client left before the end")
    assert 0 < entry["bytes"] < 2000


async def test_a_client_that_does_not_read_does_not_fill_the_memory(tmp_path):
    from tests.sandbox.server.support import put

    big = "data: " + "x" * (1 << 16) + "\n\n"
    put(
        tmp_path, "openai/big", api="chat.completions", request={"path": "/v1", "body": STREAM},
        response={"status": 200, "headers": {}, "chunks": [{"data": big}] * 400},
    )  # fmt: skip
    async with tapped(tmp_path) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port, limit=1 << 10)
        writer.write(http(CHAT, orjson.dumps(STREAM)))
        await asyncio.sleep(0.2)
        (task,) = rig.tap._handling
        assert task is not None
        waiting = [transport.get_write_buffer_size() for transport in rig.tap._server._connections.values()]
        assert max(waiting) < 1 << 20
        got = 0
        async with asyncio.timeout(10):
            while not (piece := await reader.read(1 << 20)).endswith(b"0\r\n\r\n"):
                got += len(piece)
        assert got > 400 * (1 << 16) - (1 << 20)
        writer.close()


# --- connections --------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again():
    async with tapped() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        for body in (chat(), STREAM, chat("again")):
            writer.write(http(CHAT, orjson.dumps(body)))
            status, headers, _ = parsed(await reader.readuntil(b"\r\n\r\n"))
            assert status == 200
            assert "connection" not in headers
            if "content-length" in headers:
                await reader.readexactly(int(headers["content-length"]))
            else:
                await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.close()


async def test_requests_on_one_line_are_answered_in_their_order():
    async with tapped() as rig:
        asked = [orjson.dumps(chat(f"number {n}", stream=bool(n % 2))) for n in range(4)]
        data = b"".join(http(CHAT, body) for body in asked) + http("/vllm/health", method="GET", Connection="close")
        got, _ = await rig.raw(data)
        journal = await rig.journal()
    assert got.count(b"HTTP/1.1 200 OK") == 5
    assert [entry["status"] for entry in journal] == [200] * 5


async def test_an_old_client_gets_no_chunks():
    async with tapped() as rig:
        whole, _ = await rig.raw(http(CHAT, orjson.dumps(chat()), version="1.0"))
        stream, _ = await rig.raw(http(CHAT, orjson.dumps(STREAM), version="1.0"))
    status, headers, body = parsed(whole)
    assert (status, headers["content-length"], headers["connection"]) == (200, str(len(body)), "close")
    status, headers, body = parsed(stream)
    assert (status, headers["connection"]) == (200, "close")
    assert "transfer-encoding" not in headers
    assert body.startswith(b"data: ")
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_client_that_asks_first_is_told_to_go_on():
    async with tapped() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        body = orjson.dumps(chat())
        writer.write(http(CHAT, body, Expect="100-continue")[: -len(body)])
        async with asyncio.timeout(20):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert parsed(await reader.readuntil(b"\r\n\r\n"))[0] == 200
        writer.close()


async def test_an_absolute_target_is_a_path_too():
    async with tapped() as rig:
        got, _ = await rig.raw(
            http("http://api.openai.com/openai/v1/models/gpt-4o?x=1", method="GET", Connection="close")
        )
    assert parsed(got)[0] == 200
