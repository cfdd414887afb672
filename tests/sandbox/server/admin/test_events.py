"""Listening to the events of a server: in order, from where one was, with a note of what was missed, and no texts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from sandbox.core.bus import Bus
from sandbox.core.events import UsageRecorded
from sandbox.server.admin import feed as feed_module
from sandbox.server.admin import listening
from sandbox.server.admin.feed import Feed
from sandbox.server.gateway import server as gateway_server
from sandbox.settings import load
from sandbox.settings.editing import put
from tests.fake_clock import MovedClock
from tests.sandbox.server.admin.support import (
    ADMIN_KEY,
    BOSS,
    CALLERS,
    CHAT_KEY,
    administered,
    bearer,
    server_settings,
    token,
)
from tests.sandbox.server.gateway.support import CHAT, PROMPT, Rig, chat, texts

EVENTS = "/api/admin/events"


class Ear:
    """Reads a stream of server-sent events."""

    def __init__(self, content: Any) -> None:
        self._content = content

    async def next(self) -> dict[str, Any]:
        """The next event: its id, its name and its data; a comment is named `:`."""
        told: dict[str, Any] = {"id": None}
        async with asyncio.timeout(10):
            while line := (await self._content.readline()).rstrip(b"\n"):
                name, _, value = line.decode().partition(": ")
                told[name or ":"] = orjson.loads(value) if name == "data" else value
        return told

    async def until(self, name: str) -> list[dict[str, Any]]:
        found = [await self.next()]
        while found[-1].get("event") != name:
            found.append(await self.next())
        return found

    async def ends(self) -> bool:
        async with asyncio.timeout(10):
            return await self._content.read() == b""


@asynccontextmanager
async def listen(rig: Rig, query: str = "", *, by: str = ADMIN_KEY, **headers: str) -> AsyncIterator[Ear]:
    async with rig.session.get(rig.server.url + EVENTS + query, headers={**bearer(by), **headers}) as answer:
        assert (answer.status, answer.content_type) == (200, "text/event-stream")
        ear = Ear(answer.content)
        hello = await ear.next()
        assert (hello["event"], hello["data"]["mode"]) == ("hello", "mock")
        assert hello["data"]["providers"][0] == {
            "id": "azure_openai", "kind": "azure_openai", "model": "gpt-4o-mini", "breaker": "closed"
        }  # fmt: skip
        yield ear


async def test_what_happens_is_told_in_order(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig, listen(rig) as one, listen(rig) as other:
        rig.fail("azure_openai", "http_error:503")
        await rig.ask(CHAT, chat())
        told = await one.until("RequestCompleted")
        assert [e["event"] for e in told if "Attempt" in e["event"]] == [
            "AttemptStarted", "AttemptFailed", "AttemptStarted", "AttemptFailed", "AttemptStarted", "AttemptSucceeded"
        ]  # fmt: skip
        numbers = [int(e["id"].partition("-")[2]) for e in told]
        assert numbers == list(range(numbers[0], numbers[0] + len(told)))
        assert [e["data"] for e in await other.until("RequestCompleted")] == [e["data"] for e in told]


async def test_texts_are_for_those_who_ask_for_them(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig, listen(rig) as plain, listen(rig, "?texts=true") as curious:
        _, streamed = await rig.stream(chat())
        told = str(await plain.until("RequestCompleted"))
        assert PROMPT not in told
        assert "ChunkReceived" not in told
        with_texts = await curious.until("RequestCompleted")
        said = "".join(e["data"]["text"] for e in with_texts if e["event"] == "ChunkReceived")
        assert said == texts(streamed)
        assert all(e["id"] is None for e in with_texts if e["event"] in ("ChunkReceived", "ClientAsked"))


async def test_who_comes_back_gets_what_happened_meanwhile(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        async with listen(rig) as ear:
            await rig.ask(CHAT, chat())
            last = (await ear.until("RequestCompleted"))[-1]["id"]
        await rig.ask(CHAT, chat("Something else?"))
        async with listen(rig, **{"Last-Event-ID": last}) as ear:
            told = await ear.until("RequestCompleted")
            assert told[0]["event"] == "RequestReceived"
            assert int(told[0]["id"].partition("-")[2]) == int(last.partition("-")[2]) + 1


async def test_what_is_kept_no_more_is_told_as_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_module, "KEPT", 3)
    async with administered(tmp_path, **CALLERS) as rig:
        async with listen(rig) as ear:
            await rig.ask(CHAT, chat())
            told = await ear.until("RequestCompleted")
        async with listen(rig, **{"Last-Event-ID": told[0]["id"]}) as ear:
            first = await ear.next()
            assert first["event"] == "missed"
            assert first["data"] == {"events": int(told[-1]["id"].partition("-")[2]) - 3 - 1}
            assert await ear.until("RequestCompleted") == told[-3:]
        for last in ("other-5", "nonsense", "9999999999999999999"):
            async with listen(rig, **{"Last-Event-ID": last}) as ear:
                first = await ear.next()
                assert (first["event"], first["data"]) == ("missed", {"events": None})


async def test_while_nobody_has_listened_nothing_is_kept(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig:
        await rig.ask(CHAT, chat())
        async with listen(rig) as ear:
            await rig.ask(CHAT, chat("Something else?"))
            assert (await ear.until("RequestCompleted"))[0]["id"].endswith("-1")


def test_a_listener_who_does_not_read_loses_the_oldest_and_is_told_how_many():
    bus = Bus()
    feed = Feed(bus)
    slow = feed.listen(last=None)
    assert slow is not None
    for number in range(feed_module.WAITING + 7):
        bus.publish(UsageRecorded(number, "r", "log"))
    assert slow.missed == 7
    taken = slow.take()
    assert (len(taken), taken[0][0]) == (feed_module.WAITING, 8)
    assert slow.take() == []


async def test_a_silent_stream_shows_that_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "SILENCE", 0.05)
    async with administered(tmp_path, **CALLERS) as rig, listen(rig) as ear:
        assert await ear.next() == {"id": None, ":": "keep-alive"}


async def test_too_many_listeners_are_told_to_come_again(tmp_path, monkeypatch):
    monkeypatch.setattr(feed_module, "MAX_LISTENERS", 1)
    async with administered(tmp_path, **CALLERS) as rig:
        async with listen(rig):
            refused = await rig.ask(EVENTS, headers=BOSS)
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")
        async with asyncio.timeout(10):
            while (await _status(rig)) == 429:
                await asyncio.sleep(0.01)


async def _status(rig: Rig) -> int:
    async with rig.session.get(rig.server.url + EVENTS, headers=BOSS) as answer:
        return answer.status


async def test_a_server_that_ends_lets_its_listeners_go_at_once(tmp_path, monkeypatch):
    # Else it would wait for them as long as for requests that do not end.
    monkeypatch.setattr(gateway_server, "ENDING", 600.0)
    async with administered(tmp_path, **CALLERS) as rig, listen(rig) as ear:
        async with asyncio.timeout(60):
            await rig.server.stop()
        assert await ear.ends()


async def test_a_failure_says_what_it_wasted(tmp_path):
    async with administered(tmp_path, **CALLERS) as rig, listen(rig) as one:
        rig.fail("azure_openai", "stream_cut:5")
        await rig.stream(chat())
        failed = (await one.until("RequestFailed"))[-1]["data"]
        assert float(failed["waste_usd"]) == float(rig.tally.cost_usd) > 0


# --- as long as one may -----------------------------------------------------------------------------------------------


async def until_refused(ear: Ear) -> str:
    told = (await ear.until("refused"))[-1]["data"]["message"]
    assert await ear.ends()
    return str(told)


async def test_who_listens_is_let_go_when_the_token_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "LOOK", 0.05)
    clock = MovedClock()
    async with administered(tmp_path, clock=clock, **CALLERS) as rig:
        async with listen(rig, by=token(seconds=60, clock=clock)) as ear, listen(rig) as other:
            await rig.ask(CHAT, chat())
            assert (await ear.until("RequestCompleted"))[-1]
            clock.ahead += 100
            assert await until_refused(ear) == "the token has expired"
            await rig.ask(CHAT, chat("Something else?"))
            assert [one["event"] for one in await other.until("RequestCompleted")]
        assert (await rig.ask(EVENTS, headers=bearer(token(seconds=1)))).status == 401


async def test_nothing_more_is_told_to_who_may_not_listen_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "LOOK", 5.0)
    clock = MovedClock()
    async with (
        administered(tmp_path, clock=clock, **CALLERS) as rig,
        listen(rig, by=token(seconds=60, clock=clock)) as ear,
    ):
        clock.ahead += 100
        await rig.ask(CHAT, chat())
        assert (await ear.next())["event"] == "refused"
        assert await ear.ends()


async def test_a_key_that_is_taken_back_opens_nothing_and_ends_what_it_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(listening, "LOOK", 0.05)
    file = tmp_path / "config.toml"
    lines = server_settings()["server"]["keys"]

    def write(*kept: str) -> None:
        put(file, ("server", "keys"), f"[{', '.join(map(repr, kept))}]")

    write(*lines)
    server = load(file, environ={}).settings.server
    async with administered(tmp_path, server=server) as rig:
        async with listen(rig) as ear:
            write(*lines[1:])
            assert await until_refused(ear) == "the key is not known here"
        assert (await rig.ask(EVENTS, headers=BOSS)).status == 401
        assert (await rig.ask("/api/admin/costs", headers=bearer(CHAT_KEY))).status == 403
        write(*lines)
        assert (await rig.ask("/api/admin/costs", headers=BOSS)).status == 200
