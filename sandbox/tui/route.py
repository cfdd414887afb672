"""The story of the request, drawn while it happens."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.widgets import Static

from sandbox.tui.answer import ScrollKeys
from sandbox.tui.drawing import (
    BAD,
    DOT,
    FAILED,
    MUTED,
    PLAIN,
    Line,
    clip,
    cost_line,
    request_line,
    step_lines,
    time_line,
)
from sandbox.tui.story import Attempt, RequestStory

EMPTY = "Every attempt of a request appears here as it is made: who was asked, what came of it, how long it took, what it cost."


class RoutePane(ScrollKeys):
    HELP = (
        "One row for each attempt: its number, the provider, ✓ answered or ✗ failed, the model or the error, the time, and\n"
        "when it ran within the request. ↺ waits before the same provider is asked again, » marks a provider passed over.\n"
        "Below: time to the first text, speed, cost, the premium for failing over, and what was paid for nothing (waste).\n"
        "A ~ stands before simulated figures. A click or `e` tells the whole story."
    )

    def __init__(self) -> None:
        super().__init__(id="route")
        self._lines: list[Line] | None = None

    def compose(self):  # type: ignore[no-untyped-def]
        yield Static(id="route-text")

    def draw(self, story: RequestStory | None, now_us: int, frame: int, notes: Sequence[str]) -> None:
        """Paint the story as it stands; nothing happens when it looks the same as before."""
        width = self.scrollable_content_region.width
        if not width:
            return
        lines = story_lines(story, now_us, width, frame, notes, roomy=self.size.height >= 14)
        if lines == self._lines:
            return
        self._lines = lines
        self.query_one("#route-text", Static).update(Content("\n").join(Content.assemble(*line) for line in lines))

    def on_click(self, event: events.Click) -> None:
        self.app.run_worker(self.app.run_action("app.perform('explain')"))


def story_lines(
    story: RequestStory | None, now_us: int, width: int, frame: int, notes: Sequence[str], *, roomy: bool
) -> list[Line]:
    """Everything the pane shows; with room, the message of each failure too."""
    if story is None:
        return [[(EMPTY, MUTED)]]
    lines: list[Line] = [request_line(story, notes)]
    if roomy:
        lines.append([])
    for step, line in step_lines(story, now_us, width, frame):
        lines.append(line)
        if roomy and isinstance(step, Attempt) and step.message:
            lines.append([("   ", PLAIN), (clip(step.message, width - 3), MUTED)])
    if roomy and story.steps:
        lines.append([])
    if story.status == "failed":
        lines.append([(f"{FAILED} {story.error_type}", BAD)])
    lines += [line for line in (time_line(story), cost_line(story)) if line]
    for trouble in story.troubles:
        lines.append([(f"passed over{DOT}{trouble}", MUTED)])
    return lines
