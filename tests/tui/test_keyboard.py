"""The keys with Alt have to come through a terminal that sends an escape before the character, as most do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual import _ansi_sequences, events
from textual._xterm_parser import XTermParser

from sandbox.tui import actions
from sandbox.tui.application import SandboxApp
from sandbox.tui.keyboard import free_alt_digits, is_bare_alt
from sandbox.tui.prompt import PromptEditor
from sandbox.tui.rooms import ROOMS
from tests.tui.support import NARROW, ready, until

Make = Callable[..., SandboxApp]


@pytest.fixture(autouse=True)
def freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a table of the test's own."""
    table = dict(_ansi_sequences.ANSI_SEQUENCES_KEYS)
    monkeypatch.setattr("textual._ansi_sequences.ANSI_SEQUENCES_KEYS", table)
    monkeypatch.setattr("textual._xterm_parser.ANSI_SEQUENCES_KEYS", table)
    free_alt_digits()


def sent(key: str) -> list[events.Key]:
    """What is understood of the bytes that a terminal sends for a key with Alt."""
    parser = XTermParser()
    told = [*parser.feed("\x1b" + key.removeprefix("alt+")), *parser.feed("")]
    return [event for event in told if isinstance(event, events.Key)]


WITH_ALT = [
    *(f"alt+{room.key}" for room in ROOMS),
    *(key for action in actions.ACTIONS for key in action.keys if key.startswith("alt+")),
]


@pytest.mark.parametrize("key", WITH_ALT)
def test_a_key_with_alt_is_that_key(key: str) -> None:
    assert [event.key for event in sent(key)] == [key]


async def test_a_key_with_alt_is_no_letter_of_the_prompt(make: Make) -> None:
    app = make()
    async with app.run_test(size=NARROW) as pilot:
        await ready(pilot)
        await pilot.press(*"draft")
        for event in sent("alt+m"):
            app.post_message(event)
        await until(pilot, lambda: len(app.screen_stack) > 1, "the models to choose from")
        await pilot.press("escape")
        for event in sent("alt+3"):
            app.post_message(event)
        await until(pilot, lambda: app.frame.room == "lab", "the Lab")
        assert app.query_one(PromptEditor).text == "draft"


@pytest.mark.parametrize(
    ("key", "character", "bare"),
    [
        ("alt+m", "m", True),
        ("alt+shift+m", "M", True),
        ("alt+l", "@", False),
        ("alt+m", None, False),
        ("m", "m", False),
    ],
)
def test_what_a_keyboard_has_under_alt_is_typed(key: str, character: str | None, bare: bool) -> None:
    assert is_bare_alt(events.Key(key, character)) is bare
