"""Room 3 on the running gateway: the lanes of a replay, while it happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from textual.pilot import Pilot

from providers.faults import parse_fault
from sandbox.core.events import AttemptStarted
from sandbox.tui.dialogs import FaultDialog
from sandbox.tui.lab import following
from sandbox.tui.lab.naming import NameDialog
from sandbox.tui.lab.picker import ScenarioPicker
from sandbox.tui.lab.room import LabRoom
from sandbox.tui.pieces import local_time
from tests.sandbox.server.gateway.support import CHAT, chat
from tests.tui.conftest import Make
from tests.tui.support import NARROW, WIDE, asked, notice, ready, screen_text, sees, until
from tests.tui.test_attached import shown
from tests.tui.test_serving import ask, open_server, served


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn whenever the screen is, so that no test waits for it."""
    monkeypatch.setattr(following, "BUSY_US", 0)
    monkeypatch.setattr(following, "IDLE_US", 100_000)


async def watching(pilot: Pilot[None]) -> LabRoom:
    """Go to the Lab and show the running gateway."""
    app: Any = pilot.app
    app.enter("lab")
    await until(pilot, lambda: isinstance(app.room, LabRoom) and app.room.is_mounted, "the Lab")
    if not app.room.live:
        await pilot.press("l")
    await until(pilot, lambda: app.room.live and app.room.take is not None, "the running gateway")
    await pilot.pause()
    room: LabRoom = app.room
    return room


async def happened(pilot: Pilot[None], room: LabRoom, requests: int) -> None:
    """Wait until that many requests of the window have ended, and all of it is shown."""

    def done() -> bool:
        take = room.take
        return take is not None and take.recording.figures(room.player.length_us).requests == requests

    await until(pilot, done, f"{requests} requests")
    await pilot.pause()


def recording(room: LabRoom) -> Any:
    assert room.take is not None
    return room.take.recording


# --- what is seen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_where_nothing_happens_it_says_what_to_press(make: Make, size: tuple[int, int]) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await watching(pilot)
        await sees(
            pilot, "live ▾ · the last 1 min ▾", "No traffic yet. Press ^g to serve the gateway", "not served: ^g"
        )
        await sees(pilot, "Nothing has happened yet.", "never asked: azure_openai, openai", "availability –")
        url = await served(pilot)
        await sees(pilot, f"Point a program at {url}/v1", url)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_outside_traffic_is_in_the_lanes_of_a_replay(
    make: Make, http: aiohttp.ClientSession, size: tuple[int, int]
) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=size) as pilot:
        url = await served(pilot)
        room = await watching(pilot)
        for number in range(3):
            await ask(http, url, f"question {number}")
        await happened(pilot, room, 3)
        await sees(pilot, "azure_openai", "3 answers", "req/s", "p99", "availability 100.00 %", "all is well")
        app.engine.provoke("azure_openai", parse_fault("503"))
        await until(pilot, lambda: app.board.broken, "the fault")
        await ask(http, url, "another")
        await happened(pilot, room, 4)
        await sees(pilot, "fault begins: 503", "503 unavailable after", "of 5", "failed over 1", "1 answer")
        await sees(pilot, "503 on azure_openai since 0:", "faults")
        assert [timed.end_us for timed in room.take.scenario.faults] == [None]  # type: ignore[union-attr]


