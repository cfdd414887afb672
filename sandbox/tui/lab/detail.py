"""What there is to say of the row that is chosen, beside the list where there is room."""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import Line

Writer = Callable[[int], list[Line]]
"""Writes lines for a number of columns."""


class LabDetail(LinesPane):
    TOPIC = "Detail"
    HELP = (
        "The row that is chosen, at length: the story of its request with every attempt, when the pieces of a stream "
        "came and what it cost; or what the change of a breaker means and what led to it; or what a fault did.\n"
        "`y` copies it, Escape goes back to the list."
    )

    def __init__(self) -> None:
        super().__init__(id="lab-detail")
        self.border_title = "Detail"
        self._write: Writer = lambda width: []
        self.plain = ""

    def show(self, name: str, write: Writer) -> None:
        self.border_subtitle = Content(name).markup
        self._write = write
        self.rebuild()
        self.scroll_home(animate=False, immediate=True)

    def rebuild(self) -> None:
        width = self.columns
        if width:
            lines = self._write(width)
            self.plain = "\n".join("".join(piece for piece, _ in line) for line in lines)
            self.put(wrapped(lines, width))
