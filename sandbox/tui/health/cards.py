"""Everything whose health is shown, as a grid of cards where there is room for it, else as a list."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Input

from sandbox.tui.filtering import FilteredList
from sandbox.tui.health.boxes import beside, box, fitted, width_of
from sandbox.tui.health.entries import Entry
from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import MUTED, PLAIN, Line

LEAST: Final = 38
"""Columns of a card."""
MOST: Final = 60
_FRAME: Final = 4
"""Columns of a card's border and of the blanks inside it."""
_NAME: Final = 18
"""Most columns of a name in a list."""
_BORDER: Final = "$foreground 30%"

HELP = (
    "A card for each provider: ● closed, ◐ half open, ○ open or held, ⊘ out of rotation, with the time to the next "
    "probe; latency (as high as it is slow, ✗ nobody answered, · nobody asked) and success over time, from requests "
    "and checks alike; how near its breaker is to opening; what was asked of it since the start; the last check. "
    "Then the cache and the usage records.\n"
    "o holds a breaker open, c closed, d takes it out of use, r resets it; e puts a provider back into rotation and "
    "asks it at once, v asks it how it is. b puts the stores here or on AWS."
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Which entry is where: rows of positions in the list."""

    rows: tuple[tuple[int, ...], ...]
    tops: tuple[int, ...]
    """The line in which each begins, and after them the one after the last."""
    width: int
    """Columns of a card; 0: it is a list, of a line each."""

    @classmethod
    def of(cls, entries: Sequence[Entry], stores: int, width: int, *, cards: bool) -> Grid:
        """`stores`: how many of the last entries begin a row of their own."""
        if not cards or width < LEAST:
            count = len(entries)
            return cls(tuple((number,) for number in range(count)), tuple(range(count + 1)), 0)
        each = cls.columns(len(entries), width)
        first = len(entries) - stores
        parts = (range(first), range(first, len(entries)))
        rows = [tuple(part[at : at + each]) for part in parts for at in range(0, len(part), each)]
        card = min(MOST, width // each)
        heights = [2 + max(entries[number].height for number in row) for row in rows]
        return cls(tuple(rows), tuple(accumulate(heights, initial=0)), card)

    @staticmethod
    def columns(count: int, width: int) -> int:
        return max(1, min(width // LEAST, max(1, count)))

    @property
    def height(self) -> int:
        return self.tops[-1]

    def place(self, number: int) -> tuple[int, int]:
        """Row and column of an entry; the first one's for one that is not there."""
        for at, row in enumerate(self.rows):
            if number in row:
                return at, row.index(number)
        return 0, 0

    def moved(self, number: int, down: int, right: int) -> int:
        """Where one gets to; at an edge one stays, or goes on with the next row."""
        if not self.rows:
            return -1
        row, column = self.place(number)
        if right:
            flat = [one for line in self.rows for one in line]
            return flat[max(0, min(len(flat) - 1, flat.index(self.rows[row][column]) + right))]
        row = max(0, min(len(self.rows) - 1, row + down))
        return self.rows[row][min(column, len(self.rows[row]) - 1)]


class CardPane(LinesPane):
    TOPIC = "Health"
    HELP = HELP
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        # In place of a pane's scrolling.
        Binding("down", "cursor_down", show=False),
        Binding("up", "cursor_up", show=False),
        Binding("right,l", "aside(1)", show=False),
        Binding("left,h", "aside(-1)", show=False),
        Binding("home", "first", show=False),
        Binding("end", "last", show=False),
    ]

    @dataclass
    class Chosen(Message):
        """Another one is looked at."""

        id: str

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CardPane.Chosen)

    def __init__(self) -> None:
        super().__init__(id="health-cards")
        self.entries: Sequence[Entry] = ()
        self.stores = 0
        self.cards = False
        """Whether there is room for a grid of them."""
        self.selected = ""
        """The id of the one that is looked at."""
        self.empty = ""
        self.grid = Grid((), (0,), 0)

    def show(self, entries: Sequence[Entry], stores: int, empty: str) -> None:
        """Show these, of which the last `stores` are no providers."""
        self.entries, self.stores, self.empty = entries, stores, empty
        self.rebuild()

    @property
    def number(self) -> int:
        """Which of them is looked at: where that one is not shown, the first."""
        return next((at for at, one in enumerate(self.entries) if one.id == self.selected), 0)

    @property
    def entry(self) -> Entry | None:
        return self.entries[self.number] if self.entries else None

    @property
    def curve(self) -> int:
        """Columns that a curve may have."""
        return self.grid.width or self.columns

    def wanted(self, width: int, *, cards: bool) -> int:
        """How many lines all of them would take."""
        return Grid.of(self.entries, self.stores, width, cards=cards).height

    def rebuild(self) -> None:
        width = self.columns
        if not width:
            return
        self.grid = grid = Grid.of(self.entries, self.stores, width, cards=self.cards)
        if not self.entries:
            self.put(wrapped([[(part, MUTED)] for part in self.empty.split("\n")], width))
            return
        lines = self._boxes(grid) if grid.width else self._rows(width)
        self.put([Content.assemble(*line) for line in lines])

    def _boxes(self, grid: Grid) -> list[Line]:
        chosen = self.number
        lines: list[Line] = []
        for at, row in enumerate(grid.rows):
            drawn, height = [], grid.tops[at + 1] - grid.tops[at]
            for number in row:
                entry, here = self.entries[number], number == chosen
                style = ("$primary" if self.has_focus else "$foreground 70%") if here else _BORDER
                body = entry.body(grid.width - _FRAME)
                drawn.append(box(entry.title(), entry.state(), body, grid.width, height, chosen=here, style=style))
            lines += beside(drawn)
        return lines

    def _rows(self, width: int) -> list[Line]:
        # What is provoked on one stands behind its name.
        name = max((width_of(entry.title()[:1]) + 5 for entry in self.entries), default=0)
        lines: list[Line] = []
        for number, entry in enumerate(self.entries):
            here = number == self.number
            line = fitted([("▶ " if here else "  ", PLAIN), *entry.row(width - 2, min(name, _NAME))], width)
            if here:
                marked = " on $primary 35%" if self.has_focus else " on $foreground 10%"
                line = [(text, style + marked) for text, style in line]
            lines.append(line)
        return lines

    # --- the cursor -----------------------------------------------------------------------------------------------

    def on_focus(self) -> None:
        self.rebuild()

    def on_blur(self) -> None:
        self.rebuild()

    def choose(self, number: int) -> None:
        """Look at that one."""
        if not 0 <= number < len(self.entries):
            return
        self.selected = self.entries[number].id
        self.rebuild()
        self.follow()
        self.post_message(self.Chosen(self.selected))

    def follow(self) -> None:
        """Keep it in sight."""
        row = self.grid.place(self.number)[0]
        top, end = self.grid.tops[row : row + 2]
        height = self.scrollable_content_region.height
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False)
        elif end > self.scroll_offset.y + height:
            self.scroll_to(y=end - height, animate=False)

    def action_cursor_down(self) -> None:
        self.choose(self.grid.moved(self.number, 1, 0))

    def action_cursor_up(self) -> None:
        self.choose(self.grid.moved(self.number, -1, 0))

    def action_aside(self, step: int) -> None:
        self.choose(self.grid.moved(self.number, 0, step))

    def action_first(self) -> None:
        self.choose(0)

    def action_last(self) -> None:
        self.choose(len(self.entries) - 1)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or not self.entries:
            return
        row = bisect_right(self.grid.tops, offset.y + self.scroll_offset.y) - 1
        column = offset.x // (self.grid.width or self.columns)
        if row < len(self.grid.rows) and column < len(self.grid.rows[row]):
            self.choose(self.grid.rows[row][column])


class HealthCards(FilteredList):
    """The cards with the filter above them."""

    def __init__(self) -> None:
        self.pane = CardPane()
        box = Input(id="health-filter", placeholder="provider, model, open, disabled, store …", compact=True)
        super().__init__(listed=self.pane, box=box, id="health-list")
