"""Compare, Costs and Health on a gateway elsewhere: what is seen, done and said is what it would be on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from providers.faults import Fault
from sandbox.comparison.question import Question
from sandbox.desks import books, compare, places, ward
from sandbox.desks.base import RoomReport
from sandbox.server.admin import AdminServer, api
from sandbox.server.admin.operations import OPERATIONS
from sandbox.tui.application import SandboxApp
from sandbox.tui.attached.client import GatewayClient
from sandbox.tui.attached.engine import AttachedEngine
from sandbox.tui.dialogs import Chooser
from sandbox.tui.engine import Engine
from sandbox.tui.reports import Ask, Estimated, Refused, Settled, Unavailable
from tests.sandbox.server.admin.support import ADMIN_KEY, BOSS, CALLERS, CHAT_KEY, administered
from tests.sandbox.server.gateway.support import CHAT, Rig, chat
from tests.tui.support import NARROW, WIDE, notice, screen_text, sees, settings, until

SYNC: dict[str, Any] = {"usage": {"durability": "sync"}}
Screens = Callable[..., SandboxApp]


@asynccontextmanager
async def shown(
    tmp_path: Path, screens: Screens, room: str, size: tuple[int, int] = WIDE, *, requests: int = 0, **changes: Any
) -> AsyncIterator[tuple[Rig, Any, Any]]:
    """A gateway that has answered some requests, a screen attached to it in that room, and its pilot."""
    async with administered(tmp_path / "gateway", **{**CALLERS, **SYNC, **changes}) as rig:
        for number in range(requests):
            await rig.ask(CHAT, chat(f"question {number}"), headers={"x-sandbox-tenant": "acme"})
        app: Any = screens(rig.server.url)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app._opened and app.query("#rows"), "the gateway")
            app.enter(room)
            await until(pilot, lambda: app.frame.room == room, "the room")
            yield rig, app, pilot
            # The screen goes first: a server that ends says so to whoever listens.
            await asyncio.to_thread(app.engine.close)


async def chosen(pilot: Any, key: str, *keys: str) -> None:
    """Press a key that opens a list, and choose there."""
    await pilot.press(key)
    await until(pilot, lambda: isinstance(pilot.app.screen, Chooser), "the list")
    await pilot.press(*keys)
    await until(pilot, lambda: not isinstance(pilot.app.screen, Chooser), "the choice")


# --- one contract for both engines ----------------------------------------------------------------------------------


class Heard:
    """An engine by itself, without a screen, over one runtime: its own, or that of a server elsewhere."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def does(self, job: Any) -> list[Any]:
        """What a work tells, to its end."""
        self._engine.work("w", job)
        told: list[Any] = []
        while not (told and isinstance(told[-1], Settled)):
            if self._engine.outbox:
                told.append(self._engine.outbox.popleft())
            else:
                await asyncio.sleep(0.005)
        return [one for one in told if isinstance(one, (RoomReport, Refused, Unavailable))]

    async def estimated(self, ask: Ask) -> Estimated:
        self._engine.estimate(ask)
        while True:
            if not self._engine.outbox:
                await asyncio.sleep(0.005)
            elif isinstance(told := self._engine.outbox.popleft(), Estimated):
                return told


@asynccontextmanager
async def attached(tmp_path: Path) -> AsyncIterator[Heard]:
    async with administered(tmp_path / "gateway", **CALLERS, **SYNC, mock={"pace": "instant"}) as rig:
        engine = AttachedEngine(settings(tmp_path / "screen"), GatewayClient(rig.server.url, ADMIN_KEY))
        engine.start()
        yield Heard(engine)
        await asyncio.to_thread(engine.close)


@pytest.fixture(params=["own", "attached"])
async def heard(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Heard]:
    if request.param == "own":
        engine = Engine(settings(tmp_path, **SYNC))
        engine.start()
        yield Heard(engine)
        await asyncio.to_thread(engine.close)
        return
    async with attached(tmp_path) as made:
        yield made


