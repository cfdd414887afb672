"""Recordings: served byte for byte, with their status, headers and times; what is wrong is told at the start."""

from __future__ import annotations

import asyncio
import base64
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.exchange import load
from sandbox.server.reply import NOT_PASSED_ON
from sandbox.server.wiretap.routes import PREFIXES
from tests.fake_clock import FakeClock
from tests.sandbox.server.support import CHAT, chat, put, tapped
from tests.shared_material import needs_wire, wire_dir

BODY = "".join(f'data: {{"n":{n},"text":"é{n}"}}\n\n' for n in range(20)) + "data: [DONE]\n\n"


def answered(**response: Any) -> dict[str, Any]:
    return {
        "api": "chat.completions",
        "request": {"path": "/v1/chat/completions", "body": chat("recorded", stream=True)},
        "response": {"status": 200, "headers": {"content-type": "text/event-stream"}, **response},
    }


@needs_wire
@pytest.mark.parametrize("provider", sorted(set(PREFIXES.values())))
async def test_recorded_traffic_is_served_as_it_was(provider: str, tmp_path: Path) -> None:
    folder = wire_dir()
    assert folder is not None
    prefix = next(prefix for prefix, name in PREFIXES.items() if name == provider)
    files = sorted((folder / provider).glob("*.json"))
    assert files
    for number, file in enumerate(files):
        # Alone: some were asked the same question and answered differently.
        alone = tmp_path / str(number)
        (alone / provider).mkdir(parents=True)
        (alone / provider / file.name).symlink_to(file)
        exchange = load(file)
        asked = exchange.request
        assert exchange.response is not None
        async with tapped(alone, fixtures_only=True) as rig:
            assert rig.tap.problems == {}
            answer = await rig.ask(f"/{prefix}{asked.path}", asked.body, method=asked.method)
            (entry,) = await rig.journal()
        assert answer.status == exchange.response.status, file.name
        assert answer.body == exchange.response.body, file.name
        kept = {k: v for k, v in exchange.response.headers.items() if k not in NOT_PASSED_ON}
        assert kept.items() <= answer.headers.items(), file.name
        assert "content-type" in answer.headers, file.name
        assert (entry["answered_by"], entry["hint"]) == (f"{provider}/{file.name}", None)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, len(BODY.encode()) - 1), max_size=12), times=st.lists(st.integers(0, 900)))
def test_a_body_is_the_same_however_it_is_cut_and_paced(tmp_path: Path, cuts: list[int], times: list[int]) -> None:
    body = BODY.encode()
    ends = [0, *sorted(set(cuts)), len(body)]
    chunks = [
        {"after_ms": times[n] if n < len(times) else 0, "data_base64": base64.b64encode(body[a:b]).decode()}
        for n, (a, b) in enumerate(pairwise(ends))
    ]
    put(tmp_path, "openai/case", **answered(chunks=chunks))

    async def ask() -> tuple[bytes, float]:
        clock = FakeClock()
        async with tapped(tmp_path, clock=clock, pace="realistic") as rig:
            return (await rig.ask(CHAT, chat("recorded", stream=True))).body, clock.now

    got, took = asyncio.run(ask())
    assert got == body
    assert took == pytest.approx(sum(chunk["after_ms"] for chunk in chunks) / 1000)


async def test_recorded_pieces_leave_in_pieces(tmp_path: Path) -> None:
    pieces = [b"data: {}\n\n", b": between\n\n", b"data: [DONE]\n\n"]
    put(tmp_path, "openai/case", **answered(chunks=[{"after_ms": 30, "data": piece.decode()} for piece in pieces]))
    async with tapped(tmp_path, pace="realistic") as rig:
        url = rig.tap.url + CHAT
        async with rig.session.post(url, data=orjson.dumps(chat("recorded", stream=True))) as response:
            got = [chunk async for chunk in response.content.iter_any()]
    assert got == pieces


async def test_headers_of_a_connection_are_written_anew(tmp_path: Path) -> None:
    recorded = {
        "content-type": "application/json", "content-length": "3", "content-encoding": "gzip", "connection": "close",
        "transfer-encoding": "chunked", "keep-alive": "timeout=5", "x-request-id": "req_kept", "x-own": "naïve \t text",
    }  # fmt: skip
    put(tmp_path, "openai/case", **answered(headers=recorded, body='{"id": "x", "choices": []}'))
    async with tapped(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat("recorded", stream=True))
    assert answer.body == b'{"id": "x", "choices": []}'
    assert answer.headers["content-length"] == str(len(answer.body))
    assert {"content-encoding", "transfer-encoding", "keep-alive"}.isdisjoint(answer.headers)
    assert answer.headers["x-request-id"] == "req_kept"


