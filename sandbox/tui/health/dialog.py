"""The dialog of a backend switch: what was reached, the agreement, the progress, the result. Nothing blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sandbox.desks import places
from sandbox.tui.health.stores import NAMES
from sandbox.tui.health.switching import PLACES, Switching, keys, lines
from sandbox.tui.reports import Report

if TYPE_CHECKING:
    from sandbox.tui.engine import Engine

_WIDTH = 60
"""Columns of its text, until it is known how many there are."""


class SwitchDialog(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close"),
        Binding("enter", "enter", "Switch"),
        Binding("w", "go(True)", "Switch, and write it"),
        Binding("r", "again", "Try again"),
    ]

    def __init__(self, switching: Switching, engine: Engine, now_us: Callable[[], int]) -> None:
        super().__init__()
        self.switching = switching
        self._engine = engine
        self._now_us = now_us
        self._text = Static()

    def compose(self) -> ComposeResult:
        wanted = self.switching.wanted
        what = "Everything" if wanted.part is None else NAMES[wanted.part].capitalize()
        with Vertical(classes="dialog", id="health-switch") as self._box:
            self._box.border_title = f"{what} {PLACES[wanted.place]}"
            yield self._text

    def on_mount(self) -> None:
        self._try()
        self._draw()
        self.set_interval(0.1, self._draw)

    def _try(self) -> None:
        switching = self.switching
        self._engine.work(switching.id, partial(places.try_out, switching.id, switching.wanted))

    def _draw(self) -> None:
        switching = self.switching
        self._box.border_subtitle = keys(switching)
        told = lines(switching, self._now_us(), self._text.content_size.width or _WIDTH)
        self._text.update(Content("\n").join(Content.assemble(*line) for line in told))

    def take(self, report: Report) -> None:
        """Something is known of the switch."""
        if self.switching.take(report, self._now_us()) and self.is_mounted:
            self._draw()

    def action_enter(self) -> None:
        if self.switching.stage == "ready":
            self.action_go(False)
        elif self.switching.stage in ("done", "failed", "refused"):
            self.action_leave()

    def action_go(self, written: bool) -> None:
        """Switch; `written`: in the settings file too."""
        switching = self.switching
        if switching.stage != "ready" or (written and switching.file is None):
            return
        switching.go(self._now_us())
        file = switching.file if written else None
        self._engine.work(switching.id, partial(places.move, switching.id, switching.wanted, file))
        self._draw()

    def action_again(self) -> None:
        """Try out once more, when what was wrong has been put right."""
        if self.switching.stage == "refused":
            self.switching.again(self._now_us())
            self._try()
            self._draw()

    def action_leave(self) -> None:
        """What is tried out is broken off; a switch under way is not, for it loses no record only as a whole."""
        if self.switching.stage == "trying":
            self._engine.cancel(self.switching.id)
        self.dismiss(None)
