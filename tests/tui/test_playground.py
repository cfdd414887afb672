"""The first room, driven as a person drives it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from providers.errors import ServiceUnavailableError
from sandbox.tui.application import SandboxApp
from sandbox.tui.dialogs import Chooser, Confirm, FaultDialog, Reader
from sandbox.tui.history import HistoryPane, Rows
from sandbox.tui.prompt import SUGGESTIONS, PromptEditor
from tests.tui.support import (
    NARROW,
    WIDE,
    MovedClock,
    asked,
    ended,
    notice,
    ready,
    screen_text,
    sees,
    until,
)

Make = Callable[..., SandboxApp]


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_first_minute(make: Make, size: tuple[int, int]) -> None:
    app = make()
    async with app.run_test(size=size) as pilot:
        await ready(pilot)
        text = screen_text(app)
        # Where it is narrow, the names of the rooms leave room for the mode alone.
        assert "MOCK" in text
        assert "nothing leaves this machine" in text
        assert SUGGESTIONS[0] in text
        assert isinstance(app.focused, PromptEditor)
        assert "Press Enter" in notice(app)

        await asked(pilot)
        await sees(pilot, "✓ gpt-4o-mini", "cost ~$0.0", "14 in", "stop")
        assert "azure_openai" in screen_text(app)
        assert app.room.answer.text.strip() in app.state.history[0].answer
        assert "Press f to break" in notice(app)

        await pilot.press("f")
        await until(pilot, lambda: isinstance(app.screen, FaultDialog), "the dialog")
        await pilot.press("enter")
        await sees(pilot, "azure_openai !503")
        await pilot.press("r")
        await ended(pilot, 2)
        await sees(pilot, "✗ 503 unavailable", "↺ again after 50 ms", "for failing over")
        assert app.state.history[1].provider == "openai"
        assert app.state.history[1].failovers == 1


async def test_the_breaker_opens_and_counts_down_live(make: Make) -> None:
    clock = MovedClock()
    app = make(clock=clock)
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot)
        await pilot.press("f", "enter")
        await until(pilot, lambda: app.board.broken == ["azure_openai"])
        for count in (2, 3, 4):
            await pilot.press("r")
            await ended(pilot, count)
        await sees(pilot, "○ azure_openai !503 30s", "breaker opened: 5 failures within 60 s")
        clock.ahead += 12
        await sees(pilot, "○ azure_openai !503 18s")
        await pilot.press("r")
        await ended(pilot, 5)
        await sees(pilot, "» breaker open, probe in")
        clock.ahead += 20
        await sees(pilot, "azure_openai !503 probe next")
        await pilot.press("F")
        await until(pilot, lambda: not app.board.broken)
        await pilot.press("r")
        await ended(pilot, 6)
        assert app.state.history[-1].provider == "azure_openai"
        await sees(pilot, "● azure_openai  ● openai", "breaker closed: probe succeeded")


async def test_the_history_marks_how_often_a_question_moved(make: Make) -> None:
    app = make({"one": [ServiceUnavailableError("down", status=503)], "two": ["hello there"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await sees(pilot, "↷1", "hello there")


async def test_a_repeated_prompt_comes_from_the_cache_and_r_goes_past_it(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("i")
        await asked(pilot)
        await sees(pilot, " CACHED ", "saved ~$0.0")
        await pilot.press("r")
        await ended(pilot, 3)
        assert not app.state.history[-1].cached
        await sees(pilot, "sent again, past the cache")


async def test_a_broken_provider_is_never_hidden_by_the_cache(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("ctrl+f", "enter")
        await until(pilot, lambda: app.board.broken)
        await pilot.press("i", "enter")
        await ended(pilot, 2)
        assert app.state.history[-1].failovers == 1
        await sees(pilot, "cache off while a provider is broken")


async def test_escape_cancels_and_keeps_the_partial_text(make: Make) -> None:
    app = make({"one": [("some words so far", 3600.0, "never")]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("h", "i", "enter")
        await sees(pilot, "some words so far", "one is writing", "■ Stop")
        await pilot.press("escape")
        await ended(pilot, 1)
        await sees(pilot, "Cancelled: what had come is kept", "some words so far", "▶ Send")
        assert app.state.history[0].status == "cancelled"
        assert app.room.editor.text == "hi"
        await pilot.press("escape")
        assert isinstance(app.focused, PromptEditor)


async def test_elapsed_time_after_a_second(make: Make) -> None:
    clock = MovedClock()
    app = make({"one": [(3600.0, "never")]}, clock=clock)
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("h", "i", "enter")
        await sees(pilot, "asking one")
        assert " s ─" not in str(app.room.answer.border_subtitle)
        clock.ahead += 3
        await until(pilot, lambda: "3." in str(app.room.answer.border_subtitle), "the elapsed time")


async def test_letters_typed_while_it_runs_are_no_accident(make: Make) -> None:
    """A key that means something just not now leaves the prompt alone; other letters begin the next prompt."""
    app = make({"one": [(3600.0, "never")]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press("h", "i", "enter")
        await sees(pilot, "asking one")
        await pilot.press("r")
        assert app.room.editor.text == "hi"
        assert "not possible now" in notice(app)
        await pilot.press("W", "h", "y")
        assert app.room.editor.text == "Why"
        assert isinstance(app.focused, PromptEditor)


async def test_a_key_of_another_room_is_a_letter_here(make: Make) -> None:
    app = make({"one": ["yes"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("d")
        assert app.room.editor.text == "d"


async def test_a_failure_names_the_provider_and_what_to_do(make: Make) -> None:
    app = make({"one": [ServiceUnavailableError("overloaded", status=503)]}, policy={"deadline": 0.5})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await sees(pilot, "ServiceUnavailableError at one", "overloaded", "r sends again")
        assert "Traceback" not in screen_text(app)
        assert app.room.editor.text == "hi"


async def test_an_unknown_model_is_a_sentence(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        app.room.controls.model = "gpt-44"
        await asked(pilot, "hi")
        await sees(pilot, "unknown model 'gpt-44'", "Change the prompt or the choices")


async def test_history_shows_filters_and_resends(make: Make) -> None:
    app = make({"one": ["first answer", "second answer", "third answer"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "alpha")
        await asked(pilot, "beta")
        await sees(pilot, "second answer")
        await pilot.press("h", "j", "enter")
        await sees(pilot, "first answer", "shown again")
        assert app.room.editor.text == "alpha"

        await pilot.press("slash", "b", "e", "t")
        await until(pilot, lambda: app.query_one(Rows).option_count == 1)
        assert "1 of 2" in str(app.query_one(HistoryPane).border_subtitle)
        await pilot.press("enter", "r")
        await ended(pilot, 3)
        assert app.state.history[-1].prompt == "beta"
        await sees(pilot, "third answer")
        await pilot.press("slash", "escape")
        await until(pilot, lambda: app.query_one(Rows).option_count == 3)


async def test_up_and_down_bring_prompts_back(make: Make) -> None:
    app = make({"one": ["yes"]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "alpha")
        await asked(pilot, "beta")
        await pilot.press("i", "up")
        assert app.room.editor.text == "beta"
        await pilot.press("up")
        assert app.room.editor.text == "alpha"
        await pilot.press("down")
        assert app.room.editor.text == "beta"


async def test_resend_to_another_model(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press(*"haiku-4", "enter")
        await ended(pilot, 2)
        assert app.state.history[-1].answered_model == "claude-haiku-4-5"
        await sees(pilot, "claude-haiku-4-5 asked")


async def test_choices_reach_the_gateway(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await pilot.press("alt+v")
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press("down", "down", "down", "enter")
        await sees(pilot, "via anthropic ▾")
        await pilot.press("alt+s", "down", "enter")
        await sees(pilot, "least_cost ▾")
        await pilot.press("alt+p", "down", "enter")
        await sees(pilot, "preset happyos", "● bedrock", "● openai")
        assert list(app.board.lights) == ["bedrock", "openai"]
        assert "via chain ▾" in screen_text(app)
        await asked(pilot, "hi")
        assert app.state.history[-1].provider == "openai"


async def test_explain_tells_everything(make: Make) -> None:
    app = make({"one": [ServiceUnavailableError("overloaded", status=503)], "two": ["hello"]})
    async with app.run_test(size=(120, 60)) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Reader))
        request_id = app.state.history[0].request_id
        await sees(pilot, request_id, "ServiceUnavailableError: overloaded", "answered by two", "premium", "waste")
        await pilot.press("y")
        assert request_id in app.clipboard
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)


async def test_copies(make: Make) -> None:
    app = make()
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("y")
        assert app.clipboard == app.room.answer.text
        assert "copied the answer" in notice(app)
        await pilot.press("c")
        assert app.clipboard.startswith("curl ")
        assert "$AZURE_OPENAI_API_KEY" in app.clipboard
        await pilot.press("p")
        compile(app.clipboard, "snippet", "exec")


async def test_a_provider_without_an_address_cannot_be_copied(make: Make) -> None:
    app = make({"one": ["hello"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await pilot.press("c")
        assert "has no address outside this program" in notice(app)


async def test_live_asks_once_with_the_estimate(make: Make) -> None:
    app = make({"openai": ["paid words"]}, mode="live")
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        assert "LIVE" in screen_text(app)
        await pilot.press("h", "i", "enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await sees(pilot, "real money", "gpt-4", "$0.0")
        await pilot.press("escape")
        await until(pilot, lambda: len(app.screen_stack) == 1)
        assert not app.state.history
        assert app.room.editor.text == "hi"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        await ended(pilot, 1)
        await sees(pilot, "paid words")
        assert "~$" not in screen_text(app)
        await pilot.press("r")
        await ended(pilot, 2)


async def test_a_cut_stream_keeps_its_text(make: Make) -> None:
    app = make({"one": [("half an answer", "<cut>")]})
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await sees(pilot, "half an answer", "StreamInterruptedError at one", "What had come is kept")


async def test_text_of_a_broken_answer_is_replaced(make: Make) -> None:
    from sandbox.gateway.policies import StreamLimits

    app = make(
        {"one": [("half an answer", "<cut>")], "two": ["the whole answer"]},
        policy={"streaming": StreamLimits(policy="restart")},
    )
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await asked(pilot, "hi")
        await sees(pilot, "the whole answer", "one broke off: two the text is discarded")
        assert "half an answer" not in screen_text(app)


async def test_mouse(make: Make) -> None:
    app = make({"one": ["first", "second"]})
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        app.room.editor.put("hi")
        await pilot.click("#controls", offset=(app.room.controls.size.width - 3, 0))
        await ended(pilot, 1)
        await pilot.click("#route", offset=(5, 3))
        await until(pilot, lambda: isinstance(app.screen, Reader))
        await pilot.press("escape")
        await pilot.click("#strip", offset=(4, 0))
        await until(pilot, lambda: isinstance(app.screen, FaultDialog))
        await pilot.press("escape")
        await pilot.click("#controls", offset=(8, 0))
        await until(pilot, lambda: isinstance(app.screen, Chooser))
        await pilot.press("escape")
        keys = screen_text(app).splitlines()[-1]
        await pilot.click("#keys", offset=(keys.index("resend"), 0))
        await ended(pilot, 2)


async def test_a_key_never_reaches_the_screen(make: Make) -> None:
    canary = "CANARY-7f3a-plain-word"
    error = ServiceUnavailableError(f"refused for {canary}", status=503).redacted((canary,))
    app = make({"openai": [error, "fine"]}, mode="live", providers={"openai": {"api_key": canary}})
    app._secrets = (canary,)
    async with app.run_test(size=WIDE) as pilot:
        await ready(pilot)
        await sees(pilot, "keys found: openai")
        app.room.talk.agreed = True
        await asked(pilot, "hi")
        app.flash(f"the key {canary} leaked", "error")
        for key in ("e", "escape", "c", "p", "f1"):
            await pilot.press(key)
            await pilot.pause()
            assert canary not in screen_text(app)
            assert canary not in app.clipboard
        assert canary not in (app.settings.data_dir / "tui-state.json").read_text()