async def test_a_recording_cannot_write_headers_of_its_own(tmp_path: Path) -> None:
    put(
        tmp_path,
        "openai/case",
        **answered(headers={"x-a": "1\r\nset-cookie: stolen\r\n\r\nbody", "x-b": "2"}, body="{}"),
    )
    async with tapped(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat("recorded", stream=True))
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-b"] == "2"
    assert answer.body == b"{}"


async def test_what_a_recording_lacks_is_completed(tmp_path: Path) -> None:
    put(tmp_path, "openai/case", **answered(headers={}, body=BODY))
    async with tapped(tmp_path) as rig:
        answer = await rig.ask(CHAT, chat("recorded", stream=True))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-request-id"].startswith("req_")


async def test_a_recorded_failure_fails_as_it_did(tmp_path: Path) -> None:
    put(tmp_path, "openai/cut", **answered(chunks=[{"data": "data: {}\n\n"}]), error="connection_reset")
    refused = answered()
    refused["request"]["body"] = chat("refused")
    put(tmp_path, "openai/refused", **{**refused, "response": None}, error="connection_reset")
    async with tapped(tmp_path) as rig:
        body = orjson.dumps(chat("recorded", stream=True))
        async with rig.session.post(rig.tap.url + CHAT, data=body) as response:
            assert await response.content.readany() == b"data: {}\n\n"
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.content.read()
        with pytest.raises(aiohttp.ClientError, match="reset"):
            await rig.ask(CHAT, chat("refused"))
        assert [entry["status"] for entry in await rig.journal()] == [200, None]


async def test_a_recorded_silence_lasts_until_the_client_leaves(tmp_path: Path) -> None:
    silent = answered()
    put(tmp_path, "openai/silent", **{**silent, "response": None}, error="timeout")
    async with tapped(tmp_path) as rig:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await rig.ask(CHAT, chat("recorded", stream=True))
        entry = await rig.ended()
        assert (entry["status"], entry["hint"]) == (None, "the client left before the end")


async def test_sequences_take_their_turns_and_reset_begins_anew(tmp_path: Path) -> None:
    for turn in (1, 2):
        put(tmp_path, f"openai/turn-{turn}", **answered(body=f'{{"turn": {turn}}}'), sequence=turn)
    async with tapped(tmp_path) as rig:

        async def turn() -> int:
            return int((await rig.ask(CHAT, chat("recorded", stream=True))).json["turn"])

        assert [await turn(), await turn(), await turn()] == [1, 2, 2]
        await rig.ask("/__wiretap/reset", b"", method="POST")
        assert await turn() == 1


# --- what is wrong ------------------------------------------------------------------------------------------------


async def test_a_broken_recording_is_named_at_the_start_and_the_rest_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, "openai/good", **answered(body="{}"))
    put(tmp_path, "openai/bad", **{**answered(), "response": {"status": "fine"}})
    (tmp_path / "openai" / "worse.json").write_text('{"version": 1,\n "provider": "openai"\n "api"}')
    async with tapped(tmp_path) as rig:
        assert rig.tap.fixtures == 1
        assert (await rig.ask(CHAT, chat("recorded", stream=True))).body == b"{}"
        journal = await rig.journal()
        health = (await rig.ask("/__wiretap/health")).json
        await rig.ask("/__wiretap/reset", b"", method="POST")
        assert len(await rig.journal()) == 2
    problems = [entry["hint"] for entry in journal if entry["method"] is None]
    assert health["left_out"] == problems
    assert len(problems) == 2
    assert "bad.json, line 1: response.status is 'fine'" in problems[0]
    assert "worse.json" in problems[1]
    assert "line 3" in problems[1]
    assert sum("a recording is left out" in record.message for record in caplog.records) == 2


async def test_without_the_writer_a_miss_names_the_nearest_and_the_first_difference(tmp_path: Path) -> None:
    put(tmp_path, "openai/near", **answered(body="{}"))
    async with tapped(tmp_path, fixtures_only=True) as rig:
        answer = await rig.ask(CHAT, chat("recorded", stream=True, temperature=0.5))
        (entry,) = await rig.journal()
        other = await rig.ask("/anthropic/v1/messages", chat(max_tokens=9))
    assert answer.status == 404
    message = answer.json["error"]["message"]
    assert "the nearest is openai/near.json, which differs first at temperature: absent there, 0.5 here" in message
    assert entry["hint"] == message
    assert answer.headers["x-wiretap-hint"] == message
    assert (other.status, other.json["error"]["type"]) == (404, "not_found_error")
    assert "there is none of this provider" in other.json["error"]["message"]


async def test_the_packaged_recordings_answer_by_default() -> None:
    async with tapped(packaged=True) as rig:
        assert rig.tap.fixtures > 10
        assert rig.tap.problems == {}
