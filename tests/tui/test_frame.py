"""The frame: mode, palette, help, jump, sizes, themes, and what survives a restart."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.widgets import OptionList

from sandbox.tui import actions
from sandbox.tui.application import SMALLEST, SandboxApp
from sandbox.tui.dialogs import Chooser, Reader
from sandbox.tui.frame import FrameFacts, TopBar
from sandbox.tui.jump import JumpScreen
from sandbox.tui.palette import ActionCommands
from sandbox.tui.prompt import PromptEditor
from sandbox.tui.rooms import ROOMS
from sandbox.tui.state import FILE_NAME
from tests.tui.support import NARROW, WIDE, asked, ended, notice, ready, screen_text, sees, settle, until

Make = Callable[..., SandboxApp]


async def test_the_palette_lists_every_action_by_name_and_key(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        hits = [hit async for hit in ActionCommands(app.screen).discover()]
        titles = {str(hit.text): str(hit.help) for hit in hits}
        for action in actions.ACTIONS:
            if action.place != actions.LIST:
                assert action.title in titles
                key = action.key_for(typing=False)
                assert key is None or titles[action.title].startswith(actions.shown(key))
        assert all(f"Go to {room.title}" in titles for room in ROOMS)


async def test_the_palette_does_what_is_chosen(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"hints")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: not app.state.hints)
        await until(pilot, lambda: notice(app) == "hints are off")


async def test_what_cannot_be_done_says_so(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        app.perform("resend")
        assert notice(app) == "Send again: not possible now"


@pytest.mark.parametrize("key", ["f1", "question_mark"])
async def test_help_is_about_what_has_the_focus(make: Make, key: str) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=(120, 60)) as pilot:
        await ready(pilot)
        if key == "f1":
            await pilot.press(key)
            await sees(pilot, "Enter sends it", "Break a provider")
        else:
            await asked(pilot, "hi")
            await pilot.press("shift+tab", key)
            await sees(pilot, "One row for each attempt", "Break a provider")
        assert isinstance(app.screen, Reader)
        await pilot.press("G")
        await sees(pilot, "UTC")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_jump_reaches_everything(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        for key, reached in (("a", "answer"), ("r", "route"), ("h", "rows"), ("i", "prompt")):
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, JumpScreen))
            assert f" {key} " in screen_text(app)
            await pilot.press(key)
            await until(pilot, lambda id=reached: app.focused is not None and app.focused.id == id, reached)  # type: ignore[misc]
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, JumpScreen))
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Chooser))


async def test_resizing_stacks_and_unstacks_and_loses_nothing(make: Make) -> None:
    app = make({"one": ["the answer"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await sees(pilot, "the answer", "✓ gpt-4", "one          gpt-4")
        await pilot.resize_terminal(*NARROW)
        await sees(pilot, "the answer", "✓ gpt-4", "Route │ History")
        await pilot.press("t")
        await sees(pilot, "1 · / filter")
        assert "✓ gpt-4" not in screen_text(app)
        title = next(y for y, line in enumerate(screen_text(app).splitlines()) if "Route │" in line)
        await pilot.click(offset=(screen_text(app).splitlines()[title].index("Route") + 1, title))
        await sees(pilot, "✓ gpt-4")
        await pilot.resize_terminal(*WIDE)
        await sees(pilot, "✓ gpt-4", "1 · / filter")
        assert "Route │" not in screen_text(app)


@pytest.mark.parametrize("size", [SMALLEST, NARROW])
async def test_a_long_prompt_leaves_room_for_the_answer(make: Make, size: tuple[int, int]) -> None:
    app = make({"one": ["the answer"]})
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        app.room.editor.put("\n".join(["a line"] * 30))
        await pilot.press("ctrl+s")
        await ended(pilot, 1)
        await sees(pilot, "a line", "the answer", "Route │ History")


async def test_a_terminal_that_is_too_small_says_what_is_needed(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=(50, 12)) as pilot:
        await sees(pilot, "This terminal has 50×12 cells.", "The sandbox needs 60×16")
        assert "Prompt" not in screen_text(app)
        await pilot.resize_terminal(60, 16)
        await sees(pilot, "Prompt", "Route │ History", "MOCK")
        await ready(pilot)
        await asked(pilot, "hi")


@pytest.mark.parametrize("size", [(60, 16), NARROW, (100, 24), WIDE])
async def test_the_frame_is_whole_at_every_size(make: Make, size: tuple[int, int]) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("f", "enter")
        await until(pilot, lambda: app.board.broken)
        lines = screen_text(app).splitlines()
        assert "MOCK" in lines[0]
        assert "azure" in lines[-2]
        assert "!503" in lines[-2]
        assert "help" in lines[-1]
        assert "▶ Send" in screen_text(app)


async def test_plain_characters_only(make: Make) -> None:
    app = make(ui={"ascii": True})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("f", "enter")
        await until(pilot, lambda: app.board.broken)
        await pilot.press("r")
        await ended(pilot, 2)
        await sees(pilot, "x 503 unavailable", "+ gpt-4o-mini")
        await pilot.press("ctrl+p")
        await pilot.pause(0.1)
        await pilot.press("escape", "h")
        await pilot.pause(0.1)
        odd = {letter for letter in screen_text(app) if not letter.isascii()}
        assert odd == set()


async def test_what_a_key_brings_waits_for_no_frame(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        app.query_one(PromptEditor).focus()
        await pilot.pause()
        frames = app.screen._update_timer
        frames.pause()
        monkeypatch.setattr(frames, "resume", lambda: None)
        shown: list[str] = []
        display = app._display

        def seen(screen: Any, renderable: Any) -> None:
            shown.append(screen_text(app))
            display(screen, renderable)

        monkeypatch.setattr(app, "_display", seen)
        await pilot.press("q", "q", "z")
        for _ in range(600):
            # A pause of the pilot's would paint.
            await settle()
        assert "qqz" in shown[-1]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "tokyo-night", "catppuccin-latte"])
async def test_themes_by_setting(make: Make, theme: str) -> None:
    app = make({"one": ["hello"]}, ui={"theme": theme})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        assert app.theme == theme
        await asked(pilot, "hi")


def test_colours_come_from_the_theme_only() -> None:
    import re

    folder = Path(actions.__file__).parent
    for file in (*folder.glob("*.py"), *folder.glob("*.tcss")):
        found = re.findall(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b|\brgba?\(", file.read_text())
        assert not found, (file.name, found)


async def test_everything_is_as_it_was_after_a_restart(make: Make) -> None:
    app = make({"one": ["the answer"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        app.theme = "nord"
        await pilot.press("t", "i", "a", "space", "draft")
        app.room.editor.put("a draft")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code is not None or not app.is_running)
    assert app.return_code == 0
    app.engine.close()

    again = make({"one": ["another"]})
    async with again.run_test(size=NARROW) as pilot:
        await ready(pilot)
        assert again.theme == "nord"
        assert again.room.editor.text == "a draft"
        await sees(pilot, "History", "hi", "1 · / filter")
        await pilot.press("tab", "h", "enter")
        await sees(pilot, "was not kept")
        await pilot.press("t")
        await sees(pilot, "✓ gpt-4", "shown again")
        await pilot.press("r")
        await ended(pilot, 2)
        await sees(pilot, "another")


async def test_a_damaged_state_is_a_notice_not_a_crash(make: Make, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("{broken")
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "damaged" in notice(app))
        assert "set aside" in notice(app)


async def test_notes_of_the_start_are_shown(make: Make) -> None:
    app = make({"one": ["hello"]}, notes=["SANDBOX_TYPO is no setting"])
    async with app.run_test(size=NARROW) as pilot:
        await until(pilot, lambda: "SANDBOX_TYPO" in notice(app))


async def test_hints_can_be_turned_off(make: Make) -> None:
    app = make({"one": ["hello"]}, ui={"hints": False})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        assert notice(app) == ""


async def test_a_gateway_that_cannot_open_leaves_the_screen_standing(make: Make) -> None:
    app = make(mode="live")
    async with app.run_test(size=NARROW) as pilot:
        await sees(pilot, "The gateway could not be opened", "no provider of the chain")
        await pilot.press("L")
        app.room.answer.focus()
        assert isinstance(app.focused, PromptEditor) or app.focused is not None
        await pilot.press("ctrl+q")


async def test_another_mode_by_a_key(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await pilot.press("tab", "L")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press("down", "enter")
        await sees(pilot, "REPLAY · recorded answers only")


async def test_keys_of_a_room_do_nothing_under_a_dialog(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await pilot.press("r", "f")
        await pilot.pause(0.1)
        assert len(app.state.history) == 1
        assert isinstance(app.screen, Reader)
        assert screen_text(app).splitlines()[-1].strip() == ""


@pytest.mark.parametrize("key", ["question_mark", "ctrl+p", "ctrl+o", "T", "f"])
async def test_quitting_works_from_every_dialog(make: Make, key: str) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("tab", key)
        await until(pilot, lambda: len(app.screen_stack) > 1, "the dialog")
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code is not None or not app.is_running, "the end")
    assert app.return_code == 0


@pytest.mark.parametrize("width", range(60, 200, 7))
def test_the_top_bar_always_names_the_mode(width: int) -> None:
    rooms = [(room.name, room.key, room.title) for room in ROOMS]
    facts = FrameFacts(rooms, "compare", "mock", (), "sandbox", Decimal("0.0184"))
    left, right = TopBar(facts).cells(width)
    used = sum(cell.width for cell in (*left, *right))
    assert used <= width
    said = "".join(text for text, _ in right[0].line)
    assert "MOCK" in said
    if width >= 80:
        assert "nothing leaves this machine" in said
    shown = "".join(text for cell in left for text, _ in cell.line)
    assert "2 Compare" in shown
    assert all(room.key in shown for room in ROOMS)