async def test_what_was_asked_before_the_lab_was_entered_is_there(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        app.engine.provoke("azure_openai", parse_fault("503"))
        await until(pilot, lambda: app.board.broken, "the fault")
        await asked(pilot, "first")
        await asked(pilot, "second")
        assert app.made_already("lab") is None
        room = await watching(pilot)
        await happened(pilot, room, 2)
        await sees(pilot, "fault begins: 503", "failed over 2")
        assert app.early is None
        await pilot.press("1")
        await asked(pilot, "third")
        await pilot.press("3")
        await happened(pilot, room, 3)
        await pilot.press("v")
        await sees(pilot, "answered in", "failed over")
        assert "outside" not in screen_text(app)


async def test_the_detail_tells_the_story_and_the_time_on_ones_own_clock(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hello")
        room = await watching(pilot)
        await pilot.press("v")
        await happened(pilot, room, 1)
        id = app.state.history[-1].request_id
        await sees(pilot, f"request {id[:8]} answered in", id, "answered by azure_openai")
        last = recording(room).times[recording(room).rows("requests")[-1]]
        await until(pilot, lambda: local_time(room.feed.watch.began_us + last) in str(room.detail.border_subtitle))  # type: ignore[union-attr]


# --- by hand ----------------------------------------------------------------------------------------------------------


async def test_f_breaks_a_provider_and_escape_mends_it(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        room = await watching(pilot)
        await ask(http, url, "well?")
        await happened(pilot, room, 1)
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FaultDialog), "the dialog")
        await pilot.press("enter")
        await until(pilot, lambda: app.board.broken == ["azure_openai"], "the fault")
        assert "azure_openai is broken: F or Esc mends it" in notice(app)
        await ask(http, url, "and now?")
        await sees(pilot, "faults", "✗2 of 3", "failed over 1")
        await pilot.press("escape")
        await until(pilot, lambda: not app.board.broken, "healing")
        await sees(pilot, "fault ends: 503", "every provider answers again")
        assert [timed.end_us is None for timed in room.take.scenario.faults] == [False]  # type: ignore[union-attr]
        # Once more, and this time by the dialog: what is broken is proposed to be healed.
        for _ in range(2):
            await pilot.press("f")
            await until(pilot, lambda: isinstance(app.screen, FaultDialog), "the dialog")
            broken = bool(app.board.broken)
            await pilot.press("enter")
            await until(pilot, lambda: bool(app.board.broken) is not broken, "the other way")  # noqa: B023
        assert not app.board.broken
        app.engine.provoke("openai", parse_fault("timeout"))
        await until(pilot, lambda: app.board.broken, "another fault")
        await pilot.press("F")
        await until(pilot, lambda: not app.board.broken, "healing")


async def test_a_fault_on_a_provider_opens_its_lane(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await watching(pilot)
        app.engine.breaker("gemini", "force_open")
        await sees(pilot, "gemini's breaker is open since", "○")
        assert "never asked: azure_openai, openai, anthropic, bedrock, deepseek, vllm" in screen_text(app)


# --- standing still ---------------------------------------------------------------------------------------------------


async def test_space_stands_still_while_what_happens_is_kept(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        room = await watching(pilot)
        await ask(http, url, "one")
        await happened(pilot, room, 1)
        await pilot.press("v", "space")
        await sees(pilot, "‖", "It stands still at 00:")
        rows, at_us = len(room.rows.rows), room.player.at_us
        await ask(http, url, "two")
        await sees(pilot, "more events")
        await pilot.press("home")
        assert room.player.at_us == 0
        await pilot.press("n")
        assert room.row == 0
        await pilot.press("end")
        assert (room.player.at_us, len(room.rows.rows)) == (at_us, rows)
        assert recording(room).figures(at_us).requests == 1
        await pilot.press("space")
        await happened(pilot, room, 2)
        assert "more events" not in screen_text(app)
        # Whoever moves stands still; Escape goes back to what happens now.
        await pilot.press("left")
        assert not room.player.playing
        await pilot.press("escape")
        await until(pilot, lambda: room.player.playing, "following")
        await pilot.press("k")
        assert not room.player.playing
        assert room.row == len(room.rows.rows) - 2


async def test_a_click_on_the_time_line_goes_there(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        room = await watching(pilot)
        await asked_in_room_one(pilot)
        await happened(pilot, room, 1)
        await pilot.click("#lab-timeline", offset=(20, 3))
        assert not room.player.playing
        assert room.player.at_us == 0


async def asked_in_room_one(pilot: Pilot[None]) -> None:
    await pilot.press("1")
    await asked(pilot, "hello")
    await pilot.press("3")


async def test_one_looks_back_one_five_or_fifteen_minutes(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hello")
        room = await watching(pilot)
        await happened(pilot, room, 1)
        app.clock.ahead += 400  # type: ignore[attr-defined]
        await happened(pilot, room, 0)
        await sees(pilot, "Nothing of note in this time: v lists more, s looks further back.", "6:00")
        await pilot.press("s")
        await sees(pilot, "the last 5 min")
        await pilot.press("s")
        await sees(pilot, "the last 15 min")
        await happened(pilot, room, 1)
        await pilot.press("s")
        await sees(pilot, "the last 1 min")
        await happened(pilot, room, 0)
        recorded = recording(room)
        assert 60e6 <= recorded.ended_us - recorded.begin_us < 90e6


# --- the list ---------------------------------------------------------------------------------------------------------


async def test_the_filter_goes_on_while_more_happens(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        room = await watching(pilot)
        await pilot.press("v")
        await ask(http, url, "one")
        await happened(pilot, room, 1)
        app.engine.provoke("azure_openai", parse_fault("503"))
        await until(pilot, lambda: app.board.broken, "the fault")
        await pilot.press("slash", *"503", "enter")
        await until(pilot, lambda: len(room.rows.rows) == 1, "the fault's row")
        await ask(http, url, "two")
        await until(pilot, lambda: len(room.rows.rows) == 3, "the failures' rows")
        await pilot.press("space")
        await until(pilot, lambda: not room.searching)
        assert len(room.rows.rows) == 3
        await pilot.press("space", "slash", *"zzz", "enter")
        await sees(pilot, "None of the newest rows has")


async def test_texts_of_questions_and_answers_are_not_in_the_list(make: Make, http: aiohttp.ClientSession) -> None:
    app = make(open_server=open_server)
    async with app.run_test(size=WIDE) as pilot:
        url = await served(pilot)
        room = await watching(pilot)
        answer = await ask(http, url, "my-secret-question")
        await happened(pilot, room, 1)
        await pilot.press("v", "v")
        await sees(pilot, "comes from outside, chat.completions", "went out,", "is in the books")
        assert "my-secret-question" not in screen_text(app)
        assert answer.split("\n")[0][:25] not in screen_text(app)


# --- beside the replay ------------------------------------------------------------------------------------------------


async def test_the_replay_is_put_aside_and_found_again_as_it_was(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hello")
        app.enter("lab")
        await until(pilot, lambda: isinstance(app.room, LabRoom) and app.room.take is not None, "the replay")
        room: Any = app.room
        room.go(90_000_000)
        await pilot.pause()
        take, row = room.take, room.row
        await pilot.press("l")
        await happened(pilot, room, 1)
        await sees(pilot, "live ▾")
        await pilot.press("e", "r", "b", "P")
        assert len(app.screen_stack) == 1
        await pilot.press("l")
        await sees(pilot, "bedrock-brownout ▾", "01:30.000 / 5:03")
        assert (room.take, room.row) == (take, row)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ScenarioPicker) and app.screen.rows.rows, "the list")
        await sees(pilot, "● bedrock-brownout", "The running gateway, live, as it happens")
        await pilot.press("g", "enter")
        await until(pilot, lambda: room.live, "the running gateway")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ScenarioPicker) and app.screen.rows.rows, "the list")
        await sees(pilot, "● live")
        await pilot.press("e", "y")
        assert isinstance(app.screen, ScenarioPicker)
        await pilot.press("slash", *"one", "minus", *"500", "enter", "enter")
        await sees(pilot, "one-500 ▾")
        assert not room.live


async def test_a_run_that_is_left_is_worked_out_when_one_comes_back(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        room = await watching(pilot)
        # Before anything was worked out.
        room.aside.take = room.aside.unfinished = None  # type: ignore[union-attr]
        await pilot.press("l")
        await until(pilot, lambda: room.take is not None and room.work is None, "the replay")
        await sees(pilot, "bedrock-brownout ▾")


async def test_it_is_shown_again_after_a_restart(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await watching(pilot)
        await pilot.press("s")
        await app.action_quit()
    again = make()
    assert again.state.lab_view == "live"
    async with again.run_test(size=WIDE) as pilot:
        await sees(pilot, "live ▾ · the last 5 min", "No traffic yet.")
        await pilot.press("l")
        await sees(pilot, "bedrock-brownout ▾")
        await again.action_quit()
    assert make().state.lab_view == "replay"


async def test_what_was_seen_is_kept_as_a_scenario(make: Make, tmp_path: Path) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        room = await watching(pilot)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, NameDialog), "the name")
        await pilot.press("enter")
        await until(pilot, lambda: "nothing was saved" in notice(app), "why not")
        await asked_in_room_one(pilot)
        await happened(pilot, room, 1)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, NameDialog), "the name")
        await pilot.press("enter")
        await until(pilot, lambda: "saved" in notice(app), "the file")
        assert room.live
        await pilot.press("l")
        found = room.shelf.find("own/live")
        assert found is not None
        assert found.scenario is not None
        assert found.scenario.document.description == "Seen on a running gateway: 1 requests."
        assert (tmp_path / "scenarios" / "live.yaml").exists()


# --- elsewhere --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_an_attached_screen_shows_the_lanes_of_the_gateway_there(
    tmp_path: Path, screens: Any, size: tuple[int, int]
) -> None:
    async with shown(tmp_path, screens, size) as (rig, app, pilot):
        await rig.ask(CHAT, chat("gpt-4o"))
        await until(pilot, lambda: app.visitors.counts.requests == 1, "the request")
        room = await watching(pilot)
        await happened(pilot, room, 1)
        await sees(pilot, "live ▾", f"127.0.0.1:{rig.server.port}", "1 answer")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FaultDialog), "the dialog")
        await pilot.press("enter")
        await until(pilot, lambda: rig.runtime.faults.get("azure_openai"), "the fault there")
        await until(pilot, lambda: app.board.broken, "the fault")
        await rig.ask(CHAT, chat("gpt-4o-mini"))
        await happened(pilot, room, 2)
        await sees(pilot, "faults", "failed over 1")
        await pilot.press("escape")
        await until(pilot, lambda: not rig.runtime.faults.all(), "healing there")


