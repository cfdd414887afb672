"""Which models to compare: several of a long list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from sandbox.core.figures import decimal
from sandbox.desks.compare import MOST_COLUMNS, Column
from sandbox.tui.cursor import CursorPane
from sandbox.tui.pieces import GOOD, MUTED, NAME, OK, PLAIN, Line, clip

if TYPE_CHECKING:
    from sandbox.tui.application import SandboxApp

LEAST = 2
_PROVIDER = 12


class ModelRows(CursorPane):
    DEFAULT_CSS = """
    ModelRows {
        height: 1fr;
        background: $surface;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    """

    def __init__(self, chosen: Sequence[str]) -> None:
        super().__init__(id="model-rows")
        self.chosen = list(chosen)
        self.rows: Sequence[Column] = ()
        self.empty = "no model has these words"

    def show(self, rows: Sequence[Column]) -> None:
        self.rows = rows
        self.cursor = 0 if rows else -1
        self.rebuild()
        self.repaint()

    def row_count(self) -> int:
        return len(self.rows)

    def row_line(self, number: int, width: int) -> Line:
        row = self.rows[number]
        mark = (f"{OK} ", GOOD) if row.key in self.chosen else ("  ", PLAIN)
        price = price_text(row)
        room = max(8, width - 2 - _PROVIDER - 2 - len(price))
        name = clip(row.name, room)
        own = "*" if row.own and len(name) < room else " "
        blank = " " * (room - len(name))
        return [mark, (name, NAME), (own + blank, GOOD), (f"{row.provider:<{_PROVIDER}} ", MUTED), (price, PLAIN)]

    def toggle(self) -> bool:
        """Whether there was room for it."""
        if not 0 <= self.cursor < len(self.rows):
            return True
        key = self.rows[self.cursor].key
        if key in self.chosen:
            self.chosen.remove(key)
        elif len(self.chosen) >= MOST_COLUMNS:
            return False
        else:
            self.chosen.append(key)
        self.repaint()
        return True


def price_text(column: Column) -> str:
    """USD per million tokens, in and out."""
    row = column.price
    if row is None:
        return f"{'unpriced':>17}"
    if row.local:
        return f"{'local':>17}"
    if row.hourly_usd is not None:
        return f"{f'${decimal(row.hourly_usd)}/h':>17}"
    return f"{decimal(row.input) or '–':>8} {decimal(row.output) or '–':>8}"


class ModelPicker(ModalScreen[list[str] | None]):
    """Space marks, Enter takes the marked; typing after / narrows the list down. The result is keys, in order."""

    DEFAULT_CSS = """
    ModelPicker .dialog {
        height: 85%;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("space", "mark", "Mark", show=False),
        Binding("enter", "take", "Take", show=False),
        Binding("slash", "search", "Search", show=False),
        Binding("c", "clear", "Clear", show=False),
        # From the box where words are typed.
        Binding("down", "list", show=False),
    ]

    def __init__(self, columns: Sequence[Column], chosen: Sequence[str]) -> None:
        super().__init__()
        # What is chosen first, then what providers answer with by themselves.
        self._columns = sorted(columns, key=lambda one: (one.key not in chosen, not one.own))
        self._rows = ModelRows(chosen)
        self._words = Input(placeholder="words to look for, such as claude haiku", compact=True)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as self._box:
            self._box.border_subtitle = "Space mark · Enter take them · / search · c clear · Esc close"
            yield self._words
            yield self._rows

    def on_mount(self) -> None:
        self._rows.show(self._columns)
        self._rows.focus()
        self._tell()

    def _tell(self) -> None:
        count = len(self._rows.chosen)
        self._box.border_title = f"Models to compare: {count} marked of at most {MOST_COLUMNS} · in and out $/M"

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        words = event.value.lower().split()
        self._rows.show([one for one in self._columns if all(word in one.key.lower() for word in words)])

    @on(Input.Submitted)
    def _found(self) -> None:
        self._rows.focus()

    def action_search(self) -> None:
        self._words.focus()

    def action_list(self) -> None:
        self._rows.focus()

    def action_leave(self) -> None:
        if self._words.has_focus:
            self._rows.focus()
        else:
            self.dismiss(None)

    def action_clear(self) -> None:
        self._rows.chosen.clear()
        self._rows.repaint()
        self._tell()

    def action_mark(self) -> None:
        if not self._rows.toggle():
            cast("SandboxApp", self.app).flash(f"{MOST_COLUMNS} are marked already: take one back first", "warning")
        self._tell()

    def action_take(self) -> None:
        chosen = self._rows.chosen
        if len(chosen) < LEAST:
            cast("SandboxApp", self.app).flash(f"mark at least {LEAST}: Space marks", "warning")
        else:
            self.dismiss(list(chosen))
