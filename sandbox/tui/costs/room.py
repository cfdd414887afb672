"""Room 4: what was spent, whose it was, what of it was for nothing, what could be saved; live while requests run."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from sandbox.core.events import BackendSwitched, BudgetThresholdCrossed, Event, UsageRecorded
from sandbox.core.figures import dollars
from sandbox.costs.rates import spent_usd
from sandbox.desks import books
from sandbox.desks.books import REQUEST, SPANS, Asked, Step
from sandbox.tui import actions
from sandbox.tui.costs import chart, drawing, listing
from sandbox.tui.costs.commands import BY, EXPORT, MOST_TARGETS, CostsCommands
from sandbox.tui.costs.listing import Breakdown, CostRows
from sandbox.tui.costs.lookout import Lookout
from sandbox.tui.costs.panes import AdvicePane, BudgetsPane, CostsHead, CostsPane, SpendPane, SumsPane
from sandbox.tui.lines import harmless_text
from sandbox.tui.pieces import BAD, DOT, FAILED, MUTED, SPINNER, Line, clip
from sandbox.tui.rooms import Target
from sandbox.tui.state import UIState
from sandbox.usage.base import DIMENSIONS

if TYPE_CHECKING:
    from sandbox.desks.books import Seen
    from sandbox.tui.reports import Report
    from sandbox.usage.base import Dimension

PAINT_US: Final = 80_000
"""How often what goes on is drawn."""
SLOW_US: Final = 100_000
"""After that long it is said that one has to wait."""
_FRAME: Final = 2
"""Rows of a pane's border."""
_ARROW: Final = " → "
_NARROW_STEP, _WIDE_STEP = 10, 24
"""Columns of a name on the way to what is looked at."""
_KEPT: Final[dict[str, Dimension]] = {by: by for by in DIMENSIONS}
"""Rows that one is still in after a restart; a day or an hour would soon be an empty one."""


