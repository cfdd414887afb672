"""One row of clickable pieces: the bars of the frame and the prompt's controls are made of it.

One widget for a whole row, because a widget for each piece would double the time to the first paint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.widget import Widget

from sandbox.tui.pieces import Line


class Cell(NamedTuple):
    """A piece of a row; a click on it runs `command`, an action as Textual spells it."""

    line: Line
    command: str | None = None

    @property
    def width(self) -> int:
        return sum(len(text) for text, _ in self.line)


class CellBar(Widget):
    """Cells from the left and cells at the right edge; what does not fit is cut from the left group's end."""

    DEFAULT_CSS = """
    CellBar {
        height: 1;
        width: 1fr;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._spans: list[tuple[int, int, str]] = []
        self._drawn: tuple[Sequence[Cell], Sequence[Cell], int] | None = None

    def cells(self, width: int) -> tuple[Sequence[Cell], Sequence[Cell]]:
        """The left and the right group for that many columns."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw again if anything has changed."""
        width = self.size.width
        if width and self._drawn != (*self.cells(width), width):
            self.refresh()

    def render(self) -> Content:
        width = self.size.width
        left, right = self.cells(width)
        self._drawn = (left, right, width)
        self._spans.clear()
        pieces: Line = []
        right_width = sum(cell.width for cell in right)
        room = max(0, width - right_width)
        at = 0
        for cell in left:
            at = self._place(cell, at, room, pieces)
        if at < room:
            pieces.append((" " * (room - at), ""))
        at = room
        for cell in right:
            at = self._place(cell, at, width, pieces)
        return Content.assemble(*pieces)

    def _place(self, cell: Cell, at: int, limit: int, pieces: Line) -> int:
        begin = at
        for text, style in cell.line:
            shown = text[: max(0, limit - at)]
            if shown:
                pieces.append((shown, style))
                at += len(shown)
        if cell.command and at > begin:
            self._spans.append((begin, at, cell.command))
        return at

    async def on_click(self, event: events.Click) -> None:
        for begin, end, command in self._spans:
            if begin <= event.x < end:
                event.stop()
                await self.run_action(command)
                return
