"""Lines of text side by side: one of an exact width, curves, and boxes with a title. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from sandbox.core.tables import text_width
from sandbox.health.history import Tally
from sandbox.tui.pieces import MUTED, NAME, PLAIN, Line, Piece, clip

NOTHING: Final = "·"
"""Nobody asked."""
SILENT: Final = "✗"
"""Everything failed."""


def width_of(line: Line) -> int:
    return sum(text_width(text) for text, _ in line)


def fitted(line: Line, width: int) -> Line:
    """The line in exactly that many columns."""
    found: Line = []
    left = width
    for text, style in line:
        if left <= 0:
            break
        shown = clip(text, left)
        found.append((shown, style))
        left -= text_width(shown)
    return [*found, (" " * left, PLAIN)] if left > 0 else found


def ends(left: Line, right: Line, width: int) -> Line:
    """One part at each edge; the left one gives way."""
    room = width - width_of(right)
    if room <= 0:
        return fitted(right, width)
    return [*fitted(left, room - 1), (" ", PLAIN), *right] if right else fitted(left, width)


def box(
    title: Line, right: Line, body: Sequence[Line], width: int, height: int, *, chosen: bool, style: str
) -> list[Line]:
    """A box of that size; the chosen one is told by its border and a mark, not by its colour alone."""
    top_left, top, top_right, side, bottom_left, bottom_right = "┏━┓┃┗┛" if chosen else "╭─╮│╰╯"
    inner = width - 4
    head: Line = [(f"{top_left}{'▶' if chosen else top} ", style), *title, (" ", PLAIN)]
    tail: Line = [(" ", PLAIN), *right, (f" {top}{top_right}", style)]
    room = width - width_of(tail)
    head = head if width_of(head) <= room else fitted(head, room)
    lines = [[*head, (top * (room - width_of(head)), style), *tail]]
    for number in range(height - 2):
        row = fitted(body[number] if number < len(body) else [], inner)
        lines.append([(f"{side} ", style), *row, (f" {side}", style)])
    return [*lines, [(bottom_left + top * (width - 2) + bottom_right, style)]]


def beside(boxes: Sequence[Sequence[Line]]) -> list[Line]:
    """Boxes of the same height in one row."""
    return [[piece for part in parts for piece in part] for parts in zip(*boxes, strict=True)]


# --- curves ---------------------------------------------------------------------------------------------------------


def _merged(glyphs: Sequence[Piece]) -> Line:
    return [("".join(text for text, _ in run), style) for style, run in groupby(glyphs, lambda piece: piece[1])]


def latency_curve(curve: Sequence[Tally], room: int, levels: str) -> Line:
    """As high as it was slow, against the slowest column."""
    shown = curve[-room:]
    values = [one.average_latency_ms for one in shown]
    top = max((value for value in values if value), default=0.0)
    glyphs: list[Piece] = []
    for tally, value in zip(shown, values, strict=True):
        if value is None:
            glyphs.append((SILENT, "$error") if tally.calls else (NOTHING, MUTED))
        else:
            glyphs.append((_level(value / top if top else 0.0, levels), "$secondary"))
    return _spread(glyphs, room)


def success_curve(curve: Sequence[Tally], room: int, levels: str) -> Line:
    """As high as many succeeded."""
    glyphs: list[Piece] = []
    for one in curve[-room:]:
        rate = one.success_rate
        if rate is None:
            glyphs.append((NOTHING, MUTED))
        elif not rate:
            glyphs.append((SILENT, "$error"))
        else:
            glyphs.append((_level(rate, levels), "$success" if rate == 1 else "$warning"))
    return _spread(glyphs, room)


def _level(share: float, levels: str) -> str:
    return levels[max(0, min(len(levels) - 1, round(share * len(levels)) - 1))]


def _spread(glyphs: list[Piece], room: int) -> Line:
    """In as many columns each as all find room for; now is at the right edge."""
    each = max(1, room // max(1, len(glyphs)))
    drawn = _merged([(glyph * each, style) for glyph, style in glyphs])
    return [(" " * (room - each * len(glyphs)), PLAIN), *drawn]


def gauge(filled: int, whole: int, room: int, style: str) -> Line:
    """So many of so many as a row of squares; where they are too many, in proportion."""
    cells = min(room, max(1, whole))
    full = min(cells, -(-filled * cells // max(1, whole)))
    return [("■" * full, style), ("·" * (cells - full), MUTED)]


def title_of(text: str) -> Line:
    return [(text, NAME)]