async def test_a_room_hears_the_same_of_both_engines(heard: Heard, tmp_path: Path) -> None:
    watchman = heard._engine.watchman
    compared = partial(compare.compare, "w", Question(("hello",), 2), ["openai/gpt-4o-mini", "anthropic"], None)
    *steps, came = await heard.does(compared)
    assert (came.whole, [len(one.answers) for one in came.outcome.overall]) == (True, [2, 2])
    assert sum(isinstance(one, compare.Came) for one in steps) == 4
    [seen] = await heard.does(partial(books.look, books.Asked("7d")))
    assert (seen.totals.requests, seen.by, seen.mode) == (4, "tenant", "mock")
    assert seen.totals.cost_usd == sum(one.spent_usd for one in came.outcome.overall)
    [advised] = await heard.does(partial(books.advise, books.Asked("7d"), ["openai/gpt-4o", "nobody/knows"]))
    assert [one.target for one in advised.repriced] == ["openai/gpt-4o"]
    assert "nobody/knows" in advised.problem
    [budgeted] = await heard.does(partial(books.set_budget, "default", Decimal("2.50"), None))
    assert (budgeted.limit_usd, budgeted.file) == (Decimal("2.50"), None)
    [seen] = await heard.does(partial(books.look, books.Asked("7d")))
    assert [(one.status.tenant, one.status.limit_usd) for one in seen.budgets] == [("default", Decimal("2.50"))]
    *_, exported = await heard.does(partial(books.export, books.Asked("7d"), "csv", tmp_path / "out"))
    assert exported.records == 4
    assert len(exported.paths[0].read_text().splitlines()) == 5
    [providers] = await heard.does(partial(ward.look, watchman, 300.0, 30))
    assert sum(one.window.traffic.successes for one in providers.providers) == 4
    assert not await heard.does(partial(ward.check, watchman, ("openai",), True, False))
    await heard.does(partial(ward.begin_rounds, watchman, False))
    [providers] = await heard.does(partial(ward.look, watchman, 300.0, 30))
    assert providers.watched
    await heard.does(partial(ward.end_rounds, watchman))
    [kept] = await heard.does(partial(places.look, True, 0))
    assert kept.today is not None
    assert kept.today.requests == 4
    trying, *tried = await heard.does(partial(places.try_out, "w", places.Wanted("local", "usage")))
    assert (trying.backends, [one.check.ok for one in tried]) == ({"usage": "sqlite"}, [True])
    [moved] = await heard.does(partial(places.move, "w", places.Wanted("local", "usage"), None))
    assert (moved.changes, moved.backends) == ((), {"usage": "sqlite"})


async def test_what_a_question_may_cost_is_the_same_of_both_engines(heard: Heard) -> None:
    estimated = await heard.estimated(Ask("hello", model="gpt-4o-mini", provider="openai"))
    assert estimated.error is None
    provider, model, usd = estimated.candidates[0]
    assert (provider, model) == ("openai", "gpt-4o-mini")
    assert usd
    refused = await heard.estimated(Ask("hello", model="gpt-5000"))
    assert "unknown model 'gpt-5000'" in (refused.error or "")


async def test_an_older_gateway_does_not_know_what_a_question_may_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "EVERYTHING", OPERATIONS)
    async with attached(tmp_path) as heard:
        estimated = await heard.estimated(Ask("hello"))
        assert {usd for *_, usd in estimated.candidates} == {None}
        assert len(estimated.candidates) == 8


async def test_a_question_that_is_too_long_to_be_estimated_may_still_be_asked(tmp_path: Path) -> None:
    async with attached(tmp_path) as heard:
        estimated = await heard.estimated(Ask("hello " * 20_000))
        assert (estimated.error, {usd for *_, usd in estimated.candidates}) == (None, {None})


async def test_what_cannot_be_is_refused_in_one_sentence_by_both(heard: Heard) -> None:
    [refused] = await heard.does(partial(compare.compare, "w", Question(("hello",)), ["gpt-5000"], None))
    assert "unknown model 'gpt-5000'" in refused.message
    [chosen] = await heard.does(partial(compare.who, ["gpt-5000", "openai/gpt-4o"]))
    assert ([one.key for one in chosen.columns], chosen.problem) == (
        ["openai/gpt-4o"],
        "not available here: gpt-5000",
    )


# --- Compare --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_models_are_compared_there_and_read_here(tmp_path: Path, screens: Screens, size: tuple[int, int]) -> None:
    async with shown(tmp_path, screens, "compare", size) as (rig, app, pilot):
        await until(pilot, lambda: app.room.columns and app.room.panes, "the columns")
        await pilot.press("enter")
        await until(pilot, lambda: app.room.races.race and not app.room.races.running, "the comparison")
        await sees(pilot, "1 gpt-4o-mini", "★ cheapest · ⚡ fastest", "~$0.0000", "~ simulated")
        assert all(pane.text for pane in app.room.panes)
        assert rig.tally.answered == 3
        assert not app.visitors.counts.requests


