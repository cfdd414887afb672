"""The events of a run, with the filter above them. The row that is chosen and the cursor in time move together."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Input

from sandbox.scenarios.recorder import Take
from sandbox.scenarios.recording import Level
from sandbox.tui.cursor import CursorPane
from sandbox.tui.filtering import FilteredList
from sandbox.tui.lab.events import row_line
from sandbox.tui.pieces import Line

HELP = (
    "What happened, one row each: when, to whom, what. Moments are faults that begin and end, attempts that fail, "
    "breakers that change, requests that fail; Requests has each answer too; Everything is every event of the run.\n"
    "j k move from row to row and the time with them; Enter tells more: the story of the request, or what a breaker's "
    "change means. `v` chooses what is listed, `/` filters by any words.\n"
    "Above, a lane for each provider: █ attempts answered, ▒ some failed, ✗ all failed, · nobody asked it, ○ its "
    "breaker is open, ◐ a probe, ⊘ out of rotation. With room the breaker has a line of its own, ● for closed, and the "
    "attempts are as high as there are many. Then the windows of the faults, requests a second (✗ some got no "
    "answer), the 99th percentile of the latency, and what it comes to up to the cursor; what is after it is faint.\n"
    "`l` shows the running gateway in the same way, times counted from when the program began to watch it: Space "
    "stands still, Escape goes back to what happens now and then mends what was broken, `s` looks back 1, 5 or 15 min."
)
TABS: dict[Level, str] = {"moments": "Moments", "requests": "Requests", "all": "Everything"}


class EventRows(CursorPane):
    TOPIC = "Events"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.perform('scrub_left')", show=False),
        Binding("right", "app.perform('scrub_right')", show=False),
        Binding("home", "app.perform('scrub_home')", show=False),
        Binding("end", "app.perform('scrub_end')", show=False),
    ]

    @dataclass
    class Moved(Message):
        """The cursor stands on another row."""

        number: int

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, EventRows.Moved)

    def __init__(self) -> None:
        super().__init__(id="lab-rows")
        self.take: Take | None = None
        self.empty = "The outage is being worked out; then Space plays it."
        self.rows: Sequence[int] = array("i")
        """Positions in the recording."""
        self._names = 0

    def show(self, take: Take, rows: Sequence[int], cursor: int, empty: str) -> None:
        """Show these rows of a take's recording, with the cursor on one of them; `empty`: said for none."""
        self.take, self.rows, self.empty = take, rows, empty
        self._names = min(12, max(map(len, take.recording.ids)))
        self.cursor = cursor
        self.rebuild()

    def clear(self, empty: str) -> None:
        """Show none."""
        self.take, self.rows, self.empty = None, array("i"), empty
        self.cursor = -1
        self.rebuild()

    @property
    def selected(self) -> int | None:
        """The position of the row that is chosen."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def row_count(self) -> int:
        return len(self.rows)

    def row_line(self, number: int, width: int) -> Line:
        assert self.take is not None  # noqa: S101  there are rows
        return row_line(self.take.recording, self.rows[number], self.take.scenario.faults, self._names, width)

    def moved(self) -> None:
        self.post_message(self.Moved(self.cursor))


class EventList(FilteredList):
    TOPIC = EventRows.TOPIC
    HELP = HELP

    def __init__(self) -> None:
        self.rows = EventRows()
        box = Input(id="lab-filter", placeholder="provider, breaker, 503, request 12 …", compact=True)
        super().__init__(listed=self.rows, box=box, id="lab-events")
        self._told = ""

    def tell_count(self, told: str) -> None:
        """Say in the lower border where one stands."""
        if told != self._told:
            self._told = told
            self._border_subtitle = Content(told)
            self._paint_border(self.size.height + self.gutter.bottom - 1)

    def name_level(self, level: Level) -> None:
        """Say in the title what is listed."""
        self._border_title = Content.from_markup(
            " │ ".join(
                f"[bold $text-primary on $primary-muted] {title} [/]"
                if key == level
                else f"[not bold @click=app.in_room('list_level',{key!r})]{title}[/]"
                for key, title in TABS.items()
            )
        )
        self._paint_border(-self.gutter.top)

    def _paint_border(self, y: int) -> None:
        """One line of it, counted from the first inside: to change it as Textual does paints the whole pane anew."""
        self.refresh(Region(-self.gutter.left, y, self.outer_size.width, 1))
