"""Streams that break, by policy; readers that leave or dawdle; the life sign of a silent one."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest

from providers.exchange import FixtureLibrary
from providers.faults import parse_fault
from providers.mock.simulated import Simulation
from sandbox.server.gateway import service as service_module
from sandbox.server.wiretap import Wiretap
from tests.sandbox.server.gateway.support import BODIES, CHAT, MESSAGES, QUICK, chat, over_wiretap, served, texts

BREAKS = ["stream_cut:3", "malformed_event:6", "error_event:529", "truncated_body"]
PAIR: dict[str, Any] = {"chain": ["openai", "gemini"], **QUICK}


def ends_badly(events: list[bytes]) -> None:
    """As a chat stream must that is not whole: an error is its last event, and it never says that it is done."""
    data = [event for event in events if event.startswith(b"data: ")]
    assert orjson.loads(data[-1][6:])["error"]["message"]
    assert b"data: [DONE]" not in data
    assert not any(b'"finish_reason":"' in event for event in data)
    assert events[-1].startswith(b": x-sandbox {")


@pytest.mark.parametrize("policy", ["fail", "restart", "continue"])
@pytest.mark.parametrize("fault", BREAKS)
async def test_a_broken_stream_never_looks_whole(tmp_path, fault, policy):
    async with served(tmp_path, **PAIR) as rig:
        rig.fail("openai", fault)
        answer, events = await rig.stream(chat(), headers={"x-sandbox-stream-policy": policy})
        assert answer.status == 200
        assert texts(events)
        ends_badly(events)
        assert orjson.loads(events[-1].removeprefix(b": x-sandbox "))["error"]
        assert rig.tally.failed == 1


@pytest.mark.parametrize("fault", BREAKS)
async def test_anthropics_stream_ends_with_an_error_event(tmp_path, fault):
    async with served(tmp_path, **PAIR) as rig:
        rig.fail("openai", fault)
        _, events = await rig.stream(BODIES[MESSAGES], MESSAGES)
        assert events[-2].startswith(b"event: error\ndata: ")
        told = orjson.loads(events[-2].partition(b"data: ")[2])
        assert (told["type"], bool(told["error"]["type"])) == ("error", True)
        assert not any(event.startswith(b"event: message_stop") for event in events)


@pytest.mark.parametrize("fault", BREAKS)
async def test_a_buffered_stream_fails_over_unseen(tmp_path, fault):
    async with served(tmp_path, **PAIR) as rig:
        rig.fail("openai", fault)
        answer, events = await rig.stream(chat(), headers={"x-sandbox-stream-policy": "buffer"})
        assert answer.headers["x-sandbox-provider"] == "gemini"
        assert events[-2] == b"data: [DONE]"
        assert orjson.loads(events[-1].removeprefix(b": x-sandbox "))["failovers"] == 1
        rig.fail("gemini", "503")
        refused = await rig.ask(CHAT, chat(stream=True), headers={"x-sandbox-stream-policy": "buffer"})
        assert refused.status == 502


async def test_a_stream_goes_on_where_a_partial_text_is_taken_up(tmp_path):
    async with served(tmp_path, chain=["openai", "gemini", "anthropic"], **QUICK) as rig:
        rig.fail("openai", "stream_cut:5")
        asked = chat(model="openai/gpt-4o-mini", fallbacks=["gemini/gemini-2.5-flash", "anthropic/claude-3-haiku"])
        _, events = await rig.stream(asked, headers={"x-sandbox-stream-policy": "continue"})
        assert events[-2] == b"data: [DONE]"
        told = orjson.loads(events[-1].removeprefix(b": x-sandbox "))
        assert told["provider"] == "anthropic"
        # One answer, with one beginning and one id.
        ids = {orjson.loads(event[6:])["id"] for event in events if event.startswith(b"data: {")}
        assert len(ids) == 1
        assert sum(b'"role":"assistant"' in event for event in events) == 1


async def test_an_answer_that_only_lacks_its_end_mark_is_whole(tmp_path):
    async with served(tmp_path, **PAIR) as rig:
        rig.fail("openai", "no_end_marker")
        _, events = await rig.stream(chat())
        assert events[-2] == b"data: [DONE]"


async def test_a_broken_stream_leaves_its_connection_to_the_next_request(tmp_path):
    async with served(tmp_path, **PAIR) as rig, aiohttp.ClientSession() as kept:
        rig.fail("openai", "stream_cut:3")
        for _ in range(5):
            async with kept.post(rig.server.url + CHAT, json=chat(stream=True)) as response:
                ends_badly([event for event in (await response.read()).split(b"\n\n") if event])
                connection = response.headers.get("connection")
            assert connection in (None, "keep-alive")
            await asyncio.sleep(0.01)
            assert len(kept.connector._conns) == 1


async def test_a_stall_is_told_and_the_stream_ended(tmp_path):
    async with served(tmp_path, **PAIR, streaming={"silence": 0.05}) as rig:
        rig.fail("openai", "stream_stall:3")
        _, events = await rig.stream(chat())
        ends_badly(events)


async def test_before_the_first_text_a_stall_is_a_failover(tmp_path):
    async with served(tmp_path, **PAIR, streaming={"first_text": 0.05}) as rig:
        rig.fail("openai", "hang")
        answer, events = await rig.stream(chat())
        assert answer.headers["x-sandbox-provider"] == "gemini"
        assert events[-2] == b"data: [DONE]"


# --- readers ----------------------------------------------------------------------------------------------------------


async def until(what: Any, seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_caller_that_leaves_ends_the_work_upstream(tmp_path, stream):
    async with (
        Wiretap(simulation=Simulation(library=FixtureLibrary([]))) as tap,
        served(tmp_path, **over_wiretap(tap.url), **QUICK) as rig,
    ):
        # Upstream begins and never ends.
        tap.faults.set("openai", [parse_fault("stream_stall:3" if stream else "hang")])
        asking = asyncio.ensure_future(rig.session.post(rig.server.url + CHAT, json=chat(stream=stream)))
        await until(lambda: tap._handling)
        if stream:
            response = await asking
            await response.content.readany()
            response.close()
        else:
            asking.cancel()
            await asyncio.wait({asking})
        await until(lambda: not tap._handling)
        await until(lambda: rig.tally.cancelled == 1)
        assert [entry.hint for entry in tap.journal.entries(None)] == ["the client left before the end"]
        assert rig.server.under_way == 0
        tap.faults.clear()
        assert (await rig.ask(CHAT, chat())).status == 200


async def test_a_reader_that_dawdles_holds_its_stream_up(tmp_path, monkeypatch):
    """What waits for it is bounded, however long the answer is."""
    from sandbox.server.reply import Reply

    written = 0
    write = Reply._write

    def counted(self: Reply, data: bytes) -> None:
        nonlocal written
        written += len(data)
        write(self, data)

    long = "word " * 150_000
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        monkeypatch.setattr("providers.mock.writer.SyntheticWriter.write", _saying(long))
        monkeypatch.setattr(Reply, "_write", counted)
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.server.port, limit=1024)
        body = orjson.dumps(chat(stream=True))
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: x.localhost\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
        )
        await reader.readexactly(100)
        seen = -1
        while seen != written:
            seen = written
            await asyncio.sleep(0.1)
        # What the sockets of both sides hold, and a little more: nothing like the 36 MB of the whole stream.
        assert written < 12_000_000
        assert rig.server.under_way == 1
        writer.close()
        await until(lambda: rig.server.under_way == 0)
        assert rig.tally.cancelled == 1


def _saying(text: str) -> Any:
    from providers.mock.writer import Written, pieces_of
    from providers.types import Completion, TokenUsage

    def write(self: Any, request: Any, **_: Any) -> Written:
        completion = Completion(text=text, finish_reason="stop", usage=TokenUsage(10, 10))
        return Written(completion, pieces_of(text))

    return write


async def test_a_silent_stream_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(service_module, "BEAT", 0.03)
    async with served(tmp_path, **PAIR, streaming={"first_text": 0.3, "silence": 0.3}) as rig:
        rig.fail("openai", "hang")
        answer, events = await rig.stream(chat())
        assert events[0] == b": keep-alive"
        assert "x-sandbox-provider" not in answer.headers
        assert events[-2] == b"data: [DONE]"
        # Also in the middle, and where it comes to nothing.
        rig.fail("openai", "stream_stall:3")
        _, events = await rig.stream(chat())
        assert b": keep-alive" in events[2:]
        ends_badly(events)
        rig.fail("openai", "hang")
        rig.fail("gemini", "hang")
        answer, events = await rig.stream(chat())
        assert (answer.status, events[0]) == (200, b": keep-alive")
        ends_badly(events)
        answer, events = await rig.stream(BODIES[MESSAGES], MESSAGES)
        assert events[-2].startswith(b"event: error")


async def test_a_reader_that_never_reads_again_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(service_module, "BEAT", 0.02)
    async with served(tmp_path, chain=["openai"], **QUICK) as rig:
        monkeypatch.setattr("providers.mock.writer.SyntheticWriter.write", _saying("word " * 150_000))
        _, writer = await asyncio.open_connection("127.0.0.1", rig.server.port, limit=1024)
        body = orjson.dumps(chat(stream=True))
        writer.write(
            b"POST %b HTTP/1.1\r\nhost: x.localhost\r\ncontent-length: %d\r\n\r\n%b" % (CHAT.encode(), len(body), body)
        )
        await until(lambda: rig.server.under_way == 1)
        await until(lambda: rig.server.under_way == 0, 20)
        writer.close()


async def test_http_1_0_has_no_chunks(tmp_path):
    async with served(tmp_path) as rig:
        body = orjson.dumps(chat(stream=True))
        head = b"POST %b HTTP/1.0\r\ncontent-length: %d\r\n\r\n" % (CHAT.encode(), len(body))
        got = await rig.raw(head + body)
        headers, _, rest = got.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in headers.lower()
        assert rest.startswith(b"data: {")
        assert rest.split(b"\n\n")[-3] == b"data: [DONE]"
