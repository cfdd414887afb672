"""Room 5, driven as a person drives it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from providers.errors import AuthenticationError, ConfigError
from providers.faults import parse_fault
from sandbox.desks import places
from sandbox.settings.loading import Loaded
from sandbox.settings.model import Settings
from sandbox.tui.application import SandboxApp
from sandbox.tui.dialogs import Chooser, Confirm, Reader
from sandbox.tui.health.dialog import SwitchDialog
from sandbox.tui.health.room import HealthRoom
from sandbox.tui.plain import TABLE
from tests.dynamo import servers
from tests.dynamo.stores import made as made_table
from tests.redis_server import PASSWORD, RedisServer
from tests.tui.support import (
    NARROW,
    WIDE,
    MovedClock,
    ScriptedRuntime,
    asked,
    notice,
    ready,
    screen_text,
    sees,
    settings,
    until,
)

Make = Callable[..., SandboxApp]


class Scene(ScriptedRuntime):
    """What the room asks of a runtime beside its gateway."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.recorder = SimpleNamespace(armed=0)
        self.settings = Settings()
        self.backends = {"cache": "off", "usage": "off"}
        self.cache = None

    async def store_health(self) -> list[Any]:
        return []

    async def shared_health(self) -> None:
        return None


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Make]:
    """Applications over providers that follow a script; `app.runtime` is theirs."""
    made: list[SandboxApp] = []

    def build(scripts: dict[str, list[Any]], **changes: Any) -> SandboxApp:
        async def opener(chosen: Any, clock: Any) -> Any:
            app.runtime = Scene(clock, scripts, mode=chosen.mode)
            return app.runtime

        app: Any = SandboxApp(settings(tmp_path, **changes), clock=MovedClock(), opener=opener)
        made.append(app)
        return app  # type: ignore[no-any-return]

    yield build
    for app in made:
        app.engine.close()


async def entered(pilot: Pilot[None]) -> HealthRoom:
    """Go to the room and wait until it shows something."""
    await pilot.press("f5")
    app: Any = pilot.app
    await until(pilot, lambda: isinstance(app.room, HealthRoom) and app.room.entry is not None, "the room")
    await pilot.pause()
    room: HealthRoom = app.room
    return room


def breaker(app: Any, id: str) -> Any:
    return app.engine._runtime.gateway.breaker(id)


async def dialog(pilot: Pilot[None], kind: type[Any]) -> Any:
    await until(pilot, lambda: isinstance(pilot.app.screen, kind), f"a {kind.__name__}")
    await pilot.pause()
    return pilot.app.screen


# --- what is shown --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, (100, 30), WIDE])
async def test_a_newcomer_sees_everybody_checked_without_pressing_anything(make: Make, size: tuple[int, int]) -> None:
    app = make(chain=["openai", "bedrock"])
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await sees(pilot, "monitor on", "2 of 2 in rotation", "openai", "bedrock", "cache", "usage records", "● closed")
        await until(pilot, lambda: room.visits.seen and room.visits.seen.round_us, "a round")
        await sees(pilot, "✓ ~", "100 %", "~ simulated", "reachable, authenticated, fast enough")
        assert ("╭─ bedrock" in screen_text(app)) is (size == WIDE), "cards where there is room for them, else a list"


async def test_an_outage_is_seen_while_it_goes_on(make: Make) -> None:
    app = make(chain=["openai", "bedrock"])
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        app.engine.provoke("openai", parse_fault("503"))
        for number in range(5):
            await asked(pilot, f"question {number}")
        await entered(pilot)
        await sees(pilot, "!503", "5 failures within 60 s", "5 · 5 failed", "✗", "HTTP 503", "closed → open")
        assert "○ open · " in screen_text(app)
        app.clock.ahead += 31  # type: ignore[attr-defined]
        await sees(pilot, "○ open · probe next")


async def test_requests_show_while_the_room_is_open_and_many_looks_become_one(make: Make) -> None:
    app = make(chain=["openai"])
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        looks = 0
        errand = app.engine.errand

        def counted(job: Any) -> None:
            nonlocal looks
            looks += "ward" in getattr(getattr(job, "func", None), "__module__", "")
            errand(job)

        app.engine.errand = counted  # type: ignore[method-assign]
        from sandbox.tui.reports import Ask

        for number in range(40):
            app.engine.submit(Ask(f"question {number}", no_cache=True))
        await sees(pilot, "40 · 0 failed")
        assert looks < 40
        assert room.provider == "openai"


