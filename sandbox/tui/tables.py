"""Aligned cells, tables and bars, as the rooms that tell figures draw them."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.core.tables import text_width
from sandbox.tui.pieces import MUTED, PLAIN, Line

BAR = "$text-accent"
EIGHTHS = " ▏▎▍▌▋▊▉"
LEVELS = "▁▂▃▄▅▆▇█"
"""The heights of a curve."""
ASCII_LEVELS = "_.:-=+*#"
"""What keeps its height where a program may draw with plain characters only."""


def cell(text: str, width: int, *, right: bool) -> str:
    """The text in that many columns."""
    blank = " " * (width - text_width(text))
    return blank + text if right else text + blank


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Line]:
    """Names to the left, figures to the right."""
    widths = [max(map(text_width, column)) for column in zip(head, *rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        return "  ".join(cell(one, widths[at], right=at > 0) for at, one in enumerate(row))

    return [[(line(head), MUTED)], *([(line(row), PLAIN)] for row in rows)]


def bar(share: float, room: int) -> str:
    """A bar of up to `room` columns; what is not nothing is at least a sliver."""
    eighths = round(share * room * 8)
    if share > 0:
        eighths = max(1, eighths)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (EIGHTHS[rest] if rest else "")
