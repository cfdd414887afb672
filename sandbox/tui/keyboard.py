"""What terminals send for Alt and a digit is those keys, as the help promises it."""

from __future__ import annotations

from typing import Any, cast

from textual import _ansi_sequences

from sandbox.tui.rooms import ROOMS


def free_alt_digits() -> None:
    """Have Alt and a room's digit lead to the room.

    Textual reads the escape and the digit, which is all that most terminals send, as the character that a Mac's Option
    key would type: a `£` for 3, in the middle of the prompt.
    """
    known = cast("dict[str, Any]", _ansi_sequences.ANSI_SEQUENCES_KEYS)
    for room in ROOMS:
        known.pop(f"\x1b{room.key}", None)
