"""Room 2, driven as a person drives it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from providers.clock import random_id, seeded
from providers.errors import AuthenticationError, ConfigError
from sandbox.gateway.gateway import Gateway
from sandbox.gateway.policies import Policy
from sandbox.tui.application import SMALLEST, SandboxApp
from sandbox.tui.compare.picker import ModelPicker
from sandbox.tui.compare.room import CompareRoom
from sandbox.tui.dialogs import Chooser, Confirm, Reader
from tests.sandbox.gateway.support import Scripted
from tests.tui.support import NARROW, WIDE, MovedClock, ScriptedRuntime, notice, screen_text, sees, settings, until

Make = Callable[..., SandboxApp]
MODELS = {"openai": "gpt-4", "anthropic": "claude-3-haiku", "bedrock": "claude-3-opus"}


class Scene(ScriptedRuntime):
    """Each scripted provider with a model of its own."""

    def _build(self, policy: Policy) -> Gateway:
        gateway = Gateway(policy, mode=self.mode, clock=self.clock, draws=seeded(1), ids=random_id, bus=self.bus)
        for id, steps in self._scripts.items():
            gateway.register(id, Scripted(self.clock, *steps, kind=id, model=MODELS[id]))
        return gateway


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Make]:
    """Applications over providers that follow a script."""
    made: list[SandboxApp] = []

    def build(scripts: dict[str, list[Any]], **changes: Any) -> SandboxApp:
        async def opener(chosen: Any, clock: Any) -> Any:
            return Scene(clock, scripts, mode=chosen.mode)

        app = SandboxApp(settings(tmp_path, **changes), clock=MovedClock(), opener=opener)
        made.append(app)
        return app

    yield build
    for app in made:
        app.engine.close()


THREE = {"openai": ["a blue answer"], "anthropic": ["a red answer"], "bedrock": ["a green answer"]}


async def entered(pilot: Pilot[None]) -> CompareRoom:
    """Go to the room and wait until somebody can be compared."""
    await pilot.press("f2")
    app: Any = pilot.app
    await until(pilot, lambda: isinstance(app.room, CompareRoom) and app.room.columns and app.room.panes, "the room")
    await pilot.pause()
    room: CompareRoom = app.room
    return room


async def compared(pilot: Pilot[None], *keys: str) -> CompareRoom:
    """Press these keys and wait for the end of a comparison that they begin."""
    room = await entered(pilot)
    before = room.races.race
    await pilot.press(*keys)
    await until(pilot, lambda: room.races.race not in (None, before) and not room.races.running, "a comparison")
    await pilot.pause()
    return room


def both_answers(room: CompareRoom) -> list[str]:
    return [pane.text for pane in room.panes]


# --- the first minute -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [NARROW, (100, 30), WIDE])
async def test_a_newcomer_compares_with_one_key(make: Make, size: tuple[int, int]) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        room = await entered(pilot)
        await sees(pilot, "Enter asks all", "▶ Compare")
        await compared(pilot, "enter")
        await sees(pilot, "1 gpt-4o-mini", "★ cheapest · ⚡ fastest", "~$0.0000", "~ simulated")
        assert all(both_answers(room))
        seen = [pane for pane in room.panes if pane.display]
        assert len(seen) == (1 if size == NARROW else 3)
        text = screen_text(app)
        assert ("30 days at 1,000 requests a day" in text) is (size == WIDE)


async def test_columns_stream_side_by_side_and_escape_keeps_what_has_come(scene: Make) -> None:
    scripts = {"openai": [("quick", 0.01, "one")], "anthropic": [("slow but", 60.0, "sure")]}
    app = scene(scripts)
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("h", "i", "enter")
        await sees(pilot, "slow but", "quick one", "Stop")
        await until(pilot, lambda: re.search(r"1 word \d\.\d s", screen_text(app)), "the time after a second")
        room: Any = app.room
        assert room.races.running
        await pilot.press("f1", "escape", "escape")
        await until(pilot, lambda: not room.races.running, "the end")
        await sees(pilot, "Cancelled: what had come is kept", "slow but", "quick one")
        assert room.panes[0].text == "quick one"
        assert "Stop " not in screen_text(app)


async def test_a_column_that_fails_says_why_and_the_others_go_on(scene: Make) -> None:
    app = scene({**THREE, "anthropic": [AuthenticationError("no such key", status=401)]})
    async with app.run_test(size=WIDE) as pilot:
        room = await compared(pilot, "h", "i", "enter")
        await sees(pilot, "✗ AuthenticationError", "no such key", "a blue answer", "a green answer")
        outcome = room.races.race and room.races.race.outcome
        assert outcome is not None
        assert [len(one.answers) for one in outcome.overall] == [1, 0, 1]


async def test_what_goes_on_behind_another_room_is_there_when_one_comes_back(scene: Make) -> None:
    app = scene({"openai": [(0.2, "late one")], "anthropic": ["early"]})
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("h", "i", "enter", "f3")
        await until(pilot, lambda: app.frame.room == "lab")
        await until(pilot, lambda: room.races.race is not None and not room.races.running, "the end")
        await pilot.press("f2")
        await sees(pilot, "late one", "early", "★ cheapest")


async def test_a_gateway_that_cannot_be_opened(tmp_path: Path) -> None:
    async def refuse(chosen: Any, clock: Any) -> Any:
        raise ConfigError("set a provider's key")

    app = SandboxApp(settings(tmp_path), clock=MovedClock(), opener=refuse)
    app.state.room = app.frame.room = "compare"
    async with app.run_test(size=WIDE) as pilot:
        await sees(pilot, "The gateway could not be opened", "set a provider's key")
        await pilot.press("f2", "enter")
        await until(pilot, lambda: "not possible now" in notice(app))
    app.engine.close()


# --- money ----------------------------------------------------------------------------------------------------------


async def test_real_money_is_agreed_to_first(scene: Make) -> None:
    app = scene({"openai": ["paid"], "anthropic": ["paid too"]}, mode="live", compare={"confirm_above": "1000"})
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await sees(pilot, "Paid comparison", "real money", "gpt-4")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert (room.editor.text, room.races.race) == ("hi", None)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
        await pilot.press("enter")
        await sees(pilot, "paid too")
        assert "~" not in "".join(pane.border_subtitle or "" for pane in room.panes)
        # Agreed to once; below the limit nobody is asked again.
        await until(pilot, lambda: not room.races.running)
        first = room.races.race
        await pilot.press("r")
        await until(pilot, lambda: room.races.race is not first and not room.races.running, "another")


async def test_above_the_limit_it_is_asked_every_time(scene: Make) -> None:
    app = scene({"openai": ["paid"], "anthropic": ["paid too"]}, mode="live", compare={"confirm_above": "0"})
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("h", "i")
        for _ in range(2):
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, Confirm), "the question")
            await pilot.press("y")
            await until(pilot, lambda: room.races.race is not None and not room.races.running, "the end")
            await pilot.pause(0.1)


# --- choosing -------------------------------------------------------------------------------------------------------


async def test_models_are_chosen_from_all_that_there_are_and_kept(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("tab", "m")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker), "the picker")
        await sees(pilot, "3 marked of at most 6")
        await pilot.press("c", "enter")
        await until(pilot, lambda: "mark at least 2" in notice(app))
        await pilot.press("slash", *"opus", "enter", "space", "j", "space", "slash", "ctrl+u", "enter", "space")
        await sees(pilot, "3 marked of at most 6")
        picker: Any = app.screen
        chosen = list(picker._rows.chosen)
        assert sum("opus" in key for key in chosen) == 2
        await pilot.press("enter")
        await until(pilot, lambda: [column.key for column in room.columns] == chosen, "the columns")
        await compared(pilot, "ctrl+s")
        await pilot.press("ctrl+q")
    later = make()
    async with later.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await until(pilot, lambda: [column.key for column in room.columns] == chosen, "the same columns")
        assert room.editor.text


@pytest.mark.parametrize("stored", [False, True])
async def test_the_last_comparison_is_there_after_a_restart(scene: Make, stored: bool) -> None:
    app = scene(THREE, usage={"store_prompts": stored})
    async with app.run_test(size=WIDE) as pilot:
        room = await compared(pilot, "enter")
        before = room.races.race
        assert before is not None
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not app.is_running, "the end")
    later = scene(THREE, usage={"store_prompts": stored})
    async with later.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        race = room.races.race
        assert race is not None
        assert race.outcome is not None
        assert before.outcome is not None
        assert [one.cost for one in race.outcome.overall] == [one.cost for one in before.outcome.overall]
        assert [one.fastest for one in race.outcome.overall] == [one.fastest for one in before.outcome.overall]
        await sees(pilot, "~$", *(["a blue answer", "a green answer"] if stored else ["The answer was not kept"]))
        assert ("two_answers" in room.facts()) == stored
        await compared(pilot, "tab", "r")
        await sees(pilot, "a red answer")


@pytest.mark.parametrize("written", ["{", "[]", '{"mode": "mock"}'])
async def test_a_result_that_a_hand_has_written_does_no_harm(scene: Make, written: str) -> None:
    app = scene(THREE)
    app.state.compare_result = written
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        assert room.races.race is None
        await sees(pilot, "Enter asks all of them at once")


@pytest.mark.parametrize("size", [SMALLEST, NARROW])
async def test_a_low_terminal_shows_answers_and_figures(scene: Make, size: tuple[int, int]) -> None:
    app = scene(THREE)
    async with app.run_test(size=size) as pilot:
        await compared(pilot, "enter")
        await sees(pilot, "a blue answer", "1 gpt-4 ")


async def test_no_more_than_six(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await entered(pilot)
        await pilot.press("tab", "m")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker), "the picker")
        await pilot.press("c", *(["space", "j"] * 7))
        picker: Any = app.screen
        assert len(picker._rows.chosen) == 6
        assert "6 are marked already" in notice(app)
        await pilot.press("enter")
        room: Any = app.room
        await until(pilot, lambda: len(room.panes) == 6)
        await compared(pilot, "ctrl+s")
        await until(pilot, lambda: all(both_answers(room)))


async def test_a_choice_that_is_gone_is_said(scene: Make) -> None:
    app = scene(THREE)
    app.state.compare_models = ["openai/gpt-4", "nobody/gpt-9", 7]  # type: ignore[list-item]
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await until(pilot, lambda: "not available here: nobody/gpt-9" in notice(app))
        assert [column.key for column in room.columns] == ["openai/gpt-4"]


async def test_repeating_tells_medians_and_spreads(scene: Make) -> None:
    app = scene(THREE)
    async with app.run_test(size=WIDE) as pilot:
        room = await entered(pilot)
        await pilot.press("tab", "n")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press("down", "enter")
        await compared(pilot, "ctrl+s")
        outcome = room.races.race and room.races.race.outcome
        assert outcome is not None
        assert [len(one.samples) for one in outcome.overall] == [3, 3, 3]
        await sees(pilot, "medians of 3 turns")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await sees(pilot, "Spread", "30 days, by requests a day", "100,000", "3 of 3")


# --- reading --------------------------------------------------------------------------------------------------------


async def test_arrows_change_the_volume_of_the_month(scene: Make) -> None:
    app = scene(THREE)
    async with app.run_test(size=WIDE) as pilot:
        room = await compared(pilot, "h", "i", "enter")
        outcome = room.races.race and room.races.race.outcome
        assert outcome is not None
        await pilot.press("right", "right")
        await sees(pilot, "30 days at 5,000 requests a day")
        await pilot.press("left", "left", "left")
        await sees(pilot, "30 days at 500 requests a day")
        month = outcome.overall[0].monthly(500)
        assert month is not None
        await sees(pilot, f"~${month:,.2f}")
        assert app.state.compare_volume == 500


async def test_narrow_columns_are_tabs(scene: Make) -> None:
    app = scene(THREE)
    async with app.run_test(size=NARROW) as pilot:
        room = await compared(pilot, "h", "i", "enter")
        await sees(pilot, "a blue answer")
        await pilot.press("l")
        await sees(pilot, "a red answer")
        assert "a blue answer" not in screen_text(app)
        await pilot.press("h", "h")
        await sees(pilot, "a green answer")
        await pilot.press("t")
        await sees(pilot, "30 days at 1,000 requests a day")
        assert not room.figures.display
        await pilot.resize_terminal(*WIDE)
        await sees(pilot, "a red answer", "a blue answer", "Figures", "30 days at")


async def test_two_answers_are_told_apart_word_by_word(scene: Make) -> None:
    app = scene(THREE)
    async with app.run_test(size=WIDE) as pilot:
        await compared(pilot, "h", "i", "enter")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press("down", "enter")
        await sees(pilot, "a [-blue-]{+green+} answer", "alike")


async def test_an_answer_is_copied_and_all_is_exported(scene: Make, tmp_path: Path) -> None:
    app = scene(THREE)
    async with app.run_test(size=WIDE) as pilot:
        await compared(pilot, "h", "i", "enter")
        await pilot.press("tab", "y")
        assert app.clipboard in ("a blue answer", "a red answer")
        for count in (1, 2):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Chooser))
            await pilot.press("enter")
            stem = "comparison" if count == 1 else "comparison-2"
            await until(pilot, lambda stem=stem: f"{stem}.csv, .json, .md, .html" in notice(app), "the export")  # type: ignore[misc]
    exports = tmp_path / "exports"
    assert {path.suffix for path in exports.iterdir()} == {".csv", ".json", ".md", ".html"}
    assert json.loads((exports / "comparison-2.json").read_text())["items"][0]["text"] == "a blue answer"


async def test_plain_characters_do(scene: Make) -> None:
    app = scene(THREE, ui={"ascii": True})
    async with app.run_test(size=WIDE) as pilot:
        await compared(pilot, "h", "i", "enter")
        await pilot.press("right")
        await sees(pilot, "30 days at")
        filtered = "\n".join(
            "".join(segment.text for segment in line)
            for line in (
                app._plain.apply(list(strip), app.screen.styles.background)  # type: ignore[union-attr]
                for strip in app.screen._compositor.render_strips()
            )
        )
    assert filtered.isascii(), sorted({letter for letter in filtered if not letter.isascii()})