async def test_a_comparison_is_left_with_escape_and_keeps_what_came(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "compare") as (rig, app, pilot):
        room = app.room
        await until(pilot, lambda: room.columns and room.panes, "the columns")
        rig.runtime.faults.set("azure_openai", Fault("stream_stall", after_tokens=3))
        await pilot.press("enter")
        await until(pilot, lambda: room.panes[0].text and sum(one.ended for one in room.races.race.shown) == 2, "two")
        await pilot.press("escape")
        await until(pilot, lambda: not room.races.running, "the end")
        first, *others = room.races.race.outcome.overall
        assert first.problem.type == "Cancelled"
        assert first.samples[0].text
        assert all(one.answers for one in others)
        await until(pilot, lambda: not rig.server.under_way, "the end there")


async def test_a_gateway_that_goes_in_the_middle_is_said_in_the_column(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "compare") as (rig, app, pilot):
        room = app.room
        await until(pilot, lambda: room.columns and room.panes, "the columns")
        rig.runtime.faults.set("azure_openai", Fault("stream_stall", after_tokens=3))
        room.editor.put("a question of mine")
        await pilot.press("enter")
        await until(pilot, lambda: room.panes[0].text and sum(one.ended for one in room.races.race.shown) == 2, "two")
        await rig.server.stop()
        await until(pilot, lambda: not room.races.running, "the end")
        await sees(pilot, "the connection to")
        assert room.editor.text == "a question of mine"
        assert "Traceback" not in screen_text(app)


# --- Costs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_what_was_spent_there_is_seen_down_to_one_request(
    tmp_path: Path, screens: Screens, size: tuple[int, int]
) -> None:
    async with shown(tmp_path, screens, "costs", size, requests=3) as (rig, app, pilot):
        await sees(pilot, "3 requests", "acme")
        room = app.room
        for depth in range(1, 4):
            await pilot.press("enter")
            await until(
                pilot,
                lambda depth=depth: len(room.lookout.seen.asked.path) == depth and room.breakdown.rows.selected,  # type: ignore[misc]
                "a step",
            )
        assert room.lookout.seen.by == "request"
        await pilot.press("enter")
        await sees(pilot, "Request ")
        await pilot.press("escape")
        await rig.ask(CHAT, chat("one more"), headers={"x-sandbox-tenant": "acme"})
        await sees(pilot, "4 requests")


async def test_a_budget_is_set_there_and_the_export_is_written_here(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "costs", requests=3) as (rig, app, pilot):
        await sees(pilot, "acme")
        await pilot.press("enter")
        await until(pilot, lambda: app.room.lookout.seen.asked.path, "the tenant")
        await pilot.press("b")
        await until(pilot, lambda: len(app.screen_stack) == 2, "the dialog")
        await pilot.press("5")
        await sees(pilot, "until the gateway there ends")
        await pilot.press("enter")
        await sees(pilot, "acme: $5.00 a month, until the gateway there ends")
        [budget] = list(rig.runtime.budgets)
        assert (budget.tenant, budget.limit_usd) == ("acme", Decimal(5))
        await chosen(pilot, "x", "enter")
        await until(pilot, lambda: "3 requests written to" in notice(app), "the export")
        [file] = (tmp_path / "screen" / "exports").glob("costs.csv")
        assert len(file.read_text().splitlines()) == 4


async def test_what_if_is_told_of_the_traffic_there(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "costs", requests=2) as (_, app, pilot):
        await sees(pilot, "acme")
        await chosen(pilot, "w", *"openai/gpt-4o", "enter")
        await until(pilot, lambda: app.room.lookout.advised and app.room.lookout.advised.repriced, "the prices")
        await sees(pilot, app.room.lookout.targets[0])


# --- Health ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_breakers_are_held_and_let_go_there(tmp_path: Path, screens: Screens, size: tuple[int, int]) -> None:
    async with shown(tmp_path, screens, "health", size, requests=2) as (rig, app, pilot):
        await sees(pilot, "azure_openai", "8 of 8 in rotation", "monitor off")
        gateway = rig.runtime.gateway
        for key, state, word in (("o", "forced_open", "held open"), ("c", "forced_closed", "held closed")):
            await pilot.press(key)
            await until(pilot, lambda s=state: gateway.breaker("azure_openai").snapshot().state == s, state)  # type: ignore[misc]
            await sees(pilot, word)
        await pilot.press("r")
        await until(pilot, lambda: gateway.breaker("azure_openai").snapshot().state == "closed", "the reset")
        await pilot.press("v")
        await until(pilot, lambda: "azure_openai is well" in notice(app), "the check")
        await pilot.press("w")
        await sees(pilot, "monitor on")
        audited = [one["action"] for one in (await rig.ask("/api/admin/audit", headers=BOSS)).json["items"]]
        assert audited == ["monitor_change", *["breaker_change"] * 3]


async def test_only_looking_changes_nothing_there(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "health") as (rig, _, pilot):
        await sees(pilot, "usage records", "monitor off")
        assert not (await rig.ask("/api/admin/audit", headers=BOSS)).json["items"]
        assert not rig.tally.requests


