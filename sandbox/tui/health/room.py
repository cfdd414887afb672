"""Room 5: how every provider is, and where answers and usage records live; live while requests run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType

from sandbox.core.events import BackendSwitched, ChunkReceived, Event, HealthChecked, RequestReceived, UsageRecorded
from sandbox.desks import ward
from sandbox.desks.places import Moved, Tried, Trying
from sandbox.desks.ward import Foreseen
from sandbox.tui import actions
from sandbox.tui.health.cards import CardPane, HealthCards
from sandbox.tui.health.commands import HealthCommands
from sandbox.tui.health.detail import HealthDetail
from sandbox.tui.health.entries import LABEL, Entry, ProviderEntry
from sandbox.tui.health.head import HealthHead
from sandbox.tui.health.stores import SharedEntry, StoreEntry
from sandbox.tui.pieces import SPINNER
from sandbox.tui.rooms import Target
from sandbox.tui.state import UIState
from sandbox.tui.tables import ASCII_LEVELS, LEVELS

if TYPE_CHECKING:
    from sandbox.tui.reports import Report

PAINT_US: Final = 100_000
"""How often what goes on is drawn."""
TICK_US: Final = 1_000_000
"""How often countdowns are."""
LEAST_DETAIL: Final = 8
"""Lines of the detail, with its border, that are left below a grid of cards."""
LEAST_LIST: Final = 6
_ONE: Final = 20
"""Least columns of a curve."""


class HealthRoom(HealthCommands):
    TOPIC = "Health"
    HELP = (
        "How every provider is, by its requests and by checks; the cache and the usage records. The monitor checks "
        "all of them every 30 s in the background: in MOCK mode for nothing, else after you agreed to what it costs. "
        "What carries ~ is simulated."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.HEALTH)]
    SCOPED_CSS = False
    # Read when the room is entered for the first time, so that the start need not.
    DEFAULT_CSS = """
    #health {
        height: 1fr;
        layout: grid;
        grid-size: 1 3;
        grid-rows: 1 1fr 1fr;
    }
    #health-list, #health-detail {
        border: round $foreground 30%;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $foreground 70%;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    #health-detail {
        scrollbar-gutter: stable;
    }
    #health-list:focus-within, #health-detail:focus {
        border: round $primary;
        border-title-color: $text-primary;
    }
    #health-cards {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    #health-filter {
        background: $surface;
        border: none;
        height: 1;
    }
    #health.-cards #health-list, #health.-cards #health-list:focus-within {
        border: none;
        padding: 0;
    }
    #health.-beside {
        grid-size: 2 2;
        grid-rows: 1 1fr;
        grid-columns: 6fr 5fr;
    }
    #health.-beside #health-head {
        column-span: 2;
    }
    """

    def __init__(self, state: UIState) -> None:
        super().__init__(state)
        self.head = HealthHead()
        self.cards = HealthCards()
        self.pane = self.cards.pane
        self.pane.selected = state.health_card
        self.detail = HealthDetail()
        self._stirred = False
        self._painted_us = 0
        self._laid: tuple[int, int, int, bool] = (0, 0, 0, False)
        """For how many lines of cards, and which size, all of it was laid out; and whether the filter was shown."""

    def compose(self) -> ComposeResult:
        self.cards.box.value = self._state.health_words
        self.cards.border_title = "Health"
        yield self.head
        yield self.cards
        yield self.detail

    def enter(self) -> None:
        self.pane.focus()
        self.visits.afresh()
        self._watch_freely()
        self.call_after_refresh(self.draw)

    def _watch_freely(self) -> None:
        """Where checks cost nothing they go on in the background, unless somebody stopped them."""
        if self.ui.frame.attached:
            # Somebody else's gateway is only looked at.
            return
        if self.ui.frame.mode == "mock" and self._state.health_watch and self.ui.frame.room == self.ROOM:
            self.ui.engine.errand(partial(ward.begin_rounds, self.ui.engine.watchman, False))

    def facts(self) -> set[str]:
        facts = set()
        if self.visits.seen is not None:
            facts.add("providers")
        if self.entry is not None:
            facts.add("card")
        if self.provider is not None:
            facts.add("provider")
        if self.asking:
            facts.add("asking")
        return facts

    def remember(self, state: UIState) -> None:
        state.health_words = self.cards.box.value
        state.health_span = self.visits.span
        if self.pane.selected:
            state.health_card = self.pane.selected

    def targets(self) -> list[Target]:
        found = [
            Target("w", self.head, "app.perform('health_watch')", 1),
            Target("s", self.head, "app.perform('health_span')", self.head.size.width - 6),
            Target("t", self.detail, "app.perform('health_detail')"),
        ]
        return [*found, Target("i", self.pane, "app.perform('health_cards')", 1)]

    # --- what the engine tells ------------------------------------------------------------------------------------

    def on_bus_event(self, event: Event) -> None:
        if isinstance(event, (ChunkReceived, RequestReceived)):
            return
        if isinstance(event, HealthChecked):
            self.checked(event)
        if isinstance(event, BackendSwitched):
            self.visits.afresh()
        self.visits.stir(figures=isinstance(event, UsageRecorded))

    def on_report(self, report: Report) -> None:
        from sandbox.tui.reports import Opened, Refused, Settled

        self._stirred = self.visits.report(report) or self._stirred
        if isinstance(report, Opened):
            self._watch_freely()
        elif isinstance(report, Foreseen):
            self.foreseen(report)
        elif isinstance(report, (Trying, Tried, Moved)):
            self.switched(report)
        elif isinstance(report, Refused):
            if report.request_id in self.asking:
                self.ui.flash(report.message, "error")
            self.switched(report)
        elif isinstance(report, Settled) and report.request_id in self.asking:
            self.settled(report.request_id)
            self._stirred = True

    # --- drawing --------------------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        self.visits.tick(now_us)
        since = now_us - self._painted_us
        if since >= TICK_US or (since >= PAINT_US and (self._stirred or self.asking)):
            self.draw()

    def entries(self) -> list[Entry]:
        """What is shown, the providers first."""
        seen, kept, now_us = self.visits.seen, self.visits.kept, self.ui.clock.time_us()
        found: list[Entry] = []
        if seen is not None:
            waiting = set().union(*self.asking.values())
            levels = ASCII_LEVELS if self.ui.settings.ui.ascii else LEVELS
            lights = self.ui.board.lights
            for provider in seen.providers:
                light = lights.get(provider.id)
                fault = None if light is None else light.fault
                found.append(ProviderEntry(provider, now_us, seen.simulated, levels, fault, provider.id in waiting))
            if kept is not None:
                found += [StoreEntry(store, kept, now_us) for store in kept.stores]
                found += [SharedEntry(kept.shared)] if kept.shared is not None else []
        words = self.cards.box.value.lower().split()
        return [one for one in found if all(word in one.words for word in words)]

    def draw(self) -> None:
        """Show how everything is."""
        now_us = self.ui.clock.time_us()
        self._painted_us, self._stirred = now_us, False
        self._draw_head(now_us)
        entries = self.entries()
        stores = sum(not isinstance(one, ProviderEntry) for one in entries)
        self.pane.show(entries, stores, self._empty())
        self._arrange()
        entry = self.pane.entry
        title = "Detail" if entry is None else "".join(text for text, _ in entry.title())
        self.detail.border_title = title.replace("[", "\\[")
        self.detail.show(HealthDetail.nothing if entry is None else entry.detail)

    def _draw_head(self, now_us: int) -> None:
        head, asking = self.head, sum(len(waiting) for waiting in self.asking.values())
        head.problem = "the gateway could not be opened" if self.visits.problem else ""
        head.seen, head.now_us, head.span = self.visits.seen, now_us, self.visits.span
        frame = SPINNER[now_us // PAINT_US % len(SPINNER)]
        head.activity = f"{frame} asking {asking} · Esc stops" if asking else ""
        head.redraw()

    def _empty(self) -> str:
        if self.visits.problem:
            return f"✗ The gateway could not be opened.\n{self.visits.problem}\nL chooses another mode."
        if self.visits.seen is None:
            return "Looking at the providers …"
        return f"Nothing holds {self.cards.box.value!r}.\nEscape takes the filter away."

    @on(CardPane.Chosen)
    def _chosen(self) -> None:
        self.draw()
        self.detail.scroll_home(animate=False)

    @on(HealthCards.Filtered)
    def _filtered(self) -> None:
        self.draw()

    # --- layout ---------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        self._laid = (0, 0, 0, False)
        self._arrange()
        self.call_after_refresh(self.draw)

    def _arrange(self) -> None:
        """Cards above the detail where they fit; else a list, beside it or above it."""
        width, height = self.size
        filtering = bool(self.cards.box.display)
        wanted = self.pane.wanted(width, cards=True)
        now = (wanted, width, height, filtering)
        if now == self._laid or not width or not height:
            return
        self._laid = now
        room = height - 1 - filtering
        cards = not self.ui.is_narrow and 0 < wanted <= room - LEAST_DETAIL
        if not cards:
            wanted = len(self.pane.entries)
        self.pane.cards = cards
        beside = not cards and not self.ui.is_narrow
        self.set_class(cards, "-cards")
        self.set_class(beside, "-beside")
        if cards:
            self.styles.grid_rows = f"1 {wanted + filtering} 1fr"
        elif beside:
            self.styles.grid_rows = "1 1fr"
        else:
            # All of the list, unless the detail would be left with less than half.
            lines = max(LEAST_LIST, min(wanted + 2 + filtering, (height - 1) * 11 // 20))
            self.styles.grid_rows = f"1 {lines} 1fr"
        self.visits.columns = max(_ONE, width - LABEL)
        self.visits.stir()
        self.call_after_refresh(self.draw)

    def on_key(self, event: events.Key) -> None:
        """Escape goes back to the cards; there it takes the filter away."""
        if event.key == "escape" and self.detail.has_focus and not self.asking:
            event.stop()
            self.pane.focus()
