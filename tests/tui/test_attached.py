"""The screen on a gateway elsewhere: what happens there is seen, what is asked goes there, and what is gone is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from providers.errors import AuthenticationError, ConnectionFailedError, InputError, PermissionDeniedError
from providers.faults import Fault, parse_fault
from sandbox.server.admin import AdminServer, watching
from sandbox.tui.attached import engine as attached_engine
from sandbox.tui.attached.client import gateway_address
from sandbox.tui.attached.probe import admitted, is_private
from tests.sandbox.server.admin.support import ADMIN_KEY, CALLERS, CHAT_KEY, administered
from tests.sandbox.server.gateway.support import CHAT, Rig, chat
from tests.tui.support import NARROW, WIDE, asked, notice, screen_text, sees, until


@asynccontextmanager
async def shown(
    tmp_path: Path, screens: Any, size: tuple[int, int] = WIDE, **changes: Any
) -> AsyncIterator[tuple[Rig, Any, Any]]:
    """A gateway, a screen that is attached to it, and its pilot."""
    async with administered(tmp_path / "gateway", **CALLERS, **changes) as rig:
        app = screens(rig.server.url)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app._opened and app.query("#rows"), "the gateway")
            yield rig, app, pilot
            # The screen goes first: a server that ends says so to whoever listens.
            await asyncio.to_thread(app.engine.close)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_traffic_there_is_seen_here(tmp_path: Path, screens: Any, size: tuple[int, int]) -> None:
    async with shown(tmp_path, screens, size) as (rig, app, pilot):
        answer = await rig.ask(CHAT, chat("gpt-4o"))
        await until(pilot, lambda: app.visitors.counts.requests == 1, "the request")
        await until(pilot, lambda: app.room.answer.text, "the answer")
        assert app.room.answer.text == answer.json["choices"][0]["message"]["content"]
        await sees(pilot, "from outside,", "MOCK")
        if size == WIDE:
            await sees(pilot, f"attached to 127.0.0.1:{rig.server.port} · 1 from outside")


async def test_what_is_asked_here_is_answered_there_and_is_no_visitor(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (rig, app, pilot):
        await asked(pilot, "hello")
        [entry] = app.state.history
        assert (entry.outside, entry.status, entry.provider) == (False, "done", "azure_openai")
        assert app.room.answer.text
        assert rig.tally.answered == 1
        assert not app.visitors.counts.requests
        # With a provider of one's choice, the others stand behind it.
        rig.runtime.faults.set("gemini", Fault("http_error", status=503))
        app.room.controls.via = "gemini"
        await asked(pilot, "again")
        entry = app.state.history[-1]
        assert (entry.status, entry.failovers) == ("done", 1)
        assert app.room.talk.shown.story.plan[0].provider == "gemini"


async def test_a_provider_is_broken_and_healed_from_here(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (rig, app, pilot):
        app.engine.provoke("azure_openai", parse_fault("stream_cut:12"))
        await sees(pilot, "azure_openai !cut")
        [fault] = rig.runtime.faults.get("azure_openai")
        assert (fault.kind, fault.after_tokens) == ("stream_cut", 12)
        app.engine.heal()
        await until(pilot, lambda: not app.board.broken, "healing")
        assert not rig.runtime.faults.all()
        app.engine.breaker("openai", "force_open")
        await sees(pilot, "openai held")
        assert rig.runtime.gateway.breaker("openai").snapshot().state == "forced_open"


async def test_what_others_provoke_is_seen_a_little_later(
    tmp_path: Path, screens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached_engine, "LOOK_S", 0.05)
    async with shown(tmp_path, screens) as (rig, app, pilot):
        rig.runtime.faults.set("openai", Fault("http_error", status=503))
        await sees(pilot, "openai !503")
        rig.runtime.use_preset("happyos")
        await until(pilot, lambda: app.frame.preset == "happyos", "the other preset")
        assert list(app.board.lights) == ["bedrock", "openai"]


async def test_a_gateway_that_is_gone_is_said_and_found_again(
    tmp_path: Path, screens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attached_engine, "END_S", 0.1)
    async with shown(tmp_path, screens) as (rig, app, pilot):
        port = rig.server.port
        # It has seen events, by whose ids it asks to go on: the next start knows nothing of them.
        await asked(pilot, "before")
        await rig.server.stop()
        await sees(pilot, f"127.0.0.1:{port} is gone")
        await until(pilot, lambda: "nothing answers" in notice(app) or "has ended" in notice(app), "why")
        await asked(pilot, "anybody")
        assert app.state.history[-1].status == "failed"
        await sees(pilot, "nothing answers at")
        said: list[str] = []
        monkeypatch.setattr(app, "flash", lambda text, kind="done": said.append(text))
        async with AdminServer(rig.runtime, port=port, grace=0.1):
            await sees(pilot, f"attached to 127.0.0.1:{port}")
            missed = "some events of the gateway were missed: what is shown may lack something"
            await until(pilot, lambda: missed in said, "what was missed")
            assert said.index("the gateway is back") < said.index(missed)
            await asked(pilot, "there again")
            assert app.state.history[-1].status == "done"
            await asyncio.to_thread(app.engine.close)


async def test_escape_ends_the_request_there_too(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (rig, app, pilot):
        rig.runtime.faults.set("azure_openai", Fault("stream_stall", after_tokens=2))
        await pilot.press("enter")
        await until(pilot, lambda: app.room.answer.text, "the first words")
        await pilot.press("escape")
        await until(pilot, lambda: app.room.talk.running is None, "the end")
        assert app.state.history[-1].status == "cancelled"
        await until(pilot, lambda: not rig.server.under_way, "the end there")


async def test_what_has_no_verb_is_said_to_be_impossible(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (_, app, pilot):
        app.engine.reopen(app.engine.settings)
        await until(pilot, lambda: "not from an attached screen" in notice(app), "the mode")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: "served already" in notice(app), "the server")
        assert len(app.screen_stack) == 1
        await pilot.press("f3")
        await until(pilot, lambda: app.frame.room == "lab", "the Lab, which needs no gateway")


async def test_no_token_is_on_the_screen_or_in_its_file(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (_, app, pilot):
        await asked(pilot, "hello")
        assert ADMIN_KEY not in screen_text(app)
        await app.action_quit()
    files = [file for file in (tmp_path / "screen").rglob("*") if file.is_file()]
    assert [file.name for file in files if file.name.startswith("tui-state")] == ["tui-state-attached.json"]
    assert all(ADMIN_KEY.encode() not in file.read_bytes() for file in files)


# --- before it opens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("127.0.0.1:4000", "http://127.0.0.1:4000"),
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000"),
        ("http://localhost:4000/v1", "http://localhost:4000"),
        ("https://gateway.example/llm/v1/", "https://gateway.example/llm"),
        ("http://[::1]:4000", "http://[::1]:4000"),
    ],
)
def test_addresses_as_users_write_them(written: str, address: str) -> None:
    assert gateway_address(written) == address


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("ftp://host", "no address"),
        ("http://", "no address"),
        ("http://host:port", "port"),
        ("http://host:99999", "port"),
        ("http://me:secret@host", "other users"),
        ("http://host/?token=secret", "no address"),
    ],
)
def test_what_is_no_address(written: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        gateway_address(written)


def test_a_token_that_others_on_the_way_could_read_is_said() -> None:
    assert is_private("http://127.0.0.1:4000")
    assert is_private("https://gateway.example")
    assert not is_private("http://gateway.example")


async def probed(url: str, token: str | None, *answers: str) -> str | None:
    given = iter(answers)
    ask = (lambda: next(given)) if answers else None
    return await asyncio.to_thread(admitted, url, token, ask)


async def test_who_may_not_watch_is_told_before_the_screen_opens(tmp_path: Path) -> None:
    async with administered(tmp_path, **CALLERS) as rig:
        url = rig.server.url
        assert await probed(url, ADMIN_KEY) == ADMIN_KEY
        assert await probed(url, None, "wrong", ADMIN_KEY) == ADMIN_KEY
        with pytest.raises(AuthenticationError, match="sandbox admin key create"):
            await probed(url, None)
        with pytest.raises(AuthenticationError):
            await probed(url, "wrong", "wrong", "wrong")
        with pytest.raises(PermissionDeniedError, match="scope admin"):
            await probed(url, CHAT_KEY)
    with pytest.raises(ConnectionFailedError, match="nothing answers"):
        await probed(url, ADMIN_KEY)


async def test_what_tells_less_than_a_screen_needs_is_told_before_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def less(*_: Any) -> dict[str, Any]:
        return {"version": "0.0.1", "mode": "mock", "providers": []}

    monkeypatch.setattr(watching, "gateway_state", less)
    async with administered(tmp_path, **CALLERS) as rig:
        with pytest.raises(ConnectionFailedError, match="is of another version than this screen"):
            await probed(rig.server.url, ADMIN_KEY)