async def test_a_switch_of_stores_is_tried_there(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "health", cache={"backend": "disk"}) as (rig, _, pilot):
        await sees(pilot, "usage records")
        await chosen(pilot, "b", "enter")
        await sees(pilot, "cannot be used: nothing was changed", "no Redis server is named")
        await pilot.press("escape")
        assert rig.runtime.backends == {"cache": "disk", "usage": "sqlite"}


# --- what is chosen, and what cannot be -------------------------------------------------------------------------------


async def test_preset_and_strategy_are_chosen_from_here(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "playground") as (rig, app, pilot):
        app.perform("choose_preset")
        await until(pilot, lambda: isinstance(app.screen, Chooser), "the list")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.frame.preset == "happyos", "the preset")
        assert rig.runtime.gateway.policy.name == "happyos"
        asked: list[Any] = []
        rig.runtime.bus.subscribe(asked.append)
        app.perform("choose_strategy")
        await until(pilot, lambda: isinstance(app.screen, Chooser), "the list")
        await pilot.press("down", "enter")
        await until(pilot, lambda: not isinstance(app.screen, Chooser), "the choice")
        app.perform("send")
        await until(pilot, lambda: app.state.history and app.room.talk.running is None, "the answer")
        [planned] = [event for event in asked if type(event).__name__ == "RouteChosen"]
        assert planned.strategy == "least_cost"


async def test_what_is_chosen_where_it_runs_says_so(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "playground") as (_, app, pilot):
        for action, says in (
            ("choose_mode", "in MOCK mode: another one is chosen where it is started"),
            ("server", "served already, at 127.0.0.1"),
        ):
            app.perform(action)
            await until(pilot, lambda says=says: says in notice(app), says)  # type: ignore[misc]
        assert len(app.screen_stack) == 1


# --- what goes wrong ------------------------------------------------------------------------------------------------


ROOMS = ("compare", "costs", "health")


async def test_a_gateway_of_an_older_version_says_so_in_every_room(
    tmp_path: Path, screens: Screens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "EVERYTHING", OPERATIONS)
    async with shown(tmp_path, screens, "playground") as (rig, app, pilot):
        for room in ROOMS:
            app.enter(room)
            await sees(pilot, f"{rig.server.url} is of an older version, which cannot do this: update it there")
        assert "Traceback" not in screen_text(app)


async def test_a_key_that_is_taken_away_is_said(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "playground") as (_, app, pilot):
        app._attached._session.headers["Authorization"] = f"Bearer {CHAT_KEY}"
        app.enter("costs")
        await sees(pilot, "key:app does not have the scope admin: a screen needs both, as `sandbox admin key create")


async def test_a_token_that_the_next_start_does_not_know_is_said_with_what_to_do(
    tmp_path: Path, screens: Screens
) -> None:
    async with shown(tmp_path, screens, "costs", requests=1) as (_, app, pilot):
        await sees(pilot, "acme")
        app._attached._session.headers["Authorization"] = "Bearer of-another-start"
        app.room.lookout.stir()
        await sees(pilot, "not known here: attach with the token that `sandbox serve` says")


async def test_rooms_go_on_when_the_gateway_is_back(tmp_path: Path, screens: Screens) -> None:
    async with shown(tmp_path, screens, "costs", requests=2) as (rig, app, pilot):
        await sees(pilot, "acme")
        app.enter("health")
        await sees(pilot, "8 of 8 in rotation")
        port = rig.server.port
        await rig.server.stop()
        await sees(pilot, f"127.0.0.1:{port} is gone")
        app.enter("costs")
        looked = app.room.lookout.looked_us
        await until(pilot, lambda: app.room.lookout.looked_us > looked, "another look")
        await sees(pilot, "acme", "2 requests")
        app.enter("compare")
        await until(pilot, lambda: app.frame.room == "compare", "the room")
        app.room.columns = (compare.Column("openai/gpt-4o", "gpt-4o", "openai"),)
        app.room.editor.put("mine")
        await pilot.press("enter")
        await sees(pilot, f"nothing answers at {rig.server.url}")
        await until(pilot, lambda: not app.room.controls.running, "the button")
        assert app.room.editor.text == "mine"
        app.enter("health")
        async with AdminServer(rig.runtime, port=port, grace=0.1):
            await sees(pilot, f"attached to 127.0.0.1:{port}", "8 of 8 in rotation")
            await pilot.press("o")
            await sees(pilot, "held open")
            app.enter("costs")
            await sees(pilot, "acme")
            await asyncio.to_thread(app.engine.close)
