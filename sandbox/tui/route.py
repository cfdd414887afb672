"""The story of the request, drawn while it happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events

from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import DOT, MUTED, Line

if TYPE_CHECKING:
    from sandbox.tui.story import RequestStory

EMPTY = (
    "Every attempt of a request appears here as it is made: who was asked, what came of it, how long it took, "
    "what it cost."
)
ROOMY = 14
"""Rows from which on there is room for the message of each failure."""


class RoutePane(LinesPane):
    TOPIC = "Route"
    HELP = (
        "One row for each attempt: its number, the provider, ✓ answered or ✗ failed, the model or the error, the time, "
        "and when it ran. ↺ waits before the same provider is asked again, » marks one passed over.\n"
        "Below: time to the first text, speed, cost, the premium for failing over, and what was paid for nothing "
        "(waste). A ~ stands before simulated figures. A click or `e` tells the whole story."
    )

    def __init__(self) -> None:
        super().__init__(id="route")
        self.border_title = "Route"
        self._drawn: list[Line] = [[(EMPTY, MUTED)]]

    def rebuild(self) -> None:
        self.put(wrapped(self._drawn, self.columns))

    def draw(self, story: RequestStory, now_us: int, frame: int, notes: Sequence[str]) -> None:
        """Paint the story as it stands; nothing happens when it looks the same as before."""
        from sandbox.tui.drawing import story_lines

        roomy = self.size.height >= ROOMY
        if not self.columns:
            return
        lines = story_lines(story, now_us, self.columns, frame, notes, roomy=roomy)
        self.border_subtitle = DOT.join([*([] if roomy else notes), f"request {story.request_id[:8]}"])
        if lines != self._drawn:
            self._drawn = lines
            self.rebuild()
            if not self.has_focus:
                # The newest attempt and the cost are at the end.
                self.scroll_end(animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        self.app.run_worker(self.app.run_action("app.perform('explain')"))
