"""Starting, stopping, and what becomes of what is under way; memory over many requests."""

from __future__ import annotations

import asyncio
import gc
import itertools

import aiohttp
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from sandbox.runtime import Runtime
from sandbox.server.gateway import GatewayServer
from sandbox.serving import ServerControl
from tests.sandbox.server.gateway.support import CHAT, MESSAGES, QUICK, chat, over_wiretap, served, settings, texts
from tests.sandbox.server.gateway.test_streams import ends_badly, until


async def test_it_starts_and_stops_as_often_as_anybody_likes(tmp_path):
    async with Runtime.of(settings(tmp_path)) as runtime, aiohttp.ClientSession() as session:
        control: ServerControl = GatewayServer(runtime, port=0)
        for _ in range(2):
            assert not control.running
            await control.start()
            await control.start()
            assert control.running
            url = control.url
            assert dict(control.clients)["OPENAI_BASE_URL"] == f"{url}/v1"
            async with session.get(f"{url}/healthz") as response:
                assert response.status == 200
            await control.stop()
            await control.stop()
            assert not control.running
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{url}/healthz")


async def test_no_request_waits_for_a_connection_while_others_hold_theirs(tmp_path):
    together = asyncio.Barrier(150)
    answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}

    async def upstream(request: web.BaseRequest) -> web.Response:
        await request.read()
        async with asyncio.timeout(20):
            await together.wait()
        return web.json_response(answer)

    async with (
        RawTestServer(upstream) as behind,
        served(tmp_path, **over_wiretap(str(behind.make_url("")).rstrip("/")), **QUICK) as rig,
    ):
        answers = await asyncio.gather(*(rig.ask(CHAT, chat(str(number))) for number in range(together.parties)))
    assert {one.status for one in answers} == {200}


async def test_an_address_in_use_is_said(tmp_path):
    async with served(tmp_path) as rig:
        second = GatewayServer(rig.runtime, port=rig.server.port)
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert not second.running


async def test_a_preset_that_is_changed_while_it_runs_answers_from_then_on(tmp_path):
    async with served(tmp_path) as rig:
        assert (await rig.ask(CHAT, chat())).headers["x-sandbox-provider"] == "azure_openai"
        rig.runtime.use_preset("happyos")
        assert (await rig.ask(CHAT, chat())).headers["x-sandbox-provider"] in ("bedrock", "openai")


async def test_what_is_under_way_may_end(tmp_path):
    async with served(tmp_path, chain=["openai"], server={"grace": 5}) as rig:
        rig.fail("openai", "latency:150ms")
        whole = asyncio.ensure_future(rig.ask(CHAT, chat()))
        stream = asyncio.ensure_future(rig.stream(chat()))
        await until(lambda: rig.server.under_way == 2)
        await rig.server.stop()
        assert (await whole).status == 200
        assert (await stream)[1][-2] == b"data: [DONE]"
        assert rig.tally.answered == 2


async def test_what_does_not_end_in_time_is_ended_with_a_word(tmp_path):
    async with served(tmp_path, chain=["openai"], **QUICK, server={"grace": 0.05}) as rig:
        rig.fail("openai", "stream_stall:3")
        stream = asyncio.ensure_future(rig.stream(chat()))
        anthropic = asyncio.ensure_future(rig.stream(chat(max_tokens=99), MESSAGES))
        await until(lambda: rig.server.under_way == 2)
        rig.fail("openai", "hang")
        whole = asyncio.ensure_future(rig.ask(CHAT, chat()))
        await until(lambda: rig.server.under_way == 3)
        await rig.server.stop()
        answer, events = await stream
        assert (answer.status, bool(texts(events))) == (200, True)
        ends_badly(events)
        assert b"shutting down" in events[-2]
        assert (await anthropic)[1][-2].startswith(b"event: error")
        refused = await whole
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert rig.tally.cancelled == 3


async def test_while_it_ends_nobody_else_is_taken(tmp_path):
    async with served(tmp_path, chain=["openai"], server={"grace": 5}) as rig:
        rig.fail("openai", "latency:200ms")
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as kept:
            async with kept.get(f"{rig.server.url}/healthz") as response:
                assert response.status == 200
            slow = asyncio.ensure_future(rig.ask(CHAT, chat()))
            await until(lambda: rig.server.under_way == 1)
            stopping = asyncio.ensure_future(rig.server.stop())
            await until(lambda: rig.service.draining)
            # A connection that is kept alive is not a way around it.
            async with kept.post(rig.server.url + CHAT, json=chat()) as response:
                assert response.status == 503
                assert response.headers["connection"] == "close"
            assert (await slow).status == 200
            await stopping


async def test_impatience_ends_it_at_once(tmp_path):
    async with served(tmp_path, chain=["openai"], **QUICK, server={"grace": 60}) as rig:
        rig.fail("openai", "hang")
        asking = asyncio.ensure_future(rig.ask(CHAT, chat()))
        await until(lambda: rig.server.under_way == 1)
        stopping = asyncio.ensure_future(rig.server.stop())
        await until(lambda: rig.service.draining)
        stopping.cancel()
        await asyncio.wait({stopping})
        assert (await asking).status == 503


async def test_a_middleware_may_refuse_and_paths_may_be_added(tmp_path):
    @web.middleware
    async def refusing(request, handler):
        if request.headers.get("authorization") != "Bearer right":
            raise web.HTTPUnauthorized(reason="who are you?")
        return await handler(request)

    async def extra(request):
        return web.json_response({"extra": True})

    options = {"middlewares": [refusing], "extend": lambda app: app.router.add_get("/api/extra", extra)}
    async with served(tmp_path, server=options) as rig:
        refused = await rig.ask(CHAT, chat())
        assert (refused.status, refused.json["error"]["message"]) == (401, "who are you?")
        right = {"authorization": "Bearer right"}
        assert (await rig.ask(CHAT, chat(), headers=right)).status == 200
        assert (await rig.ask("/api/extra", headers=right)).json == {"extra": True}


async def test_many_streams_at_once_lose_nothing(tmp_path):
    async with served(tmp_path) as rig:
        answers = await asyncio.gather(*(rig.stream(chat(f"question {n}")) for n in range(100)))
        assert all(events[-2] == b"data: [DONE]" for _, events in answers)
        assert len({answer.headers["x-sandbox-request-id"] for answer, _ in answers}) == 100
        assert rig.tally.answered == 100


async def test_memory_stays_where_it_is(tmp_path):
    async with served(tmp_path, chain=["openai"]) as rig:
        connector = aiohttp.TCPConnector(limit=4)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def ask(number: int) -> None:
                body = orjson.dumps(chat(f"question {number}", stream=bool(number % 2)))
                headers = {"x-sandbox-tenant": f"t{number % 5}"}
                if number % 20 == 19:
                    body = b'{"model": "unheard-of-%d", "messages": [{"role": "user", "content": "x"}]}' % number
                async with session.post(rig.server.url + CHAT, data=body, headers=headers) as response:
                    await response.read()

            async def rounds(first: int, count: int) -> int:
                for number in range(first, first + count):
                    await ask(number)
                gc.collect()
                return len(gc.get_objects())

            sizes = [await rounds(first, 200) for first in range(0, 1_000, 200)]
            grown = [after - before for before, after in itertools.pairwise(sizes)]
            # What a request leaves behind, every window shows; what else lives in this process comes and goes in one.
            assert min(grown) < 200
