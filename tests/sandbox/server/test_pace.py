"""When answers come: at the vendor's speed, or at once."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from providers.mock.pace import PROFILES
from tests.fake_clock import FakeClock
from tests.sandbox.server.support import CHAT, FastClock, chat, http, tapped

STREAM = chat(stream=True)


@pytest.mark.parametrize("body", [chat(), STREAM])
async def test_a_realistic_answer_takes_its_vendors_time(body):
    clock = FakeClock()
    async with tapped(clock=clock, pace="realistic") as rig:
        answer = await rig.ask(CHAT, body)
        took = clock.now
        again = await rig.ask(CHAT, body)
        (entry, _) = await rig.journal()
    tokens = answer.body.count(b'"content"') if body is STREAM else answer.json["usage"]["completion_tokens"]
    profile = PROFILES["openai"]
    assert took == pytest.approx(profile.first_token + tokens / profile.tokens_per_second, rel=0.6)
    # The jitter is the request's own.
    assert clock.now == pytest.approx(2 * took)
    assert again.headers["openai-processing-ms"] == answer.headers["openai-processing-ms"]
    assert int(answer.headers["openai-processing-ms"]) > 50
    assert entry["ms"] == pytest.approx(took * 1000, abs=1)


async def test_at_once_is_at_once():
    clock = FakeClock()
    async with tapped(clock=clock, pace="instant") as rig:
        await rig.ask(CHAT, STREAM)
    assert clock.slept == []


@pytest.mark.parametrize(("body", "pieces"), [(chat(), 1), (STREAM, 10)])
async def test_a_whole_answer_comes_in_one_piece_a_stream_in_many(body, pieces):
    async with tapped(clock=FastClock(), pace="realistic") as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.tap.port)
        writer.write(http(CHAT, orjson.dumps(body), Connection="close"))
        got = []
        while piece := await reader.read(1 << 16):
            got.append(piece)
        writer.close()
    if pieces == 1:
        # Not even its headers come before the body is there.
        assert b"content-length: " in got[0]
        assert len(got) == 1
    else:
        assert got[0].count(b'"content"') <= 2
        assert len(got) > pieces
