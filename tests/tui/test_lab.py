"""Room 3, driven as a person drives it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from textual.pilot import Pilot

from sandbox.core.events import Event
from sandbox.scenarios.builtin import FOLDER, names, scenario
from sandbox.scenarios.loader import Scenario, load
from sandbox.scenarios.recorder import Take, record
from sandbox.scenarios.recording import FaultBegan, FaultEnded
from sandbox.tui.application import SandboxApp
from sandbox.tui.dialogs import Chooser, Confirm, FaultDialog, Reader
from sandbox.tui.jump import JumpScreen
from sandbox.tui.lab.editor import ScenarioEditor
from sandbox.tui.lab.naming import NameDialog
from sandbox.tui.lab.picker import ScenarioPicker
from sandbox.tui.lab.room import LabRoom
from tests.tui.support import NARROW, WIDE, MovedClock, notice, ready, screen_text, sees, until

Make = Callable[..., SandboxApp]

SHORT = """\
version: 1
name: short
description: The first one is down for ten seconds.
seed: 3
duration: 60s
preset: happyos
providers:
  - {name: bedrock, model: claude-3-sonnet, latency: 400ms}
  - {name: openai, model: gpt-4-turbo, latency: 500ms}
traffic:
  - {rate: 1/s, input_tokens: 1000, output_tokens: 100}
faults:
  - {provider: bedrock, from: 10s, to: 20s, kind: http_error, status: 503, after: 100ms}
expect:
  - {metric: availability, min: 1}
  - {breaker: bedrock, opens_within: 1s, of: 10s}
