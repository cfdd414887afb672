"""Earlier questions: filtered, shown again, sent again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sandbox.core.figures import dollars, duration_ms
from sandbox.core.offline import OFFLINE_MODES
from sandbox.tui import actions
from sandbox.tui.pieces import BAD, CANCELLED, FAILED, FAILOVER, GOOD, MUTED, OK, PLAIN, WARN, Line, clip, local_time
from sandbox.tui.state import Entry

OUTSIDE = "» "
"""Stands before what another program asked."""


class Rows(OptionList):
    """A list with the keys of every list."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.LIST)]


class HistoryPane(Vertical):
    """The newest first."""

    TOPIC = "History"
    HELP = (
        "What you asked before, the newest first: when, whether it was answered, by whom, ↷ how often it moved to "
        "another provider, how long it took, what it cost. » marks what another program asked.\n"
        "Enter or a click shows it again, `r` sends it again, `/` filters."
    )

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave_filter", "Leave the filter", show=False)]

    @dataclass
    class Chosen(Message):
        """A row was picked, to be shown again."""

        entry: Entry

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__(id="history")
        self._entries = entries
        self._words = ""
        self._drawn: list[tuple[str, Line]] = []

    def compose(self):  # type: ignore[no-untyped-def]
        yield Input(id="filter", placeholder="words to look for", compact=True)
        yield Rows(id="rows", compact=True, markup=False)
        yield Static("Nothing asked yet: Enter in the prompt sends the first question.", id="history-empty")

    def on_mount(self) -> None:
        self.query_one("#filter").display = False
        self.refresh_rows()

    def on_resize(self) -> None:
        self.refresh_rows()

    @property
    def selected(self) -> Entry | None:
        """The highlighted row, while the list has the focus."""
        rows = self.query_one(Rows)
        if not rows.has_focus or rows.highlighted is None:
            return None
        return self._by_id(rows.get_option_at_index(rows.highlighted).id)

    def refresh_rows(self, shown: str | None = None) -> None:
        """Draw what has changed. The highlight stays on its row; unfocused, it marks what is shown."""
        if not self.query(Rows):
            return  # it is being made, and draws then
        rows = self.query_one(Rows)
        # Its own width now: that the first layout is told of is not sure.
        width = max(40, self.size.width)
        matching = [entry for entry in reversed(self._entries) if entry.matches(self._words)]
        drawn = [(entry.request_id, history_line(entry, width)) for entry in matching]
        if drawn != self._drawn:
            highlighted = None if rows.has_focus else shown
            if highlighted is None and rows.highlighted is not None and rows.highlighted < len(self._drawn):
                highlighted = self._drawn[rows.highlighted][0]
            ids = [id for id, _ in drawn]
            if ids == [id for id, _ in self._drawn]:
                for (id, line), before in zip(drawn, self._drawn, strict=True):
                    if line != before[1]:
                        rows.replace_option_prompt(id, Content.assemble(*line))
            else:
                rows.set_options(Option(Content.assemble(*line), id=id) for id, line in drawn)
                rows.highlighted = ids.index(highlighted) if highlighted in ids else (0 if ids else None)
            self._drawn = drawn
        rows.display = bool(matching)
        empty = self.query_one("#history-empty", Static)
        empty.display = not matching
        if self._entries and not matching:
            empty.update(f"No row has {self._words!r} in it: Escape shows all.")
        shown = f"{len(matching)} of {len(self._entries)}" if self._words else f"{len(self._entries)}"
        self.border_subtitle = f"{shown} · / filter" if self._entries else ""

    def start_filter(self) -> None:
        """Open the filter and put the cursor there."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()

    def action_leave_filter(self) -> None:
        box = self.query_one("#filter", Input)
        box.value = ""
        box.display = False
        self.query_one(Rows).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "leave_filter" or self.query_one("#filter").display

    def focus_rows(self) -> None:
        """Put the focus on the list, if there is anything in it."""
        rows = self.query_one(Rows)
        if rows.display:
            self.call_after_refresh(rows.focus)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._words = event.value
        self.refresh_rows()

    @on(Input.Submitted, "#filter")
    def _to_rows(self) -> None:
        self.query_one(Rows).focus()

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        entry = self._by_id(event.option.id)
        if entry is not None:
            self.post_message(self.Chosen(entry))

    def _by_id(self, request_id: str | None) -> Entry | None:
        return next((entry for entry in self._entries if entry.request_id == request_id), None)


def history_line(entry: Entry, width: int) -> Line:
    """One row of the history, in columns."""
    mark, style = {"done": (OK, GOOD), "failed": (FAILED, BAD), "cancelled": (CANCELLED, WARN)}.get(
        entry.status, ("·", MUTED)
    )
    moved = f"{FAILOVER}{entry.failovers}" if entry.failovers else ""
    simulated = entry.mode in OFFLINE_MODES
    cost = "cached" if entry.cached else dollars(entry.cost, simulated=simulated) if entry.cost_usd else ""
    took = "" if entry.latency_ms is None else duration_ms(entry.latency_ms)
    wide = width >= 100
    line: Line = [(f"{local_time(entry.at_us)} ", MUTED), (f"{mark} ", style), (f"{entry.provider or '':<12} ", PLAIN)]
    if wide:
        line.append((f"{clip(entry.answered_model or '', 20):<20} ", MUTED))
    line += [
        (f"{moved:<3}", WARN),
        (f"{took:>9} ", PLAIN),
        (f"{cost:>11}  ", GOOD if entry.cached else PLAIN),
    ]
    used = sum(len(text) for text, _ in line)
    if entry.outside:
        line.append((OUTSIDE, WARN))
        used += len(OUTSIDE)
    line.append((clip(" ".join(entry.prompt.split()), max(8, width - used)), PLAIN))
    return line
