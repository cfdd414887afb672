"""Drawing with ASCII only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.filter import LineFilter

if TYPE_CHECKING:
    from rich.segment import Segment
    from textual.color import Color

_PLAIN = {
    "-": "─━═╌┄▁▔▂▃–", "|": "│┃║‖▏▎▍▕▐▌", "+": "╭╮╰╯┌┐└┘├┤┬┴┼╒╕╘╛┏┓┗┛✓±",
    "#": "█▉▊▋▇▆▅▄▀■", ":": "▒░", "*": "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏●•★",
    "%": "◐",
    "o": "○", "x": "⊘✗×", ">": "»▶→↷≥", "<": "←◀⏎≤", "@": "↺↻", "v": "▾▼", "^": "▲", ".": "…", "'": "’‘",
    '"': "“”", "~": "≈", "_": "⎯⎵", "?": "�",
}  # fmt: skip
TABLE = str.maketrans({drawn: plain for plain, group in _PLAIN.items() for drawn in group} | {"·": "-", "⚡": "! "})
"""Every drawing character has a plain one of the same width."""


class PlainCharacters(LineFilter):
    """Replaces what is drawn; the letters of a text, of whatever script, stay as they are."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        from rich.segment import Segment

        return [Segment(text.translate(TABLE), style, control) for text, style, control in segments]
