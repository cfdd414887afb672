"""Alt with a letter or a digit, as most terminals send it: an escape, and the character."""

from __future__ import annotations

from typing import Any, cast

from textual import _ansi_sequences, events

from sandbox.tui.rooms import ROOMS


def free_alt_digits() -> None:
    """Have Alt and a room's digit lead to the room.

    Textual reads what is sent for it as the character that a Mac's Option key would type: a `£` for 3, in the middle of
    the prompt.
    """
    known = cast("dict[str, Any]", _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for room in ROOMS:
        known.pop(f"\x1b{room.key}", None)


def is_bare_alt(event: events.Key) -> bool:
    """Whether the event's character is merely the letter that was pressed with Alt, which no text should take.

    Another character is one that a keyboard has there, as some have their `@`.
    """
    return event.key.startswith("alt+") and event.key.rpartition("+")[2] == (event.character or "").lower()
