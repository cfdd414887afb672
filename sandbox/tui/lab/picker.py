"""Which outage to replay: those that came with the program, and one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from sandbox.scenarios.shelf import Shelf, Shelved
from sandbox.scenarios.telling import fault_text, short_time
from sandbox.tui.cursor import CursorPane
from sandbox.tui.lab.bench import start
from sandbox.tui.pieces import BAD, GOOD, MUTED, NAME, PLAIN, WARN, Line, clip

if TYPE_CHECKING:
    from sandbox.tui.application import SandboxApp

RUN, EDIT = "run", "edit"
LIVE = "live"
"""The key of what is no scenario: the running gateway."""
_LASTS = 7
_LIVE_ROW = Shelved(LIVE, Path(), None, None)
_LIVE_TOLD = "The running gateway, live, as it happens: break its providers by hand."


class ScenarioRows(CursorPane):
    DEFAULT_CSS = """
    ScenarioRows {
        height: 1fr;
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", show=False)]

    class Moved(Message):
        """The cursor stands on another row."""

    class Chosen(Message):
        """Enter was pressed on a row."""

    def __init__(self, current: str) -> None:
        super().__init__(id="scenario-rows")
        self.rows: Sequence[Shelved] = ()
        self._current = current
        self._names = 0

    def show(self, rows: Sequence[Shelved], key: str, empty: str) -> None:
        """Show these, with the cursor on the one of that key."""
        self.rows, self.empty = rows, empty
        self._names = max((len(row.name) for row in rows), default=0)
        self.cursor = next((at for at, row in enumerate(rows) if row.key == key), 0 if rows else -1)
        self.rebuild()
        self.moved()

    @property
    def selected(self) -> Shelved | None:
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    def row_count(self) -> int:
        return len(self.rows)

    def row_line(self, number: int, width: int) -> Line:
        row = self.rows[number]
        mark = ("● ", GOOD) if row.key == self._current else ("! ", BAD) if row.problem else ("  ", PLAIN)
        name = (f"{clip(row.name, self._names):<{self._names}}", NAME)
        if row.key == LIVE:
            return [mark, name, (f"   {clip(_LIVE_TOLD, width - 5 - self._names)}", PLAIN)]
        own = ("*" if row.own else " ", WARN)
        room = width - 2 - self._names - 1
        if row.scenario is None:
            return [mark, name, own, (f"  {clip(row.problem or '', room - 2)}", BAD)]
        document = row.scenario.document
        lasts = f"{short_time(round(document.duration * 1e6)):>{_LASTS}}"
        told = f"  {clip(document.description, room - _LASTS - 2)}" if room - _LASTS > 12 else ""
        return [mark, name, own, (lasts, MUTED), (told, PLAIN)]

    def moved(self) -> None:
        self.post_message(self.Moved())

    def action_choose(self) -> None:
        self.post_message(self.Chosen())


class ScenarioPicker(ModalScreen[tuple[str, str] | None]):
    """Its result is what to do, `run` or `edit`, and the key of a scenario."""

    DEFAULT_CSS = """
    ScenarioPicker #scenario-told {
        height: 4;
        border-top: solid $foreground 30%;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("slash", "filter", "Filter"),
        Binding("e", "edit", "Edit"),
        Binding("y", "copy", "Copy the file's path"),
    ]

    def __init__(self, shelf: Shelf, current: str) -> None:
        super().__init__()
        self._shelf = shelf
        self._current = current
        self._all: list[Shelved] = []
        self.box = Input(placeholder="name, provider, preset, text, own, built-in …", compact=True)
        self.rows = ScenarioRows(current)
        self._told = Static(id="scenario-told")

    def compose(self) -> ComposeResult:
        with Vertical(id="scenario-picker", classes="dialog") as box:
            # The style sheet has one size for all dialogs, and it goes before what stands here as CSS.
            box.styles.width, box.styles.height, box.styles.padding = "86%", "90%", (0, 1)
            box.border_title = "Scenarios"
            box.border_subtitle = "Enter replay · e edit · y copy · / filter · Esc close"
            yield self.box
            yield self.rows
            yield self._told

    def on_mount(self) -> None:
        self.box.display = False
        self.rows.show((), "", "reading …")
        self.rows.focus()
        start(self, "read", self._read)

    async def _read(self) -> None:
        self._all = [_LIVE_ROW, *await asyncio.to_thread(self._shelf.all)]
        self._show(self._current)

    def _show(self, key: str) -> None:
        words = self.box.value.strip()
        found = [row for row in self._all if _holds(row, words)]
        # Who types a name means it, even where a text has the word too.
        named = next((row for row in found if words and row.name.startswith(words.lower())), None)
        key = named.key if named is not None else key
        self.rows.show(found, key, f"No scenario has {words!r} in it: Escape shows all {len(self._all)}.")

    @on(Input.Changed)
    def _filtered(self) -> None:
        if self._all:
            row = self.rows.selected
            self._show(row.key if row is not None else "")

    @on(Input.Submitted)
    def _to_rows(self) -> None:
        self.box.display = bool(self.box.value)
        self.rows.focus()

    def action_filter(self) -> None:
        self.box.display = True
        self.box.focus()

    def action_leave(self) -> None:
        """Out of the filter first."""
        if self.box.display:
            self.box.value = ""
            self.box.display = False
            self.rows.focus()
        else:
            self.dismiss(None)

    @on(ScenarioRows.Moved)
    def _tell(self) -> None:
        row = self.rows.selected
        lines = told(row, self._shelf) if row is not None else []
        self._told.update(Content("\n").join(Content.assemble(*line) for line in lines))

    @on(ScenarioRows.Chosen)
    def _chosen(self) -> None:
        row = self.rows.selected
        if row is not None and (row.scenario is not None or row.key == LIVE):
            self.dismiss((RUN, row.key))
        elif row is not None:
            self.notify_broken(row)

    def notify_broken(self, row: Shelved) -> None:
        """A file that is wrong cannot run; the way to mend it is said."""
        self._told.update(
            Content.assemble((row.problem or "", BAD), "\n", ("It cannot be replayed so: e edits it.", PLAIN))
        )

    def action_copy(self) -> None:
        row = self.rows.selected
        if row is not None and row.key != LIVE:
            cast("SandboxApp", self.app).copy_with_word(str(row.path), "the file's path")

    def action_edit(self) -> None:
        row = self.rows.selected
        if row is not None and row.key != LIVE:
            self.dismiss((EDIT, row.key))


def _holds(row: Shelved, words: str) -> bool:
    if row.key == LIVE:
        return all(word in _LIVE_TOLD.lower() for word in words.lower().split())
    return row.holds(words)


def told(row: Shelved, shelf: Shelf) -> list[Line]:
    """What there is to say of one scenario."""
    if row.key == LIVE:
        return [
            [(_LIVE_TOLD, PLAIN)],
            [("What it was asked by this program, and by others where it is served.", PLAIN)],
            [("l does the same without this list, and goes back.", MUTED)],
        ]
    if row.scenario is None:
        return [[(row.problem or "", BAD)]]
    document = row.scenario.document
    where = f"your own, {shelf.folder}" if row.own else "built-in"
    faults = [
        f"{timed.provider} {fault_text(timed)} {short_time(timed.begin_us)}"
        + ("" if timed.end_us is None else f"-{short_time(timed.end_us)}")
        for timed in row.scenario.faults
    ]
    count = len(document.expect)
    return [
        [(document.description, PLAIN)],
        [("; ".join(faults) or "no faults", WARN if faults else MUTED)],
        [(f"preset {document.preset} · seed {document.seed} · {count} expectations · {where}", MUTED)],
    ]