async def test_a_gateway_that_cannot_be_opened(tmp_path: Path) -> None:
    async def opener(chosen: Any, clock: Any) -> Any:
        raise ConfigError("providers.openai.base_url is 'x': no address")

    app = SandboxApp(settings(tmp_path), clock=MovedClock(), opener=opener)
    try:
        async with app.run_test(size=NARROW) as pilot:
            await pilot.press("f5")
            await sees(pilot, "The gateway could not be opened", "no address", "L chooses another mode")
            await pilot.press("v", "w", "b")
            assert "not possible now" in notice(app)
    finally:
        app.engine.close()


# --- breakers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "state", "word"),
    [("o", "forced_open", "held open"), ("c", "forced_closed", "held closed"), ("d", "disabled", "unguarded")],
)
async def test_a_breaker_is_held_and_reset(scene: Make, key: str, state: str, word: str) -> None:
    app = scene({"openai": ["one"], "bedrock": ["two"]})
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("l", key)
        await sees(pilot, word)
        assert breaker(app, "bedrock").state == state
        assert breaker(app, "openai").state == "closed", "only the card that is chosen"
        await pilot.press("r")
        await sees(pilot, f"{word} → closed")
        assert breaker(app, "bedrock").state == "closed"


async def test_a_provider_whose_key_is_refused_goes_out_and_comes_back(scene: Make) -> None:
    app = scene({"openai": [AuthenticationError("no such key", status=401), "well"], "bedrock": ["two"]})
    app.state.health_watch = False
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("v")
        await sees(pilot, "⊘ disabled", "no such key", "key refused", "1 of 2 in rotation")
        await pilot.press("e")
        await sees(pilot, "2 of 2 in rotation", "in rotation again")
        assert "openai is well" in notice(app)


# --- checks and the monitor -----------------------------------------------------------------------------------------


async def test_a_check_that_hangs_is_left_with_escape(scene: Make) -> None:
    app = scene({"openai": [(60.0, "late")], "bedrock": ["two"]})
    app.state.health_watch = False
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("V")
        await sees(pilot, "asking 1 · Esc stops", "asking …")
        await pilot.press("escape")
        await until(pilot, lambda: not room.asking, "the end")
        await sees(pilot, "not yet: v asks", "bedrock is well")


async def test_where_checks_cost_money_somebody_is_asked_first_and_once(scene: Make) -> None:
    app: Any = scene({"openai": ["one"], "bedrock": ["two"]}, mode="live")
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        providers = [one.provider for one in app.runtime.gateway.registry]
        await sees(pilot, "monitor off")
        await pilot.press("v")
        await dialog(pilot, Confirm)
        await sees(pilot, "for real money", "gpt-4", "once in a session")
        await pilot.press("n")
        await until(pilot, lambda: "nobody was asked" in notice(app), "the word")
        assert not providers[0].requests
        await pilot.press("v")
        await dialog(pilot, Confirm)
        await pilot.press("y")
        await until(pilot, lambda: len(providers[0].requests) == 1, "the check")
        await until(pilot, lambda: "openai is well" in notice(app), "what came of it")
        await pilot.press("v")
        await until(pilot, lambda: len(providers[0].requests) == 2, "the second check")
        assert not isinstance(app.screen, Confirm)
        await pilot.press("w")
        await dialog(pilot, Confirm)
        await sees(pilot, "an hour")
        assert not app.engine.watchman.running
        await pilot.press("y")
        await sees(pilot, "monitor on")
        await until(pilot, lambda: len(providers[1].requests) == 1, "a round")


