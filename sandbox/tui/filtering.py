"""A list with a filter above it: `/` opens it, Enter leaves it for the list, Escape takes it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input


class FilteredList(Vertical):
    """What is listed, below the box for the words that it is to hold."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave_filter", "Leave the filter", show=False)]

    @dataclass
    class Filtered(Message):
        """Only what holds these words is wanted."""

        words: str

    def __init__(self, *above: Widget, listed: Widget, box: Input, id: str, classes: str | None = None) -> None:
        """`above`: what stands between the box and the list."""
        super().__init__(id=id, classes=classes)
        self.box = box
        self._above, self._listed = above, listed

    def compose(self) -> ComposeResult:
        yield self.box
        yield from self._above
        yield self._listed

    def on_mount(self) -> None:
        self.box.display = bool(self.box.value)

    @property
    def words(self) -> str:
        return self.box.value.strip()

    def start_filter(self) -> None:
        """Open the filter and put the cursor there."""
        self.box.display = True
        # At once, so that what is typed next is not taken for keys of the list.
        self.screen.set_focus(self.box)

    def end_filter(self) -> None:
        """List everything."""
        self.box.value = ""
        self.box.display = False

    def action_leave_filter(self) -> None:
        self.end_filter()
        self._listed.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "leave_filter" or bool(self.box.display)

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        self.post_message(self.Filtered(event.value))

    @on(Input.Submitted)
    def _to_list(self) -> None:
        self.box.display = bool(self.box.value)
        self.screen.set_focus(self._listed)
