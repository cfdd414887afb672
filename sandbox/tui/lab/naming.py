"""A name for a scenario of one's own."""

from __future__ import annotations

import re
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from sandbox.scenarios.shelf import Shelf
from sandbox.tui.pieces import BAD, MUTED, WARN

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""As a scenario's `name` may be."""


class NameDialog(ModalScreen[str | None]):
    """Its result is a name that a scenario may have."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Close")]

    def __init__(self, shelf: Shelf, name: str) -> None:
        super().__init__()
        self._shelf = shelf
        self._box = Input(name, compact=True)
        self._said = Static()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Save as a scenario of your own"
            box.border_subtitle = "Enter save · Esc close"
            yield self._box
            yield self._said

    def on_mount(self) -> None:
        self._box.focus()

    @on(Input.Changed)
    def _look(self, event: Input.Changed) -> None:
        name = event.value
        path = self._shelf.path_of(name)
        if not _NAME.fullmatch(name):
            said = Content.styled("a name has small letters, digits and hyphens, 64 at most", BAD)
        elif path.exists():
            said = Content.styled(f"takes the place of {path}", WARN)
        else:
            said = Content.styled(f"writes {path}", MUTED)
        self._said.update(said)

    @on(Input.Submitted)
    def _done(self, event: Input.Submitted) -> None:
        if _NAME.fullmatch(event.value):
            self.dismiss(event.value)