"""
"""The requests at 10, 11 and 12 s fail: open at 12.1 s; the one at 43 s is let through, and closes it at 43.4 s."""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder of scenarios of one's own with one in it."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "short.yaml").write_text(SHORT)
    return folder


@pytest.fixture
def short(make: Make, own: Path) -> SandboxApp:
    """The program as it starts when that one was replayed last."""
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/short"
    return app


async def entered(pilot: Pilot[None], name: str = "short") -> LabRoom:
    """Wait until the room shows a run of that scenario."""
    app: Any = pilot.app
    await until(
        pilot,
        lambda: isinstance(app.room, LabRoom) and app.room.take is not None and app.room.take.scenario.name == name,
        name,
    )
    await until(pilot, lambda: app.room.work is None)
    await pilot.pause()
    room: LabRoom = app.room
    return room


async def again(pilot: Pilot[None], take: Take | None) -> Take:
    """Wait until another run is shown."""
    app: Any = pilot.app
    await until(pilot, lambda: app.room.take is not take and app.room.work is None, "another run")
    await pilot.pause()
    found: Take = app.room.take
    return found


async def typed(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*("minus" if letter == "-" else "space" if letter == " " else letter for letter in text))


def at(seconds: float) -> int:
    return round(seconds * 1e6)


def events_before(take: Take, at_us: int) -> list[Event]:
    recording = take.recording
    every = (recording.event(position) for position in range(recording.until(at_us - 1)))
    return [event for event in every if not isinstance(event, (FaultBegan, FaultEnded))]


# --- the first minute -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_a_newcomer_finds_an_outage_ready_to_play(make: Make, size: tuple[int, int]) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await pilot.press("3" if app.focused is None else "f3")
        room = await entered(pilot, "bedrock-brownout")
        await sees(pilot, "3 Lab", "bedrock-brownout", "seed 7", "preset happyos", "00:00.000 / 5:03", "10×")
        await sees(
            pilot, "Space plays: Bedrock answers 503 for two minutes", "503 on bedrock", "faults", "req/s", "p99"
        )
        await sees(pilot, "○ breaker open   ◐ probe", "✗ failed", "✓ 5 of 5 expectations hold")
        await sees(pilot, "fault begins: 503", "0 of 23")
        lanes = [line for line in screen_text(app).splitlines() if line.startswith((" bedrock ", " openai "))]
        assert all("○" in line or "·" in line or "●" in line for line in lanes[:2])
        assert "◐" in lanes[0]
        assert app.focused is room.rows


async def test_nothing_of_the_room_is_loaded_before_it_is_entered() -> None:
    code = (
        "import sys; from sandbox.tui import application, playground, actions, state\n"
        "early = ('sandbox.tui.lab', 'sandbox.scenarios', 'sandbox.tui.cursor')\n"
        "assert not [name for name in sys.modules if name.startswith(early)]"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_the_hint_after_the_first_failover_leads_here(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        app.guide.learn({"asked", "answered", "broken", "failed_over"})
        await sees(pilot, "Press 3 to replay an outage")
        await pilot.press("f3")
        await entered(pilot, "bedrock-brownout")
        await until(pilot, lambda: "lab" in app.guide.seen)


# --- moving ---------------------------------------------------------------------------------------------------------


async def test_space_plays_and_pauses_at_a_speed(short: SandboxApp) -> None:
    clock = short.clock
    assert isinstance(clock, MovedClock)
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        for word in ("60×", "max", "1×"):
            await pilot.press("s")
            await sees(pilot, f"/ 1:00  {word}")
        await pilot.press("space")
        await sees(pilot, "▶ 00:0")
        before = room.player.at_us
        for _ in range(10):
            clock.ahead += 0.5
            await pilot.pause(0.05)
        await until(pilot, lambda: room.player.at_us >= before + at(4), "what was waited for")
        await pilot.press("space")
        assert not room.player.playing
        stood = room.player.at_us
        clock.ahead += 0.5
        await pilot.pause(0.1)
        assert room.player.at_us == stood
        await sees(pilot, "‖ 00:")


async def test_playing_comes_to_the_end_and_begins_again(short: SandboxApp) -> None:
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        await pilot.press("s", "s", "space")
        await sees(pilot, "the end: 60 of 60 answered", "‖ 01:00.000 / 1:00")
        await pilot.press("s", "space")
        await until(pilot, lambda: room.player.playing and room.player.at_us < at(30), "from the start again")
        await sees(pilot, "▶ 00:")


async def test_steps_go_from_row_to_row_and_the_time_with_them(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("n")
        await sees(pilot, "00:10.000 / 1:00", "1 of 8")
        assert room.rows.cursor == 0
        for _ in range(4):
            await pilot.press("n")
        await sees(pilot, "00:12.100 / 1:00", "breaker closed → open: 3 failures in a row, probe at 00:42")
        await sees(pilot, "Nobody asks bedrock until 00:42.100", "Because of the last 3 failures")
        await pilot.press("N")
        assert (room.row, room.player.at_us) == (3, at(12.1))
        await pilot.press("N")
        assert (room.row, room.player.at_us) == (2, at(11.1))
        # Between two rows the step back is to the one before.
        room.go(at(11.5))
        await pilot.press("N")
        assert (room.row, room.player.at_us) == (2, at(11.1))
        await pilot.press("G")
        assert room.player.at_us == at(43.4)
        await pilot.press("n")
        assert room.player.at_end
        await pilot.press("g", "N")
        assert (room.row, room.player.at_us) == (-1, 0)
        await sees(pilot, "Space plays it", "0 of 8")


async def test_scrubbing_moves_time_list_and_figures_together(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        step = room.player.step_us
        await pilot.press("right", "right", "left")
        assert room.player.at_us == step
        await pilot.press("shift+right", "shift+right")
        assert room.player.at_us == 21 * step
        await sees(pilot, "bedrock's breaker is open since 0:12", "✗3 of 13")
        assert room.rows.cursor == room.row == 4
        await pilot.press("end")
        await sees(pilot, "the end: 60 of 60 answered", "1 of 2 expectations hold")
        await pilot.press("left")
        assert room.player.at_us == room.player.length_us - step
        await pilot.press("shift+left", "home")
        await sees(pilot, "00:00.000 / 1:00", "Space plays")
        await pilot.press("left")
        assert room.player.at_us == 0


async def test_a_click_on_the_time_line_goes_there(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        lines = screen_text(short).splitlines()
        row = next(number for number, line in enumerate(lines) if line.startswith(" faults"))
        await pilot.click(offset=(lines[row].index("├"), row))
        await until(pilot, lambda: at(9) < room.player.at_us < at(11), "about ten seconds")
        await pilot.click(offset=(2, row))
        await pilot.pause()
        assert at(9) < room.player.at_us < at(11)


async def test_figures_at_the_cursor_are_those_of_the_moment(short: SandboxApp) -> None:
    """At 15 s: 10 answers of bedrock, then openai's for the requests 10 to 14, of which the last ends at 14.5."""
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        room.go(at(14.9))
        await sees(pilot, "failed over 5", "✗3 of 13", "5 answers", "breaker open 2800 ms", "premium ~$0.0425")


