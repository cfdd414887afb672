"""The lower half of the room: all figures in one aligned block, and the bars of a month."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import MUTED, Line

Writer = Callable[[int], list[Line]]


class WrittenPane(LinesPane):
    """Lines that are written for the width there is."""

    EMPTY = ""

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._write: Writer = lambda _: [[(self.EMPTY, MUTED)]]

    def show(self, write: Writer) -> None:
        self._write = write
        self.rebuild()

    def rebuild(self) -> None:
        width = self.columns
        if width:
            self.put(wrapped(self._write(width), width))


class FiguresPane(WrittenPane):
    TOPIC = "Figures"
    HELP = (
        "Each model's figures of one request; where it was asked several times, the medians. ★ is the cheapest, ⚡ the "
        "fastest. a shows the spreads and a month at several volumes."
    )
    EMPTY = "Tokens, cost and times of each answer appear here."

    def __init__(self) -> None:
        super().__init__("compare-figures", "Figures")


class MonthPane(WrittenPane):
    TOPIC = "Month"
    HELP = "What 30 days cost at so many requests a day, all like the one that was asked. ← → change the volume."
    EMPTY = "What a month would cost appears here."

    def __init__(self) -> None:
        super().__init__("compare-month", "Month")
