"""The breakdown: one row for each tenant, agent or model, and at the end for each request. Enter goes into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from sandbox.core.tables import fitting, text_width
from sandbox.costs.rates import spent_usd
from sandbox.desks.books import REQUEST, SPANS
from sandbox.tui.costs import drawing
from sandbox.tui.cursor import CursorPane
from sandbox.tui.filtering import FilteredList
from sandbox.tui.pieces import DOT, FAILED, MUTED, NAME, OK, PLAIN, Line, clip
from sandbox.tui.tables import BAR, bar, cell

if TYPE_CHECKING:
    from sandbox.desks.books import Seen
    from sandbox.usage.base import UsageRecord

HELP: Final = (
    "What was spent, dearest first: one row for each tenant, then the agents of one, then its models, then single "
    "requests; Enter goes in, Escape back. `v` breaks down by something else at any level. On a request Enter tells "
    "its whole story. Cost is for answers; waste was paid for what was not used; saved is what the cache spared; the "
    "premium is what failing over cost beyond the first candidates. `/` filters, `y` copies."
)
MOST_ROWS: Final = 1_000
"""Rows that are listed: the filter finds the others."""
_SHORTEST_BAR, _LONGEST_BAR = 6, 24
_GAP: Final = 2
_SHORTEST_NAME: Final = 8


class Row(NamedTuple):
    key: str
    """The value of the dimension, or the id of the request."""
    cells: tuple[str, ...]
    share: float
    """Of the dearest row, 0 to 1."""
    record: UsageRecord | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What is listed of what was seen."""

    rows: Sequence[Row]
    head: tuple[str, ...]
    right: frozenset[int]
    """Columns that are aligned to the right."""
    first_out: tuple[int, ...]
    found: int
    """Rows that have the words; more than are listed, where they are too many."""
    whole: int
    read: int
    """Rows that were looked through for the words; of single requests the newest only."""

    @property
    def counted(self) -> str:
        """How many there are, and what of them is not here; as markup."""
        if self.read < self.whole:
            newest = f"newest {self.read:,} of {self.whole:,}"
            told = newest if self.found == self.read else f"{self.found:,} of the {newest}"
            return f"[$text-warning]{told}[/]{DOT}x exports all"
        told = f"{self.found:,}" if self.found == self.whole else f"{self.found:,} of {self.whole:,}"
        if len(self.rows) == self.found:
            return told
        return f"[$text-warning]first {len(self.rows):,} of {told}[/]{DOT}x exports all"


def empty(seen: Seen, words: str) -> str:
    """What is said where there is no row."""
    if words and seen.totals.requests:
        return f"No row has {words!r} in it: Escape in the filter shows all."
    if seen.asked.path:
        return "Nothing is left of this in that time.\n\nEscape goes back, → looks further back."
    further = "" if seen.asked.span == "all" else "\n→ looks further back."
    mode = seen.mode.upper()
    return f"Nothing was asked in {mode} mode in {SPANS[seen.asked.span]}.\n\n1 opens the Playground.{further}"


def shown(seen: Seen, words: str) -> Shown:
    """The rows that have every word."""
    wanted = words.lower().split()

    def has(*texts: str | None) -> bool:
        text = " ".join(filter(None, texts)).lower()
        return all(word in text for word in wanted)

    if seen.by == REQUEST:
        records = [
            one
            for one in seen.records
            if has(one.request_id, one.tenant_id, one.agent_id, one.provider, one.model, one.error_type)
        ]
        known = dict(seen.asked.path)
        most = max((one.estimated_cost or 0 for one in seen.records), default=0)
        rows = [
            Row(
                one.request_id,
                drawing.request_row(one, known, simulated=seen.simulated),
                float((one.estimated_cost or 0) / most) if most else 0.0,
                one,
            )
            for one in records
        ]
        return Shown(
            rows,
            drawing.REQUEST_HEAD,
            drawing.REQUEST_RIGHT,
            drawing.REQUEST_FIRST_OUT,
            len(records),
            max(len(seen.records), seen.totals.requests),
            len(seen.records),
        )
    found = [(key, sums) for key, sums in seen.rows if has(key or drawing.NOBODY)]
    dearest = max((spent_usd(sums) for _, sums in seen.rows), default=0)
    rows = [
        Row(
            key,
            drawing.sums_row(key, sums, simulated=seen.simulated),
            float(spent_usd(sums) / dearest) if dearest else 0.0,
        )
        for key, sums in found[:MOST_ROWS]
    ]
    head = (seen.by, *drawing.HEAD)
    whole = len(seen.rows)
    return Shown(rows, head, frozenset(range(1, len(head))), drawing.FIRST_OUT, len(found), whole, whole)