# --- what is listed -------------------------------------------------------------------------------------------------


async def test_the_list_shows_more_or_less(short: SandboxApp) -> None:
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        take = room.take
        assert take is not None
        await sees(pilot, "0 of 8")
        await pilot.press("v")
        await sees(pilot, "of 68", "request 1 answered in 400 ms")
        await pilot.press("v")
        await sees(pilot, f"of {len(take.recording)}", "request 1 comes from default", "is to go to bedrock → openai")
        await pilot.press("v")
        await sees(pilot, "of 8")
        line = screen_text(short).splitlines()
        row = next(number for number, text in enumerate(line) if "Requests │" in text)
        await pilot.click(offset=(line[row].index("Requests") + 1, row))
        await sees(pilot, "of 68")


async def test_a_list_that_gets_longer_gets_one_scroll_bar(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        assert not room.rows.show_vertical_scrollbar
        await pilot.press("v")
        await until(pilot, lambda: room.rows.show_vertical_scrollbar, "the bar")
        await pilot.pause()
        assert not room.rows.show_horizontal_scrollbar


async def test_the_filter_finds_rows_by_their_words(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("v", "v", "slash", *"half", "enter")
        await until(pilot, lambda: len(room.rows.rows) == 2, "two changes")
        await sees(pilot, "only 'half'", "open → half open", "half open → closed")
        await pilot.press("n")
        assert room.player.at_us == at(43)
        await pilot.press("slash", *"zzz")
        await sees(pilot, "No row has 'zzz' in it", "Escape in the filter shows all")
        await pilot.press("escape")
        await until(pilot, lambda: len(room.rows.rows) > 100)
        assert short.focused is room.rows
        assert room.player.at_us == at(43)


async def test_the_keys_of_every_list(short: SandboxApp) -> None:
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        rows = []
        for key in ("g", "j", "j", "k", "G", "up", "down", "down", "pageup", "pagedown", "pagedown"):
            await pilot.press(key)
            await pilot.pause()
            rows.append(room.rows.cursor)
        assert rows[:8] == [0, 1, 2, 1, 7, 6, 7, 7]
        assert rows[8] < 7
        assert rows[10] == 7


async def test_only_rows_in_sight_are_ever_made(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox.tui.lab.events import row_line

    made: list[int] = []

    def counted(*given: Any) -> Any:
        made.append(given[1])
        return row_line(*given)

    monkeypatch.setattr("sandbox.tui.lab.listing.row_line", counted)
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario, app.state.lab_level = "mid-stream-cut", "all"
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot, "mid-stream-cut")
        assert len(room.rows.rows) > 10_000
        for key in ("end", "home", "shift+right", "right", "G", "g", "n"):
            made.clear()
            await pilot.press(key)
            await pilot.pause()
            assert len(made) < 60, key


async def test_a_step_paints_a_line_of_the_border_and_not_the_pane(
    short: SandboxApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is painted anew for a step stands between a key and the screen."""
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        # The first one puts figures in place of the legend, which takes another layout.
        await pilot.press("n")
        await sees(pilot, "1 of 8")
        lines: list[int] = []
        painted = room.pane.render_line
        monkeypatch.setattr(room.pane, "render_line", lambda y: (lines.append(y), painted(y))[1])
        await pilot.press("n")
        await sees(pilot, "2 of 8")
        assert not lines


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_a_row_is_told_at_length(short: SandboxApp, size: tuple[int, int]) -> None:
    async with short.run_test(size=size) as pilot:
        room = await entered(pilot)
        await pilot.press("n", "n", "enter")
        if size == NARROW:
            await until(pilot, lambda: isinstance(short.screen, Reader))
        else:
            assert short.focused is room.detail
        await sees(pilot, "request 11 · default", "503 unavailable", "answered by openai", "for failing over")
        await pilot.press("escape")
        await until(pilot, lambda: short.focused is room.rows)
        await pilot.press("y")
        assert "request 11" in short.clipboard


async def test_a_fault_and_a_stream_are_told_too(make: Make) -> None:
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "mid-stream-restart"
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot, "mid-stream-restart")
        await pilot.press("n")
        await sees(pilot, "cut after 40 tokens in 10 %", "While it lasts", "of them failed", "premium")
        await pilot.press("n")
        await until(pilot, lambda: room.row == 1)
        await sees(pilot, "pieces · the first after", "the text is discarded, starts anew", "█")


async def test_the_whole_run_in_figures(short: SandboxApp) -> None:
    async with short.run_test(size=NARROW) as pilot:
        await entered(pilot)
        await pilot.press("a")
        await sees(
            pilot, "Preset happyos", "60, 60 answered", "✓ availability ≥ 1: 1", "✗ breaker bedrock opens within 1"
        )
        await pilot.press("escape")


# --- choosing -------------------------------------------------------------------------------------------------------


async def test_a_scenario_is_chosen_from_a_list_with_a_filter(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take
        await pilot.press("o")
        await until(pilot, lambda: isinstance(short.screen, ScenarioPicker))
        await sees(pilot, "● short", "*", "total-outage", "The first one is down for ten seconds.", "Enter replay")
        picker: Any = short.screen
        assert len(picker.rows.rows) == 1 + len(names()) + 1
        await pilot.press("slash", *"one", "minus", *"500", "enter")
        await until(pilot, lambda: len(picker.rows.rows) == 1)
        await sees(pilot, "A single 500, and then health.")
        await pilot.press("enter")
        await again(pilot, take)
        await sees(pilot, "one-500 ▾", "00:00.000 / 1:0")
        assert room.key == "one-500"


async def test_the_picker_closes_step_by_step_and_its_list_has_the_usual_keys(short: SandboxApp) -> None:
    async with short.run_test(size=NARROW) as pilot:
        await entered(pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(short.screen, ScenarioPicker))
        picker: Any = short.screen
        await until(pilot, lambda: picker.rows.rows)
        await pilot.press("g", "j", "j", "k")
        assert picker.rows.cursor == 1
        await pilot.press("y")
        assert short.clipboard.endswith(f"{names()[0]}.yaml")
        await pilot.press("G")
        await pilot.press("slash", *"zzz")
        await sees(pilot, "No scenario has 'zzz' in it: Escape shows all")
        await pilot.press("escape")
        await until(pilot, lambda: len(picker.rows.rows) == 1 + len(names()) + 1)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(short.screen, ScenarioPicker))


async def test_a_broken_file_says_what_is_wrong_and_can_be_edited(short: SandboxApp, own: Path) -> None:
    (own / "bad.yaml").write_text(SHORT.replace("name: short", "name: bad").replace("rate: 1/s", "rate: fast"))
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take
        await pilot.press("o")
        await until(pilot, lambda: isinstance(short.screen, ScenarioPicker))
        picker: Any = short.screen
        await until(pilot, lambda: picker.rows.rows)
        await pilot.press("slash", *"bad", "enter")
        await pilot.press("G")
        await sees(pilot, "! bad", "bad.yaml:11: traffic[0].rate is 'fast'", "or text such as 2/s or 30/m")
        await pilot.press("enter")
        await sees(pilot, "It cannot be replayed so: e edits it.")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(short.screen, ScenarioEditor))
        await sees(pilot, "✗ bad.yaml:11: traffic[0].rate is 'fast'", "rate: fast")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(short.screen, ScenarioEditor))
        assert room.take is take


async def test_a_broken_file_at_the_start_gives_way_to_the_first_outage(short: SandboxApp, own: Path) -> None:
    (own / "short.yaml").write_text("version: 1\nname: short\n")
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot, "bedrock-brownout")
        assert room.key == "bedrock-brownout"
        assert "short.yaml" in notice(short)
        (own / "short.yaml").unlink()
        await pilot.press("o", "escape", "r")
        await pilot.pause()


async def test_another_preset_and_one_beside_it(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take
        room.go(at(30))
        await pilot.press("P")
        await until(pilot, lambda: isinstance(short.screen, Chooser))
        await sees(pilot, "the scenario's: happyos")
        await pilot.press("down", "enter")
        take = await again(pilot, take)
        assert take.preset == "sandbox"
        assert room.player.at_us == at(30)
        await sees(pilot, "preset sandbox ▾")
        await pilot.press("b")
        await until(pilot, lambda: isinstance(short.screen, Chooser))
        await sees(pilot, "● none")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: room.beside is not None and room.work is None)
        await sees(pilot, "beside happyos", "preset sandbox", "preset happyos", "on the sick", "recovery", "expected")
        text = screen_text(short)
        assert sum(line.startswith(" bedrock ") for line in text.splitlines()) == 2
        row = next(line for line in text.splitlines() if line.startswith(" happyos "))
        assert re.search(r"100\.00 % +600 ms", row)
        await pilot.press("b", "home", "enter")
        await until(pilot, lambda: room.beside is None and room.work is None)
        await until(pilot, lambda: "on the sick" not in screen_text(short))


async def test_compared_on_a_narrow_screen(short: SandboxApp) -> None:
    short.state.lab_beside = "unified"
    async with short.run_test(size=NARROW) as pilot:
        await entered(pilot)
        await sees(
            pilot, "preset happyos", "preset unified", "policy", "availability", "fault begins", "beside unified"
        )


# --- breaking by hand -----------------------------------------------------------------------------------------------


async def provoke(pilot: Pilot[None], *keys: str) -> None:
    app: Any = pilot.app
    await pilot.press("f")
    await until(pilot, lambda: isinstance(app.screen, FaultDialog))
    await pilot.press(*keys, "enter")


async def test_a_fault_by_hand_leaves_what_was_before_as_it_was(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        first = room.take
        assert first is not None
        room.go(at(14.9))
        await provoke(pilot)
        second = await again(pilot, first)
        assert [timed.provider for timed in second.scenario.faults] == ["bedrock", "openai"]
        assert events_before(second, at(14.9)) == events_before(first, at(14.9))
        assert second.recording.figures(at(30)) != first.recording.figures(at(30))
        assert room.player.at_us == at(14.9)
        await sees(pilot, "changed by hand", "by hand: 503 on openai", "openai is broken from here on: w saves it")
        room.go(at(30))
        await sees(pilot, "nobody answers")
        await pilot.press("F")
        third = await again(pilot, second)
        assert third.scenario is first.scenario
        await until(pilot, lambda: "changed by hand" not in screen_text(short))


async def test_what_ails_a_provider_can_be_healed(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        first = room.take
        room.go(at(11.5))
        await pilot.press("f")
        await until(pilot, lambda: isinstance(short.screen, FaultDialog))
        await sees(pilot, "Break or heal at 00:11.500", "bedrock  !503")
        assert "force open" not in screen_text(short)
        await pilot.press("left", "up", "right", "home", "enter")
        second = await again(pilot, first)
        assert second.scenario.faults[0].end_us == at(11.5)
        assert second.recording.figures(second.recording.ended_us).failed_attempts == [2, 0]
        assert room.changed
        assert room.added == 0


async def test_at_the_end_there_is_nothing_left_to_break(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        first = room.take
        await pilot.press("end")
        await provoke(pilot)
        await until(pilot, lambda: "at or after the end" in notice(short))
        assert room.take is first


async def test_a_changed_outage_is_saved_as_a_scenario(short: SandboxApp, own: Path) -> None:
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        take = room.take
        room.go(at(14.9))
        await provoke(pilot)
        take = await again(pilot, take)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(short.screen, NameDialog))
        await sees(pilot, "short-2", "writes")
        await pilot.press("ctrl+u", *"No")
        await sees(pilot, "a name has small letters")
        await pilot.press("enter")
        assert isinstance(short.screen, NameDialog)
        await pilot.press("ctrl+u", *"worse", "enter")
        await again(pilot, take)
        saved = load(own / "worse.yaml")
        assert saved.name == "worse"
        assert [timed.begin_us for timed in saved.faults] == [at(10), at(14.9)]
        assert room.key == "own/worse"
        assert not room.changed
        assert "worse.yaml" in notice(short)


async def test_another_scenario_does_not_take_changes_away_unasked(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take
        room.go(at(14.9))
        await provoke(pilot)
        take = await again(pilot, take)
        for answer, changed in (("escape", True), ("enter", False)):
            await pilot.press("o")
            await until(pilot, lambda: isinstance(short.screen, ScenarioPicker) and short.screen.rows.rows)
            await pilot.press("g", "j", "enter")
            await until(pilot, lambda: isinstance(short.screen, Confirm))
            await sees(pilot, "was changed by hand, and that is saved nowhere")
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(short.screen, Confirm))
            if not changed:
                await again(pilot, take)
            assert room.changed is changed


# --- editing --------------------------------------------------------------------------------------------------------


async def test_editing_says_what_is_wrong_as_it_is_typed_and_saves_a_copy(make: Make, tmp_path: Path) -> None:
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "one-500"
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot, "one-500")
        take = room.take
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ScenarioEditor))
        editor: Any = app.screen
        await sees(pilot, "✓ right: about 60 requests", "1  version: 1")
        text = editor.area.text
        editor.area.load_text(text.replace("seed:", "sed:"))
        await sees(pilot, "✗ one-500.yaml:4: sed is no key of a scenario; did you mean 'seed'?")
        await pilot.press("ctrl+s")
        await pilot.pause(0.1)
        assert isinstance(app.screen, ScenarioEditor)
        editor.area.load_text(text.replace("rate: 1/s", "rate: 2/s"))
        await sees(pilot, "✓ right: about 120 requests")
        await pilot.press("ctrl+s")
        take = await again(pilot, take)
        assert take.result is not None
        assert take.result.metrics["requests"] == 120
        assert load(tmp_path / "scenarios" / "one-500.yaml").document.traffic[0].rate == 2
        assert (FOLDER / "one-500.yaml").read_text() == text
        assert room.key == "own/one-500"


async def test_a_text_left_unfinished_is_there_again(short: SandboxApp, own: Path) -> None:
    async with short.run_test(size=NARROW) as pilot:
        await entered(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(short.screen, ScenarioEditor))
        editor: Any = short.screen
        editor.area.load_text(SHORT + "# unfinished: [\nx")
        await sees(pilot, "✗ short.yaml:")
        await pilot.press("escape")
        await until(pilot, lambda: "not saved: e goes on with your text" in notice(short))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(short.screen, ScenarioEditor))
        assert short.screen.area.text.endswith("# unfinished: [\nx")  # type: ignore[attr-defined]
        await pilot.press("escape", "ctrl+q")
    assert (own / "short.yaml").read_text() == SHORT
    kept = orjson.loads((own.parent / "tui-state.json").read_bytes())
    assert kept["lab_drafts"] == [["own/short", SHORT + "# unfinished: [\nx"]]


async def test_another_file_is_not_overwritten_unasked(short: SandboxApp, own: Path) -> None:
    (own / "other.yaml").write_text(SHORT.replace("name: short", "name: other"))
    before = (own / "other.yaml").read_text()
    async with short.run_test(size=WIDE) as pilot:
        await entered(pilot)
        for answer in ("escape", "enter"):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(short.screen, ScenarioEditor))
            editor: Any = short.screen
            editor.area.load_text(SHORT.replace("name: short", "name: other").replace("seed: 3", "seed: 4"))
            await sees(pilot, "✓ right")
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(short.screen, Confirm))
            await pilot.press(answer)
            await until(pilot, lambda: not isinstance(short.screen, Confirm))
            if answer == "escape":
                assert (own / "other.yaml").read_text() == before
        await until(pilot, lambda: load(own / "other.yaml").document.seed == 4)


# --- running --------------------------------------------------------------------------------------------------------


async def test_a_long_run_shows_how_far_it_is_and_can_be_stopped(make: Make, own: Path) -> None:
    (own / "long.yaml").write_text(SHORT.replace("name: short", "name: long").replace("rate: 1/s", "rate: 2000/s"))
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/long"
    async with app.run_test(size=WIDE) as pilot:
        room: Any = app.room
        await sees(pilot, "about 120,000 requests", "Esc stops", "%")
        await until(pilot, lambda: room.work is not None and room.work.watch.now_us > 0)
        await pilot.press("escape")
        await until(pilot, lambda: room.work is None and room.take is not None)
        assert room.take.result is None
        await pilot.press("end")
        await sees(pilot, "stopped at 0:0", "r runs it again")
        await pilot.press("n", "b", "escape", "a", "escape")
        assert "result" not in app.facts()


async def test_stopping_a_second_run_keeps_the_first(short: SandboxApp, own: Path) -> None:
    (own / "long.yaml").write_text(SHORT.replace("name: short", "name: long").replace("rate: 1/s", "rate: 2000/s"))
    async with short.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        take = room.take
        await pilot.press("o")
        await until(pilot, lambda: isinstance(short.screen, ScenarioPicker) and short.screen.rows.rows)
        await pilot.press("slash", *"long", "enter", "enter")
        await until(pilot, lambda: room.work is not None)
        await pilot.press("escape")
        await until(pilot, lambda: room.work is None)
        assert room.take is take
        assert room.key == "own/short"
        assert "stopped" in notice(short)


async def test_what_is_too_large_is_thinned_out_and_says_so(short: SandboxApp, monkeypatch: pytest.MonkeyPatch) -> None:
    def little(one: Scenario, **named: Any) -> Take:
        return record(one, **named, kept=200)

    monkeypatch.setattr("sandbox.tui.lab.bench.record", little)
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("end")
        await sees(pilot, "thinned out", "the end: 60 of 60 answered", "failed over 33")
        await pilot.press("G", "enter")
        await sees(pilot, "on only moments are kept; every count is whole")
        assert room.take is not None
        assert len(room.take.recording) < 250


async def test_leaving_the_program_ends_a_run(make: Make, own: Path) -> None:
    (own / "long.yaml").write_text(SHORT.replace("name: short", "name: long").replace("rate: 1/s", "rate: 5000/s"))
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/long"
    async with app.run_test(size=WIDE) as pilot:
        room: Any = app.room
        await until(pilot, lambda: room.work is not None and room.work.watch.now_us > 0)
        watch = room.work.watch
        await pilot.press("ctrl+q")
    stood = watch.now_us
    await asyncio.sleep(0.1)
    assert watch.now_us == stood < at(60)


async def test_another_scenario_takes_the_place_of_one_that_is_still_worked_out(make: Make, own: Path) -> None:
    (own / "long.yaml").write_text(SHORT.replace("name: short", "name: long").replace("rate: 1/s", "rate: 5000/s"))
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/long"
    async with app.run_test(size=WIDE) as pilot:
        room: Any = app.room
        await until(pilot, lambda: room.work is not None and room.work.watch.now_us > 0)
        long = room.work
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ScenarioPicker) and app.screen.rows.rows)
        await pilot.press("slash", *"short", "enter", "enter")
        await entered(pilot)
        assert room.key == "own/short"
        stood = long.watch.now_us
        await asyncio.sleep(0.1)
        assert long.watch.now_us == stood


async def test_what_nobody_foresaw_is_a_sentence(short: SandboxApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take

        def broken(one: Scenario, **named: Any) -> Take:
            raise RuntimeError("the bench has collapsed")

        monkeypatch.setattr("sandbox.tui.lab.bench.record", broken)
        await pilot.press("r")
        await until(pilot, lambda: "the bench has collapsed" in notice(short))
        assert room.take is take
        assert room.work is None


async def test_a_state_that_a_hand_has_written_does_no_harm(make: Make, own: Path) -> None:
    app = make()
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario, app.state.lab_preset, app.state.lab_beside = "own/short", "nonsense", "rubbish"
    app.state.lab_level, app.state.lab_speed, app.state.lab_at_us = "what", -7, -5
    app.state.lab_text, app.state.lab_added = "version: [", 9
    app.state.lab_drafts = [["a"], "b", [1, 2], ["own/short", "kept"]]  # type: ignore[list-item]
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        assert (room.preset, room.beside_preset, room.level, room.player.at_us) == ("", "", "moments", 0)
        assert room.drafts == {"own/short": "kept"}
        assert not room.changed


# --- what is kept ---------------------------------------------------------------------------------------------------


async def test_a_report_and_the_screen_are_exported(short: SandboxApp, tmp_path: Path) -> None:
    async with short.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "exported" in notice(short))
        folder = tmp_path / "exports"
        assert str(folder / "short-happyos") in notice(short)
        assert (folder / "short-happyos.md").read_text().startswith("# short\n")
        assert orjson.loads((folder / "short-happyos.json").read_bytes())["requests"] == 60
        assert (folder / "short-happyos.svg").read_text().startswith("<svg")
        await pilot.press("x")
        await until(pilot, lambda: (folder / "short-happyos-2.svg").exists())


async def test_a_folder_that_cannot_be_written_says_so(short: SandboxApp, tmp_path: Path) -> None:
    (tmp_path / "exports").write_text("a file")
    async with short.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("x")
        await until(pilot, lambda: "cannot write to" in notice(short))


async def test_a_restart_finds_scenario_preset_cursor_and_changes_again(make: Make, own: Path) -> None:
    first = make()
    first.state.room = first.frame.room = "lab"
    first.state.lab_scenario = "own/short"
    async with first.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        take = room.take
        await pilot.press("P")
        await until(pilot, lambda: isinstance(first.screen, Chooser))
        await pilot.press("down", "enter")
        take = await again(pilot, take)
        room.go(at(14.9))
        await provoke(pilot)
        take = await again(pilot, take)
        await pilot.press("v", "s", "right", "ctrl+q")
        stood = room.player.at_us
    second = make()
    async with second.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        assert room.player.at_us == stood
        assert (room.key, room.preset, room.level, room.player.choice) == ("own/short", "sandbox", "requests", 2)
        assert room.take is not None
        assert room.take.scenario.sha256 == take.scenario.sha256
        await sees(pilot, "changed by hand", "by hand: 503 on openai", "preset sandbox")


# --- the frame ------------------------------------------------------------------------------------------------------


async def test_the_room_keeps_its_state_and_goes_on_where_it_stood(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        room.go(at(20))
        await pilot.press("1")
        await until(pilot, lambda: short.frame.room == "playground")
        await pilot.press("f3")
        await until(pilot, lambda: short.room is room)
        assert room.player.at_us == at(20)
        assert short.focused is room.rows


async def test_jump_mode_and_help(short: SandboxApp) -> None:
    async with short.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        for key, reached in (
            ("f", lambda: short.focused is room.pane.box),
            ("e", lambda: short.focused is room.rows),
            ("d", lambda: short.focused is room.detail),
            ("s", lambda: isinstance(short.screen, ScenarioPicker)),
        ):
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(short.screen, JumpScreen))
            await pilot.press(key)
            await until(pilot, reached, key)
            await pilot.press("escape")
            await pilot.pause()
        await until(pilot, lambda: not isinstance(short.screen, ScenarioPicker))
        room.rows.focus()
        await pilot.press("question_mark")
        await sees(pilot, "What happened, one row each", "Provoke a fault at the cursor")


@pytest.mark.parametrize("theme", ["textual-light", "textual-dark"])
async def test_shapes_carry_the_meaning_in_every_theme(make: Make, own: Path, theme: str) -> None:
    app = make(ui={"theme": theme})
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/short"
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        room.go(at(50))
        await sees(pilot, "✗3 of")
        lane = next(line for line in screen_text(app).splitlines() if line.startswith(" bedrock "))
        assert re.search(r"█+[▒✗]+○+◐█+", lane)


async def test_ascii_only(make: Make, own: Path) -> None:
    app = make(ui={"ascii": True})
    app.state.room = app.frame.room = "lab"
    app.state.lab_scenario = "own/short"
    async with app.run_test(size=NARROW) as pilot:
        room = await entered(pilot)
        room.go(at(50))
        await sees(pilot, "of 21")
        filters = app.get_line_filters()
        from textual.color import Color

        drawn = []
        for strip in app.screen._compositor.render_strips():
            segments = list(strip)
            for one in filters:
                segments = one.apply(segments, Color(0, 0, 0))
            drawn.append("".join(segment.text for segment in segments))
        assert [line for line in drawn if not line.isascii()] == []
        lane = next(line for line in drawn if line.startswith(" bedrock "))
        assert re.search(r"#+[:x]+o+%#+", lane)


@pytest.mark.parametrize("name", names())
def test_every_built_in_outage_can_be_looked_at(name: str) -> None:
    """Every row of its moments, at length, and every part of its time line."""
    from sandbox.tui.lab.explaining import opening_lines, row_lines, summary_lines
    from sandbox.tui.lab.timeline import Timeline, View

    take = record(scenario(name))
    for width in (60, 100):
        assert opening_lines(take)
        assert summary_lines([take, take], width)
        for position in list(take.recording.moments)[:200]:
            assert row_lines(take, position, width)
        for step in range(11):
            line = Timeline()
            line.view = View([take], take.recording.ended_us * step // 10, tall=width > 60)
            lines = line.lines_for(width)
            assert max(sum(len(text) for text, _ in one) for one in lines) <= width
