"""Jump mode: a letter on everything that can be reached; pressing it goes there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from sandbox.tui.rooms import Target


class JumpScreen(ModalScreen[str | None]):
    """Its result is the action of the target that was chosen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o", "dismiss(None)", "Stay")]

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__()
        self._targets = list(targets)

    def compose(self) -> ComposeResult:
        for target in self._targets:
            label = Static(f" {target.key} ", classes="jump-label")
            region = target.widget.region
            label.styles.offset = (max(0, region.x + target.dx), region.y)
            yield label

    def on_key(self, event: events.Key) -> None:
        chosen = next((target for target in self._targets if target.key == event.key), None)
        if chosen is not None:
            event.stop()
            self.dismiss(chosen.action)

    def on_click(self, event: events.Click) -> None:
        self.dismiss(None)

    def on_resize(self, event: events.Resize) -> None:
        # The labels would no longer stand where their targets are.
        if self.is_current and event.size != self.app.size:
            self.dismiss(None)