NOTHING: Final = Shown((), (), frozenset(), (), 0, 0, 0)


class CostRows(CursorPane):
    TOPIC = "Breakdown"
    HELP = HELP
    BINDINGS: ClassVar[list[BindingType]] = [
        # In place of a pane's scrolling.
        Binding("right", "app.perform('costs_longer')", show=False),
        Binding("left", "app.perform('costs_shorter')", show=False),
    ]

    @dataclass
    class Opened(Message):
        """A row was clicked that the cursor was on."""

    def __init__(self, head: Static) -> None:
        super().__init__(id="costs-rows")
        self._head = head
        self.listed = NOTHING
        self._left: list[int] = []
        self._widths: list[int] = []
        self._bar = 0

    @property
    def selected(self) -> Row | None:
        rows = self.listed.rows
        return rows[self.cursor] if 0 <= self.cursor < len(rows) else None

    def show(self, listed: Shown, selected: str | None, empty: str) -> None:
        """Show these, with the cursor on the row of that key, else as far down as it was."""
        self.listed, self.empty = listed, empty
        keys = [row.key for row in listed.rows]
        self.cursor = keys.index(selected) if selected in keys else min(max(self.cursor, 0), len(keys) - 1)
        self.rebuild()

    def row_count(self) -> int:
        return len(self.listed.rows)

    def rebuild(self) -> None:
        listed, room = self.listed, self.columns
        if not room:
            return
        cells = [row.cells for row in listed.rows]
        # A column in which nothing stands says nothing.
        told = [at for at in range(len(listed.head)) if at == 0 or any(row[at] for row in cells)]
        out = [told.index(at) for at in listed.first_out if at in told]
        fit = fitting([listed.head[at] for at in told], [[row[at] for at in told] for row in cells], room, out)
        self._left = [told[at] for at in fit]
        self._widths = [max(map(text_width, column)) for column in zip(listed.head, *cells, strict=True)]
        used = sum(self._widths[at] for at in self._left) + _GAP * (len(self._left) - 1)
        if self._left and used > room:
            # The last resort: names are cut.
            widest = max(self._left, key=lambda at: self._widths[at])
            self._widths[widest] = max(_SHORTEST_NAME, self._widths[widest] - used + room)
        free = room - used - _GAP
        self._bar = min(free, _LONGEST_BAR) if free >= _SHORTEST_BAR else 0
        self._head.update(Content.assemble((self._cells(listed.head), MUTED)) if cells else Content(""))
        super().rebuild()

    def _cells(self, row: Sequence[str]) -> str:
        widths, right = self._widths, self.listed.right
        return (" " * _GAP).join(cell(clip(row[at], widths[at]), widths[at], right=at in right) for at in self._left)

    def row_line(self, number: int, width: int) -> Line:
        row = self.listed.rows[number]
        text = self._cells(row.cells)
        named = self._widths[0] if self._left and self._left[0] == 0 else 0
        style = PLAIN if row.record is not None else NAME
        line: Line = [(text[:named], MUTED if row.record is not None else style), (text[named:], PLAIN)]
        if row.record is not None:
            line = _marked(line)
        if self._bar:
            line += [(" " * _GAP, PLAIN), (bar(row.share, self._bar), BAR)]
        return line

    def on_click(self, event: events.Click) -> None:
        before = self.cursor
        super().on_click(event)
        if before == self.cursor >= 0 and self.has_focus and event.chain > 1:
            self.post_message(self.Opened())


def _marked(line: Line) -> Line:
    """The same with its mark in colour."""
    pieces: Line = []
    for text, style in line:
        for mark, colour in ((OK, "$text-success"), (FAILED, "$text-error")):
            before, found, after = text.partition(f"{mark} ")
            if found:
                pieces += [(before, style), (found, colour), (after, style)]
                break
        else:
            pieces.append((text, style))
    return pieces


class Breakdown(FilteredList):
    """The rows with their head and the filter above them."""

    TOPIC = CostRows.TOPIC
    HELP = HELP

    def __init__(self) -> None:
        head = Static(id="costs-rows-head", markup=False)
        self.rows = CostRows(head)
        box = Input(id="costs-filter", placeholder="words to look for", compact=True)
        super().__init__(head, listed=self.rows, box=box, id="costs-breakdown", classes="costs-pane")