async def test_other_providers_begin_another_time_line(tmp_path: Path, screens: Any) -> None:
    async with shown(tmp_path, screens) as (rig, app, pilot):
        room = await watching(pilot)
        await rig.ask(CHAT, chat("gpt-4o"))
        await happened(pilot, room, 1)
        rig.runtime.use_preset("happyos")
        app.engine._chore(app.engine._look())
        await until(pilot, lambda: recording(room).ids == ("bedrock", "openai"), "the other chain")
        await sees(pilot, "never asked: bedrock, openai")


# --- much at a time ---------------------------------------------------------------------------------------------------


async def test_a_flood_is_taken_in_and_drawn_now_and_then(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BUSY_US", 200_000)
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        room = await watching(pilot)
        await pilot.press("v", "v")
        looks = 0
        look = room.look

        def counted() -> None:
            nonlocal looks
            looks += 1
            look()

        monkeypatch.setattr(room, "look", counted)
        now_us = app.clock.time_us()
        for number in range(20_000):
            app.engine.outbox.append(AttemptStarted(now_us, f"r{number}", "openai", "m", 0, 0, "closed"))
        await until(pilot, lambda: room.feed.watch.recording.seen == 20_000, "the flood")  # type: ignore[union-attr]
        assert looks <= 5
        app.clock.ahead += 1  # type: ignore[attr-defined]
        await sees(pilot, "20,000 of 20,000")
