"""Text of others in files that spreadsheets open: none of it may be run as a formula."""

from __future__ import annotations

_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection")."""


def harmless_cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would run it. Not for numbers, whose minus is meant.

    Blanks do not help an attacker: some programs trim them before they look.
    """
    return f"'{text}" if text.lstrip(" \u00a0").startswith(_STARTS) else text
