"""Room 3: an outage worked out in virtual time and then watched: played, stepped through, scrubbed, compared, changed.

The gateway's run takes place in a thread and is recorded; what the keys do is to move a cursor over the recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType

from sandbox.scenarios.recorder import Take
from sandbox.scenarios.telling import clock_time
from sandbox.tui import actions
from sandbox.tui.lab.bench import thinned_note
from sandbox.tui.lab.detail import LabDetail, Writer
from sandbox.tui.lab.explaining import opening_lines, row_lines
from sandbox.tui.lab.header import LabHeader
from sandbox.tui.lab.listing import EventList, EventRows
from sandbox.tui.lab.living import LabLive
from sandbox.tui.lab.timeline import Timeline, View
from sandbox.tui.pieces import DOT, GOOD, WARN, Line, clip
from sandbox.tui.reports import Opened
from sandbox.tui.rooms import Target
from sandbox.tui.state import UIState
from sandbox.tui.tables import ASCII_LEVELS, LEVELS

if TYPE_CHECKING:
    from sandbox.core.events import Event
    from sandbox.tui.reports import Report

_PLAYS = "Space plays: "
PAINT_US = 80_000
"""How often what moves by itself is drawn."""
DETAIL_US = 400_000
"""How often the detail changes while a run plays: nobody reads faster."""
LONGEST_TICK_US = 1_000_000
"""After a longer silence (another room was shown, the machine slept) time goes on from where it stood."""
LEAST_LIST = 5
"""Lines that are left for the list of events, with its border."""
TALL = 34
"""Lines of the room from which on a lane has two."""


class LabRoom(LabLive):
    TOPIC = "Lab"
    HELP = (
        "An outage in virtual time: the real gateway with its breakers, retries and budgets over simulated providers. "
        "Space plays it, n steps from event to event, ← → move through time, f breaks a provider at the cursor, "
        "b puts another policy beside it. A click on the time line goes there. "
        "l shows the running gateway in its place, as it happens."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.LAB)]
    SCOPED_CSS = False
    # Read when the room is entered for the first time, so that the start need not.
    DEFAULT_CSS = """
    #lab {
        height: 1fr;
        layout: grid;
        grid-size: 2 3;
        grid-columns: 6fr 5fr;
        grid-rows: 1 auto 1fr;
    }
    #lab-header, #lab-timeline {
        column-span: 2;
    }
    #lab-events, #lab-detail {
        border: round $foreground 30%;
        border-title-color: $foreground;
        border-subtitle-color: $foreground 70%;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    #lab-detail {
        border-title-style: bold;
    }
    #lab-events:focus-within, #lab-detail:focus {
        border: round $primary;
        border-title-color: $text-primary;
    }
    #lab-rows {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    #lab-filter {
        background: $surface;
        border: none;
        height: 1;
    }
    Screen.-narrow #lab-events {
        column-span: 2;
    }
    Screen.-narrow #lab-detail {
        display: none;
    }
    """

    def __init__(self, state: UIState) -> None:
        super().__init__(state)
        self.header = LabHeader(self.player)
        self.timeline = Timeline()
        self.pane = EventList()
        self.rows = self.pane.rows
        self.detail = LabDetail()
        self._last_us = self._painted_us = self._told_us = 0
        self._told: tuple[int, int | None, int] = (0, None, 0)
        """For which take and which row the detail was written."""

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.timeline
        yield self.pane
        yield self.detail

    def on_mount(self) -> None:
        self.begin()
        if self.wants_live:
            self.go_live()

    def on_bus_event(self, event: Event) -> None:
        self.feed.take(event)

    def on_report(self, report: Report) -> None:
        if self.ui.early is not None and isinstance(report, Opened):
            early, self.ui.early = self.ui.early, None
            self.feed.catch_up(report, early)
        self.feed.report(report)

    def enter(self) -> None:
        self.ui.guide.learn({"lab"})
        self.rows.focus()

    def facts(self) -> set[str]:
        facts = set()
        if self.take is not None:
            facts.add("taken")
            if self.take.result is not None:
                facts.add("result")
        if self.work is not None:
            facts.add("replaying")
        if self.live:
            facts.add("watching")
        if self.player.playing:
            facts.add("playing")
        if self.ui.board.broken if self.live else self.before:
            facts.add("by_hand")
        return facts

    def targets(self) -> list[Target]:
        return [
            Target("s", self.header, "app.perform('scenario')", 1),
            Target("c", self.timeline, "app.perform('play')", 0),
            Target("e", self.pane, "app.perform('focus_events')", 0),
            Target("f", self.pane, "app.perform('filter_events')", 36),
            Target("d", self.detail if not self.ui.is_narrow else self.pane, "app.perform('focus_told')", 46),
        ]

    # --- drawing --------------------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        if self.live:
            self.tick_live(now_us)
            return
        elapsed, self._last_us = now_us - self._last_us, now_us
        playing = self.player.playing
        if playing and 0 < elapsed < LONGEST_TICK_US:
            self.player.advance(elapsed)
        ended = playing and not self.player.playing
        if ended or ((playing or self.work is not None) and now_us - self._painted_us >= PAINT_US):
            self._painted_us = now_us
            if playing:
                self.follow_time()
            self.draw()

    def draw(self) -> None:
        """Show the moment on which the cursor stands, everywhere."""
        now_us = self.ui.clock.time_us()
        self.stale = False
        header = self.header
        scenario = self.scenario if self.scenario is not None else self.work.scenario if self.work is not None else None
        if scenario is not None:
            header.scenario, header.seed = scenario.name, scenario.document.seed
            header.preset = self.preset or scenario.document.preset
        header.beside, header.changed = self.beside_preset, self.changed
        header.live = self.live_names() if self.live else ()
        header.redraw()
        self._draw_timeline(now_us)
        self.rows.put_cursor(self.row)
        self.pane.tell_count(self._count())
        self._draw_detail(now_us)

    def _draw_timeline(self, now_us: int) -> None:
        told: Line = []
        width = self.size.width - 2
        if self.live:
            told = self.live_told(width)
        elif self.work is not None:
            told = [(self.work.line(now_us, now_us // PAINT_US, width), "$text-accent")]
        elif self.take is None:
            told = [(self.problem or "o chooses a scenario", WARN)]
        elif not self.player.at_us and not self.player.playing:
            description = clip(self.take.scenario.document.description, width - len(_PLAYS))
            told = [(_PLAYS, f"bold {GOOD}"), (description, GOOD)]
        height = self.size.height
        takes = [take for take in (self.take, self.beside) if take is not None]
        self.timeline.show(
            View(
                takes,
                self.player.at_us,
                len(self.take.scenario.faults) if self.live and self.take is not None else self.added,
                told,
                tall=height >= TALL,
                most=max(6, height - 1 - LEAST_LIST),
                levels=ASCII_LEVELS if self.ui.settings.ui.ascii else LEVELS,
            )
        )

    def _count(self) -> str:
        """Which row of how many, and what of a large run is not there."""
        take = self.take
        if take is None:
            return ""
        if self.searching:
            return "looking …"
        count = f"{self.row + 1:,} of {len(self.rows.rows):,}"
        told = [count, f"only {self.pane.words!r}" if self.pane.words else "/ filter"]
        if take.recording.thinned_us is not None:
            told.insert(1, "thinned out")
        return DOT.join(told)

    def _draw_detail(self, now_us: int) -> None:
        take = self.take
        if take is None or self.ui.is_narrow:
            return
        # Of what is under way there is more to tell every moment.
        grown = take.recording.seen if self.live else 0
        told = id(take), self.rows.selected, grown
        hurried = self.player.playing and now_us - self._told_us < DETAIL_US
        if told != self._told and not hurried:
            self._told, self._told_us = told, now_us
            self.detail.show(*self.telling(take, self.rows.selected))

    def telling(self, take: Take, position: int | None) -> tuple[str, Writer]:
        """The title and the text for a row; for none, what the outage is about."""
        if position is None:
            return take.scenario.name, lambda width: self.live_lines(take) if self.live else opening_lines(take)
        note = thinned_note(take)
        extra: list[Line] = [[], [(note, WARN)]] if note else []
        at = clock_time(take.recording.times[position]) + self.local_of(take, position)
        return at, lambda width: row_lines(take, position, width) + extra

    # --- moving ---------------------------------------------------------------------------------------------------

    @on(EventRows.Moved)
    def _row_chosen(self, message: EventRows.Moved) -> None:
        self.stand_on(message.number)

    @on(EventList.Filtered)
    def _filtered(self) -> None:
        self.list_rows()

    @on(Timeline.Pointed)
    def _pointed(self, message: Timeline.Pointed) -> None:
        self.go(message.at_us)

    def lay_out(self) -> None:
        self._told = (0, None, 0)
        self.touch()

    def on_key(self, event: events.Key) -> None:
        """Escape goes back to the list; from there, to what happens now; and then what was broken is mended."""
        if event.key == "escape" and not self.ui.is_typing and self.work is None:
            event.stop()
            if self.rows.has_focus and self.live:
                self.go_back()
            self.rows.focus()
