"""The dialogs: a choice from a list, a provider to break, a yes or no, and a text to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sandbox.tui.breakage import COMMANDS, HEAL, KINDS
from sandbox.tui.choices import Choice
from sandbox.tui.history import Rows
from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.pieces import MUTED, Line

if TYPE_CHECKING:
    from sandbox.tui.application import SandboxApp

SEARCHED_FROM = 10
"""Choices from which on a list has a box to search in."""


class Chooser(ModalScreen[str | None]):
    """One of several; typing narrows a long list down. Escape chooses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], current: str | None = None) -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = "Enter choose · Esc close"
            if len(self._choices) >= SEARCHED_FROM:
                yield Input(placeholder="type to search", compact=True)
            yield Rows(compact=True, markup=False)

    def on_mount(self) -> None:
        self._fill("")
        boxes = self.query(Input)
        (boxes.first() if boxes else self.query_one(Rows)).focus()

    def _fill(self, words: str) -> None:
        wanted = words.lower().split()
        found = [
            (number, choice)
            for number, choice in enumerate(self._choices)
            if all(word in f"{choice.label} {choice.detail}".lower() for word in wanted)
        ]
        wide = max((len(choice.label) for choice in self._choices), default=0)
        rows = self.query_one(Rows)
        rows.set_options(
            Option(
                Content.assemble(
                    ("● " if choice.value == self._current else "  ", "$text-success"),
                    f"{choice.label:<{wide}}",
                    (f"  {choice.detail}", MUTED),
                ),
                id=str(number),
            )
            for number, choice in found
        )
        if found:
            rows.highlighted = next((i for i, (_, c) in enumerate(found) if c.value == self._current), 0)

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._fill(event.value)

    @on(Input.Submitted)
    def _enter(self) -> None:
        self.query_one(Rows).action_select()

    def action_move(self, step: int) -> None:
        rows = self.query_one(Rows)
        rows.action_cursor_down() if step > 0 else rows.action_cursor_up()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._choices[int(event.option.id or 0)].value)


class FaultDialog(ModalScreen[tuple[str, str] | None]):
    """Which provider, and what to do to it: the result is its id and a fault, `heal` or a breaker's command."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Close"),
        Binding("left", "side('providers')", show=False),
        Binding("right", "side('kinds')", show=False),
    ]

    def __init__(
        self,
        providers: Sequence[tuple[str, str | None]],
        first: str,
        *,
        title: str = "Break a provider",
        commands: Sequence[tuple[str, str, str]] = COMMANDS,
    ) -> None:
        """`providers`: ids with what is provoked on each now; `commands`: what can be done beside provoking."""
        super().__init__()
        self._title = title
        self._commands = commands
        self._providers = list(providers)
        self._first = first

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog wide") as box:
            box.border_title = self._title
            box.border_subtitle = "← → side · Enter do it · Esc close"
            with Horizontal(id="sides"):
                yield Rows(id="providers", compact=True, markup=False)
                yield Rows(id="kinds", compact=True, markup=False)

    def on_mount(self) -> None:
        providers = self.query_one("#providers", Rows)
        for id, fault in self._providers:
            label = Content.assemble(id, (f"  !{fault}" if fault else "", "$text-warning"))
            providers.add_option(Option(label, id=id))
        kinds = self.query_one("#kinds", Rows)
        kinds.add_option(Option(Content.assemble(("heal", "bold $text-success"), ("  answers again", MUTED)), id=HEAL))
        width = max(len(kind.title) for kind in KINDS)
        for kind in KINDS:
            label = Content.assemble(f"{kind.title:<{width}}", (f"  {kind.what}", MUTED))
            kinds.add_option(Option(label, id=kind.fault))
        for command, title, what in self._commands:
            kinds.add_option(Option(Content.assemble((title, "$text-accent"), (f"  {what}", MUTED)), id=command))
        ids = [id for id, _ in self._providers]
        providers.highlighted = ids.index(self._first) if self._first in ids else 0
        kinds.focus()

    @on(OptionList.OptionHighlighted, "#providers")
    def _propose(self) -> None:
        """What is broken is to be healed; what is whole, to be broken."""
        self.query_one("#kinds", Rows).highlighted = 0 if self._at()[1] else 1

    def _at(self) -> tuple[str, str | None]:
        return self._providers[self.query_one("#providers", Rows).highlighted or 0]

    def action_side(self, which: str) -> None:
        self.query_one(f"#{which}", Rows).focus()

    @on(OptionList.OptionSelected, "#providers")
    def _to_kinds(self) -> None:
        self.query_one("#kinds", Rows).focus()

    @on(OptionList.OptionSelected, "#kinds")
    def _done(self, event: OptionList.OptionSelected) -> None:
        self.dismiss((self._at()[0], event.option.id or HEAL))


class Confirm(ModalScreen[bool]):
    """Yes or no; only Enter or y says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "dismiss(True)", "Yes"),
        Binding("escape,n", "dismiss(False)", "No"),
    ]

    def __init__(self, title: str, lines: Sequence[Line], yes: str) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = self._title
            box.border_subtitle = (
                f"[@click=screen.dismiss(True)]Enter {self._yes}[/] · [@click=screen.dismiss(False)]Esc no[/]"
            )
            yield Static(Content("\n").join(Content.assemble(*line) for line in self._lines))


class Reader(ModalScreen[None]):
    """A text to read, written for the width there is; y copies it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("y", "copy", "Copy"),
    ]

    def __init__(
        self,
        title: str,
        write: Callable[[int], list[Line]],
        *,
        live: Callable[[], bool] = lambda: False,
        wide: bool = False,
    ) -> None:
        """`write` gets the columns; while `live` says so, it is asked again and again. `wide`: as wide as can be."""
        super().__init__()
        self._title = title
        self._write = write
        self._live = live
        self._was_live = live()
        self._wide = wide

    def compose(self) -> ComposeResult:
        self._text = _ReaderText(self._write)
        self._text.set_class(self._wide, "-wide")
        self._text.border_title = self._title
        self._text.border_subtitle = "j k scroll · y copy · Esc close"
        yield self._text

    def on_mount(self) -> None:
        self._text.focus()
        self.set_interval(0.25, self._follow)

    def _follow(self) -> None:
        live, self._was_live = self._was_live, self._live()
        if live:  # once more after the end
            self._text.rebuild()

    def action_copy(self) -> None:
        cast("SandboxApp", self.app).copy_with_word(self._text.plain, "the text")


class _ReaderText(LinesPane):
    def __init__(self, write: Callable[[int], list[Line]]) -> None:
        super().__init__(classes="dialog reader")
        self._write = write
        self.plain = ""

    def rebuild(self) -> None:
        width = self.columns
        if width:
            lines = self._write(width)
            self.plain = "\n".join("".join(piece for piece, _ in line) for line in lines)
            self.put(wrapped(lines, width))
