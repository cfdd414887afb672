"""The lower half of the room: all figures in one aligned block, and the bars of a month."""

from __future__ import annotations

from sandbox.tui.lines import WrittenPane


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