class CostsRoom(CostsCommands):
    TOPIC = "Costs"
    HELP = (
        "What was spent in the mode that is on, over the time at the top (← → change it). The breakdown leads from "
        "tenants over agents and models to single requests and their stories; everything around it is about what was "
        "entered. Figures come from the records, so they are those of `sandbox costs`. What carries ~ is simulated; "
        "unpriced requests are in no figure."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.COSTS)]
    SCOPED_CSS = False
    # Read when the room is entered for the first time, so that the start need not.
    DEFAULT_CSS = """
    #costs {
        height: 1fr;
        layout: vertical;
    }
    .costs-pane {
        border: round $foreground 30%;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $foreground 70%;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        overflow-x: hidden;
    }
    .costs-pane:focus, .costs-pane:focus-within {
        border: round $primary;
        border-title-color: $text-primary;
    }
    #costs-body {
        height: 1fr;
    }
    #costs-main {
        width: 3fr;
    }
    #costs-side {
        width: 2fr;
    }
    #costs-spend {
        height: 14;
        scrollbar-size-vertical: 0;
    }
    #costs-breakdown {
        height: 1fr;
    }
    #costs-rows {
        height: 1fr;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    #costs-rows-head {
        height: 1;
        text-wrap: nowrap;
    }
    #costs-filter {
        background: $surface;
        border: none;
        height: 1;
    }
    #costs-sums {
        height: 8;
    }
    #costs-budgets {
        height: 8;
        scrollbar-gutter: stable;
    }
    #costs-advice {
        height: 1fr;
        scrollbar-gutter: stable;
    }
    Screen.-narrow {
        #costs-body {
            layout: vertical;
        }
        #costs-main {
            width: 1fr;
            height: auto;
        }
        #costs-side {
            width: 1fr;
        }
        #costs-spend {
            height: 7;
        }
        #costs-sums, #costs-budgets, #costs-advice {
            height: 1fr;
        }
    }
    Screen.-narrow.-middle #costs-spend {
        height: 10;
    }
    """

    def __init__(self, state: UIState) -> None:
        super().__init__(state)
        self.head = CostsHead()
        self.spend = SpendPane()
        self.breakdown = Breakdown()
        self.beside: dict[str, CostsPane] = {"sums": SumsPane(), "budgets": BudgetsPane(), "advice": AdvicePane()}
        self._painted_us = 0
        self._stirred = True

    @cached_property
    def lookout(self) -> Lookout:
        targets = [one for one in self._state.costs_targets if isinstance(one, str)][-MOST_TARGETS:]
        return Lookout(self.ui.engine, _asked(self._state), targets)

    @property
    def pane(self) -> str:
        """What a narrow screen shows below the chart."""
        return self._state.costs_pane if self._state.costs_pane in self.beside else "breakdown"

    # --- the room -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        self.breakdown.box.value = self._state.costs_words
        yield self.head
        with Horizontal(id="costs-body"):
            with Vertical(id="costs-main") as self._main:
                yield self.spend
                yield self.breakdown
            with Vertical(id="costs-side") as self._side:
                yield from self.beside.values()

    def on_mount(self) -> None:
        self.lay_out()

    def enter(self) -> None:
        self.lookout.stir()
        if self.ui.is_narrow and self.pane != "breakdown":
            self.beside[self.pane].focus()
        else:
            self.breakdown.rows.focus()

    def facts(self) -> set[str]:
        facts = set()
        seen, asked = self.lookout.seen, self.lookout.asked
        if self.breakdown.rows.selected is not None and self.breakdown.rows.has_focus:
            facts.add("costs_row")
        if self.head.exporting is not None:
            facts |= {"costs_exporting", "costs_inside"}
        if asked.path or asked.by:
            facts.add("costs_inside")
        if seen is not None and seen.totals.requests:
            facts.add("costs_any")
        if self.lookout.targets:
            facts.add("costs_what_if")
        return facts

    def remember(self, state: UIState) -> None:
        asked, row = self.lookout.asked, self.breakdown.rows.selected
        state.costs_span, state.costs_by = asked.span, asked.by
        state.costs_path = [list(step) for step in asked.path]
        state.costs_words = self.breakdown.words
        if row is not None:
            state.costs_row = row.key

    def targets(self) -> list[Target]:
        panes = (("p", self.spend), *zip(("s", "m", "c"), self.beside.values(), strict=True))
        return [
            Target("r", self.breakdown, "app.perform('costs_rows')"),
            Target("f", self.breakdown, "app.perform('costs_filter')", 12),
            *(Target(key, pane, f"app.focus_on({pane.id!r})") for key, pane in panes if pane.display),
        ]

    # --- what the engine tells ------------------------------------------------------------------------------------

    def on_bus_event(self, event: Event) -> None:
        if isinstance(event, (UsageRecorded, BudgetThresholdCrossed, BackendSwitched)):
            self.lookout.stir()

    def on_report(self, report: Report) -> None:
        from sandbox.tui.reports import Refused, Settled

        if self.lookout.report(report, self.ui.clock.time_us()):
            self._stirred = True
        elif isinstance(report, books.Priced):
            self.pick(report)
        elif isinstance(report, books.Budgeted):
            self.budgeted(report)
        elif isinstance(report, books.Exporting):
            if self.head.exporting is not None:
                self.head.exporting = report
        elif isinstance(report, books.Exported):
            self.head.exporting = None
            self.exported(report)
        elif isinstance(report, Refused) and report.request_id.startswith("costs-"):
            if report.request_id == EXPORT:
                self.head.exporting = None
            self.ui.flash(report.message, "error")
        elif isinstance(report, Settled) and report.request_id == EXPORT and self.head.exporting is not None:
            self.head.exporting = None
            self.ui.flash("the export was stopped: there is no file of it", "warning")

    def tick(self, now_us: int) -> None:
        self.lookout.tick(now_us)
        if now_us - self._painted_us < PAINT_US:
            return
        self._painted_us = now_us
        if self._stirred:
            self.draw()
        self.head.activity = self._activity(now_us)
        self.head.redraw()

    def _activity(self, now_us: int) -> str:
        waited = now_us - self.lookout.looked_us
        if not self.lookout.looking or waited < SLOW_US:
            return ""
        seconds = f" {waited / 1e6:.1f} s" if waited >= 1_000_000 else ""
        return f"{SPINNER[now_us // PAINT_US % len(SPINNER)]} looking{seconds}"

    # --- drawing --------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Show what was seen last."""
        self._stirred = False
        seen, asked = self.lookout.seen, self.lookout.asked
        self.head.span, self.head.seen = asked.span, seen
        self.head.redraw()
        self._titles()
        if seen is None:
            problem = self.lookout.unreadable
            told: Line = [(f"{FAILED} {problem}", BAD)] if problem else [("reading …", MUTED)]
            for pane in (self.spend, *self.beside.values()):
                pane.show(lambda _: [told])
            self.breakdown.rows.show(listing.NOTHING, None, problem or "reading …")
            return
        self.spend.draw(
            lambda width, height: (
                chart.chart_lines(seen.buckets, seen.granularity, width, height, simulated=seen.simulated)
                or [[("Nothing was spent here.", MUTED)]]
            )
        )
        self.beside["sums"].show(lambda width: drawing.sum_lines(seen, width))
        self.beside["budgets"].show(lambda width: drawing.budget_lines(seen, width))
        advised = self.lookout.advised
        self.beside["advice"].show(lambda width: drawing.advice_lines(advised, width, simulated=seen.simulated))
        self._fit(seen)
        self._list(seen)

    def _fit(self, seen: Seen) -> None:
        """Beside each other, sums and budgets have the height that they need, as long as half is left for advice."""
        if self.ui.is_narrow:
            for pane in self.beside.values():
                pane.styles.height = None
            return
        sums, budgets = self.beside["sums"], self.beside["budgets"]
        lines = len(drawing.sum_lines(seen, 1))
        sums.styles.height = _FRAME + lines
        most = max(_FRAME + 4, self.size.height // 2 - _FRAME - lines)
        # Before the first layout nothing is wrapped yet.
        budgets.styles.height = min(most, _FRAME + max(budgets.count, len(drawing.budget_lines(seen, 1))))

    def _list(self, seen: Seen) -> None:
        listed = listing.shown(seen, self.breakdown.words)
        row = self.breakdown.rows.selected
        # While another question is on its way, the rows are still those of the one before.
        wanted = self._state.costs_row or (None if row is None else row.key)
        self.breakdown.rows.show(listed, wanted, listing.empty(seen, self.breakdown.words))
        if seen.asked == self.lookout.asked:
            self._state.costs_row = ""
        self.breakdown.border_subtitle = DOT.join((listed.counted, "Enter goes in", "/ filter"))

    def _titles(self) -> None:
        seen, asked = self.lookout.seen, self.lookout.asked
        narrow = self.ui.is_narrow
        steps = [_link("all", "climb", "0")]
        for number, (one, key) in enumerate(asked.path, 1):
            name = clip(harmless_text(key) or drawing.NOBODY, _NARROW_STEP if narrow else _WIDE_STEP)
            steps.append(_link(name if narrow else f"{one} {name}", "climb", str(number)))
        by = asked.by or (seen.by if seen is not None and seen.asked == asked else "")
        way = _ARROW.join(steps) + (f" by {by}" if by and by != REQUEST else f"{DOT}requests" if by else "")
        if narrow:
            tabs = {"breakdown": way, **{name: pane.TOPIC for name, pane in self.beside.items()}}
            names = {"breakdown": "Breakdown", "sums": "Saved", "budgets": "Budgets", "advice": "Advice"}
            for shown, pane in (("breakdown", self.breakdown), *self.beside.items()):
                pane.border_title = " │ ".join(
                    tabs[name].replace("[", "\\[") if name == shown != "breakdown"
                    else tabs[name] if name == shown
                    else f"[not bold @click=app.in_room('pane','{name}')]{names[name]}[/]"
                    for name in names
                )  # fmt: skip
        else:
            self.breakdown.border_title = way
            for pane in self.beside.values():
                pane.border_title = pane.TOPIC
        if seen is None:
            self.spend.border_title, self.spend.border_subtitle = "Spend", ""
            return
        step = {"hourly": "hour", "daily": "day (UTC)", "monthly": "month (UTC)"}[seen.granularity]
        self.spend.border_title = f"Spend in {SPANS[asked.span]}, by {step}"
        dearest = max(seen.buckets, key=lambda one: spent_usd(one.totals), default=None)
        if dearest is not None and spent_usd(dearest.totals):
            usd = dollars(spent_usd(dearest.totals), simulated=seen.simulated)
            self.spend.border_subtitle = f"most {usd} at {chart.label_of(dearest, seen.granularity)}"
        else:
            self.spend.border_subtitle = ""

    # --- layout and keys ------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        narrow, shown = self.ui.is_narrow, self.pane
        self.breakdown.display = not narrow or shown == "breakdown"
        for name, pane in self.beside.items():
            pane.display = not narrow or name == shown
        self._side.display = not narrow or shown != "breakdown"
        # On a narrow screen the chart keeps its height, and what is below has the rest.
        self._main.styles.height = "1fr" if not narrow or shown == "breakdown" else "auto"
        self.call_after_refresh(self.draw)

    @on(Breakdown.Filtered)
    def _filtered(self) -> None:
        if self.lookout.seen is not None:
            self._list(self.lookout.seen)

    @on(CostRows.Opened)
    def _opened(self) -> None:
        self.ui.perform("costs_open")

    def on_key(self, event: events.Key) -> None:
        """Escape goes to the breakdown, where nothing else is to be left; there it takes the filter away."""
        elsewhere = not (self.ui.is_typing or self.breakdown.rows.has_focus or "costs_inside" in self.facts())
        if event.key == "escape" and elsewhere:
            event.stop()
            self.action_costs_rows()


def _asked(state: UIState) -> Asked:
    """What was looked at last, as far as a file that a hand may have been in makes sense."""
    span = state.costs_span if state.costs_span in SPANS else "24h"
    path: list[Step] = []
    for step in state.costs_path:
        match step:
            case [str(name), str(key)] if name in _KEPT:
                path.append((_KEPT[name], key))
            case _:
                break
    by = state.costs_by if state.costs_by in BY else ""
    return Asked(span, tuple(path), by)


def _link(text: str, what: str, value: str) -> str:
    told = text.replace("[", "\\[")
    return f"[@click=app.in_room('{what}','{value}')]{told}[/]"