async def test_a_monitor_that_was_stopped_stays_so(make: Make) -> None:
    app = make(chain=["openai"])
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "monitor on")
        await pilot.press("w")
        await sees(pilot, "monitor off")
        await pilot.press("f1", "escape", "f3")
        await until(pilot, lambda: app.frame.room == "lab")
        await pilot.press("f5")
        await sees(pilot, "monitor off")
        await pilot.press("ctrl+q")
    app.engine.close()
    later = make(chain=["openai"])
    async with later.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(later.room, HealthRoom) and later.room.entry, "the same room")
        await sees(pilot, "monitor off")
        assert not later.engine.watchman.running
        await pilot.press("w")
        await sees(pilot, "monitor on")


# --- the switch -----------------------------------------------------------------------------------------------------


async def chosen_switch(pilot: Pilot[None], value: str) -> SwitchDialog:
    await until(pilot, lambda: pilot.app.room.visits.kept, "the stores")  # type: ignore[attr-defined]
    await pilot.press("b")
    chooser = await dialog(pilot, Chooser)
    chooser.dismiss(value)
    found: SwitchDialog = await dialog(pilot, SwitchDialog)
    return found


async def test_a_switch_that_cannot_be_names_what_to_set_and_changes_nothing(make: Make) -> None:
    app = make(chain=["openai"])
    async with app.run_test(size=NARROW) as pilot:
        await entered(pilot)
        found = await chosen_switch(pilot, "aws")
        await until(pilot, lambda: found.switching.stage == "refused", "the refusal")
        await sees(pilot, "✗ cache → redis", "cache.endpoint_url", "nothing was changed", "r try again", "--mode")
        await pilot.press("w", "enter")
        await until(pilot, lambda: not isinstance(app.screen, SwitchDialog), "the way back")
        assert app.engine._runtime is not None
        assert app.engine._runtime.backends == {"cache": "disk", "usage": "sqlite"}
        await sees(pilot, "disk")


@pytest.fixture
def on_aws(tmp_path: Path, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings that name servers for both parts, and use neither."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    url = servers.moto()
    return {
        "chain": ["openai"],
        "cache": {"endpoint_url": redis_server.address, "timeout": 2},
        "usage": {"endpoint_url": url, "table": made_table(url, tmp_path)},
        "aws": {"region": "eu-north-1"},
    }


async def test_the_switch_to_aws_and_back(make: Make, on_aws: dict[str, Any], tmp_path: Path) -> None:
    app = make(**on_aws)
    file = tmp_path / "config.toml"
    app.loaded = Loaded(app.settings, {}, file)
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        found = await chosen_switch(pilot, "aws")
        await until(pilot, lambda: found.switching.stage == "ready", "both tried out")
        await sees(pilot, "✓ cache → redis · as default", "✓ usage records → dynamodb", "w writes it into")
        assert app.engine._runtime is not None
        assert app.engine._runtime.backends["cache"] == "disk", "nothing before it is agreed to"
        await pilot.press("w")
        await until(pilot, lambda: found.switching.stage == "done", "the switch")
        assert 'backend = "aws"' in file.read_text()
        assert app.engine.settings.usage.backend == "dynamodb", "what is opened next knows it"
        await pilot.press("enter")
        await sees(pilot, "cache redis", "usage records dynamodb")
        await pilot.press("f1", "escape", "f1")
        await pilot.press("escape", "f2", "f5", "G")
        await sees(pilot, "spool", "table ")
        assert room.entry is not None
        assert room.entry.id == "usage"

        found = await chosen_switch(pilot, "local usage")
        await until(pilot, lambda: found.switching.stage == "ready", "one tried out")
        assert set(found.switching.backends) == {"usage"}
        await pilot.press("enter")
        await until(pilot, lambda: found.switching.stage == "done", "the switch back")
        await pilot.press("escape")
        await sees(pilot, "usage records sqlite", "cache redis")
        assert 'backend = "aws"' in file.read_text(), "only what is asked for is written"


async def test_a_switch_is_left_before_it_began(make: Make, on_aws: dict[str, Any]) -> None:
    app = make(**on_aws)
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await chosen_switch(pilot, "aws cache")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SwitchDialog), "the way back")
        assert room._switching is None
        await pilot.press("b")
        await dialog(pilot, Chooser)
        assert app.engine._runtime is not None
        assert app.engine._runtime.backends["cache"] == "disk"


