"""The gateway served out of the screen: other programs' requests are seen, and broken under."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from textual.pilot import Pilot

from providers.faults import parse_fault
from sandbox.server.admin import AdminServer
from sandbox.tui.application import SandboxApp
from tests.tui.conftest import Make
from tests.tui.support import NARROW, WIDE, asked, notice, ready, screen_text, sees, until

Ask = Callable[..., Any]


def open_server(runtime: Any, *, host: str, port: int) -> AdminServer:
    return AdminServer(runtime, host=host, port=port)


async def served(pilot: Pilot[None]) -> str:
    """Start the server by its key, close the dialog; returns its address."""
    app: Any = pilot.app
    await ready(pilot)
    app.state.server_port = 0
    await pilot.press("ctrl+g")
    await sees(pilot, "listening on http://127.0.0.1:")
    await pilot.press("escape")
    return str(app.served.url)


async def ask(http: aiohttp.ClientSession, url: str, prompt: str, **headers: str) -> str:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]}
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        return str((await response.json())["choices"][0]["message"]["content"])


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_outside_traffic_appears_in_story_history_and_bar(
    make: Make, http: aiohttp.ClientSession, size: tuple[int, int]
) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=size) as pilot:
        url = await served(pilot)
        answer = await ask(http, url, "What does a retry cost?", **{"x-sandbox-tenant": "acme"})
        await sees(pilot, answer.split("\n")[0][:20], f":{url.rpartition(':')[2]} · 1"[:6])
        assert app.room.answer.text == answer  # type: ignore[attr-defined]
        await sees(pilot, "from outside, chat.completions")
        await pilot.press("alt+t")
        await sees(pilot, "» What does a retry cost?")
        await until(pilot, lambda: app.frame.spent, "what it cost")
        entry = app.state.history[-1]
        assert (entry.outside, entry.status, entry.mode) == (True, "done", "mock")


async def test_faults_provoked_by_hand_act_on_outside_traffic(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        app.engine.provoke("azure_openai", parse_fault("503"))
        await until(pilot, lambda: app.board.broken, "the fault")
        await ask(http, url, "Are you there?")
        await until(pilot, lambda: app.visitors.counts.failed_over == 1, "the failover")
        await sees(pilot, "503 unavailable", "↷1")
        await pilot.press("ctrl+g")
        await sees(pilot, "1 failed over")


async def test_the_users_own_question_stays_until_asked_to_watch(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        await asked(pilot, "mine")
        await ask(http, url, "theirs")
        await sees(pilot, "» theirs")
        talk = app.room.talk  # type: ignore[attr-defined]
        assert talk.shown.entry.prompt == "mine"
        await pilot.press("w")
        await until(pilot, lambda: talk.shown.entry.prompt == "theirs", "what another program asked")


async def test_addresses_are_copied_and_stopping_stops(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=NARROW) as pilot:
        url = await served(pilot)
        await pilot.press("ctrl+g", "y")
        assert f"export OPENAI_BASE_URL={url}/v1\n" in app.clipboard
        await pilot.press("s")
        await until(pilot, lambda: app.served is not None and not app.served.url, "the end of the server")
        await sees(pilot, "s start")
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(http, url, "Anybody?")
        # Where it was before it is proposed again.
        await pilot.press("s")
        await sees(pilot, f"listening on {url}")


async def test_a_port_that_is_taken_is_said_and_another_can_be_typed(make: Make) -> None:
    app = make(open_server=open_server)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with app.run_test(size=NARROW) as pilot:
            await ready(pilot)
            app.state.server_port = port
            await pilot.press("ctrl+g")
            await sees(pilot, f"port {port} is taken")
            box = app.screen.query_one("#port")
            await until(pilot, lambda: box.has_focus, "the cursor in the port")
            await pilot.press(*["backspace"] * 5, "0", "enter")
            await sees(pilot, "listening on http://127.0.0.1:")


async def test_it_goes_on_over_another_runtime(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        app.engine.reopen(app.engine.settings.model_copy(update={"preset": "happyos"}))
        await until(pilot, lambda: app.frame.preset == "happyos", "the other preset")
        await until(pilot, lambda: app.served is not None and app.served.url == url, "the same address")
        assert await ask(http, url, "Still there?")


async def test_quitting_ends_what_is_under_way_and_says_so_to_its_caller(
    make: Make, http: aiohttp.ClientSession
) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=NARROW) as pilot:
        url = await served(pilot)
        app.engine.provoke("azure_openai", parse_fault("stream_stall:2"))
        await until(pilot, lambda: app.board.broken, "the fault")
        body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "A long one, please"}]}
        async with http.post(f"{url}/v1/chat/completions", json=body) as response:
            await response.content.readline()
            closing = asyncio.get_running_loop().run_in_executor(None, app.engine.close)
            rest = (await response.content.read()).decode()
        await closing
        assert "shutting down" in rest
        assert "[DONE]" not in rest
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(http, url, "Anybody?")


async def test_a_process_without_a_server_says_so(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+g")
        await sees(pilot, "without a server")
        await pilot.press("escape")
        assert "Traceback" not in screen_text(app) + notice(app)
        assert isinstance(app, SandboxApp)
