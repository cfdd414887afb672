"""The pane below or beside the cards: everything about the one that is looked at."""

from __future__ import annotations

from sandbox.tui.lines import WrittenPane
from sandbox.tui.pieces import MUTED, Line


class HealthDetail(WrittenPane):
    TOPIC = "Health of one"
    HELP = (
        "Everything about the card that is chosen: its curves over the time looked at, what its breaker counts and "
        "when it opens, the last check, the last failure, and what became of breaker and rotation, newest first."
    )

    def __init__(self) -> None:
        super().__init__("health-detail", "Detail")

    @staticmethod
    def nothing(width: int) -> list[Line]:
        """What is said where nothing is chosen."""
        return [[("Nothing is chosen.", MUTED)]]