async def test_a_switch_that_is_left_under_way_goes_on_and_tells_its_end(
    make: Make, on_aws: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go, move = threading.Event(), places.move

    async def slowly(*arguments: Any) -> None:
        await asyncio.to_thread(may_go.wait, 10)
        await move(*arguments)

    monkeypatch.setattr(places, "move", slowly)
    app = make(**on_aws)
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        found = await chosen_switch(pilot, "aws cache")
        await until(pilot, lambda: found.switching.stage == "ready", "the trial")
        await pilot.press("enter")
        await sees(pilot, "moving", "Esc goes on behind")
        await pilot.press("escape", "b")
        assert "a switch is under way" in notice(app)
        may_go.set()
        await until(pilot, lambda: "cache on redis, until this program ends" in notice(app), "the end")
        assert room._switching is None
        assert app.engine._runtime is not None
        assert app.engine._runtime.backends == {"cache": "redis", "usage": "sqlite"}


async def test_what_is_shared_has_a_card_and_says_when_it_is_not(
    make: Make, start_redis: Callable[..., RedisServer]
) -> None:
    server = start_redis(user="app")
    cache = {"timeout": 2, "username": "app", "password": PASSWORD, "endpoint_url": server.address}
    app = make(chain=["openai"], shared={"state": "redis"}, cache=cache)
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "shared state redis", server.address)
        await pilot.press("G")
        await sees(pilot, "the same for all processes of that server")
        server.stop()
        await sees(pilot, "○ alone", "breakers and budgets of its own")
        assert PASSWORD not in screen_text(app)


# --- moving, filtering, reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_one_moves_through_cards_and_rows_alike(make: Make, size: tuple[int, int]) -> None:
    app = make(chain=["openai", "bedrock", "ollama"])
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await until(pilot, lambda: room.visits.kept, "the stores")
        await pilot.pause(0.2)

        def at() -> str:
            return room.entry.id if room.entry is not None else ""

        assert at() == "openai"
        await pilot.press("G")
        assert at() == "usage"
        await pilot.press("g", "l")
        assert at() == "bedrock"
        await pilot.press("j")
        assert at() == ("ollama" if size == NARROW else "usage")
        await pilot.press("k", "h")
        assert at() == "openai"


async def test_the_filter_and_what_is_looked_at_survive(make: Make) -> None:
    app = make(chain=["openai", "bedrock", "ollama"])
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("slash", *"provider", "space", "o", "enter", "j", "l", "s")
        await until(pilot, lambda: len(room.pane.entries) >= 2 and room.entry.id != "openai", "another one")  # type: ignore[union-attr]
        assert "usage records" not in screen_text(app)
        kept = room.pane.selected
        await pilot.press("ctrl+q")
    app.engine.close()
    later = make(chain=["openai", "bedrock", "ollama"])
    async with later.run_test(size=WIDE) as pilot:
        await until(pilot, lambda: isinstance(later.room, HealthRoom) and later.room.entry, "the same room")
        room = later.room  # type: ignore[assignment]
        assert room.pane.selected == kept
        assert room.visits.span == "15 min"
        await pilot.press("slash", "escape")
        await sees(pilot, "usage records")
        await pilot.press("slash", *"zzz", "enter")
        await sees(pilot, "Nothing holds 'zzz'", "Escape takes the filter away", "Nothing is chosen")
        await pilot.press("escape")
        await sees(pilot, "usage records", "openai")


async def test_all_about_one_is_read_and_copied(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make(chain=["openai"])
    copied: list[str] = []
    async with app.run_test(size=NARROW) as pilot:
        monkeypatch.setattr(app, "copy_to_clipboard", copied.append)
        await entered(pilot)
        await sees(pilot, "✓ ~")
        await pilot.press("y")
        assert "breaker" in copied[0]
        await pilot.press("enter")
        await dialog(pilot, Reader)
        await sees(pilot, "fast enough", "opens for 30 s")
        await pilot.press("escape")


async def test_plain_characters_do(make: Make) -> None:
    app = make(chain=["openai", "bedrock"], ui={"ascii": True})
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await sees(pilot, "~ simulated", "+ ~")
        drawn = screen_text(app).translate(TABLE)
        assert drawn.isascii(), sorted({letter for letter in drawn if not letter.isascii()})
        assert "#" in drawn
