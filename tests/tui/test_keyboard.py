"""The keys with Alt have to come through a terminal that sends an escape before the character, as most do."""

from __future__ import annotations

import pytest
from textual import _ansi_sequences
from textual._xterm_parser import XTermParser

from sandbox.tui import actions
from sandbox.tui.keyboard import free_alt_digits
from sandbox.tui.rooms import ROOMS


@pytest.fixture(autouse=True)
def freed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a table of the test's own."""
    table = dict(_ansi_sequences.ANSI_SEQUENCES_KEYS)
    monkeypatch.setattr("textual._ansi_sequences.ANSI_SEQUENCES_KEYS", table)
    monkeypatch.setattr("textual._xterm_parser.ANSI_SEQUENCES_KEYS", table)
    free_alt_digits()


WITH_ALT = [
    *(f"alt+{room.key}" for room in ROOMS),
    *(key for action in actions.ACTIONS for key in action.keys if key.startswith("alt+")),
]


@pytest.mark.parametrize("key", WITH_ALT)
def test_a_key_with_alt_is_that_key(key: str) -> None:
    parser = XTermParser()
    told = [*parser.feed("\x1b" + key.removeprefix("alt+")), *parser.feed("")]
    assert [getattr(event, "key", None) for event in told] == [key]
