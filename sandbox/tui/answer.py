"""The answer, as Markdown while it is written, and what went wrong with it."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from sandbox.tui import actions
from sandbox.tui.pieces import Line

if TYPE_CHECKING:
    from textual.widgets import Markdown

NEAR_BOTTOM = 2
"""Lines from the end within which the view follows the text."""


NOTHING_YET = (
    "The answer appears here while it is written.\n\n"
    "Enter sends what the prompt says; an empty prompt sends the suggestion."
)


class ScrollKeys(VerticalScroll, can_focus=True):
    """A pane that scrolls by the keys of every list."""

    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.LIST)]

    def action_cursor_down(self) -> None:
        self.scroll_down(animate=False)

    def action_cursor_up(self) -> None:
        self.scroll_up(animate=False)

    def action_first(self) -> None:
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        self.scroll_end(animate=False)


class AnswerPane(ScrollKeys):
    """Text is added by `show`; painting never falls behind, because pieces that come meanwhile are joined."""

    TOPIC = "Answer"
    HELP = (
        "The answer, as it is written. The view follows the text unless you scroll up.\n"
        "Escape stops an answer and keeps what has come."
    )

    def __init__(self) -> None:
        super().__init__(id="answer")
        self.border_title = "Answer"
        self._markdown: Markdown | None = None
        self._shown = ""
        self._painting: asyncio.Task[None] | None = None
        self._wanted = ""

    def compose(self):  # type: ignore[no-untyped-def]
        yield Static(NOTHING_YET, id="answer-empty")
        yield Static(id="verdict")

    def empty(self, text: str) -> None:
        """What to say while there is no answer; empty: nothing."""
        widget = self.query_one("#answer-empty", Static)
        widget.display = bool(text)
        widget.update(text)

    def verdict(self, lines: list[Line]) -> None:
        """What went wrong, below the text; no lines: nothing did."""
        widget = self.query_one("#verdict", Static)
        follow = self._near_bottom()
        widget.display = bool(lines)
        widget.update(Content("\n").join(Content.assemble(*line) for line in lines))
        if lines and follow:
            self.call_after_refresh(self.scroll_end, animate=False)

    async def prepare(self) -> None:
        """Load the Markdown widget: off the loop, because its parser takes as long to import as all the rest."""
        await asyncio.to_thread(import_module, "textual.widgets._markdown")
        from textual.widgets import Markdown

        markdown = Markdown(id="text", open_links=False)
        await self.mount(markdown, before="#verdict")
        self._markdown = markdown
        self._paint()

    def show(self, text: str) -> None:
        """Show this text; what only grows is appended, anything else is drawn anew."""
        if text != self._wanted:
            self._wanted = text
            self._paint()

    @property
    def text(self) -> str:
        """What is to be seen (or soon will be)."""
        return self._wanted

    def _paint(self) -> None:
        if self._markdown is not None and (self._painting is None or self._painting.done()):
            self._painting = asyncio.create_task(self._paint_all(self._markdown))

    async def _paint_all(self, markdown: Markdown) -> None:
        while self._shown != self._wanted and self.is_attached:
            wanted = self._wanted
            follow = self._near_bottom()
            if self._shown and wanted.startswith(self._shown):
                await markdown.append(wanted[len(self._shown) :])
            else:
                await markdown.update(wanted)
            self._shown = wanted
            if follow and wanted:
                self.scroll_end(animate=False)

    def _near_bottom(self) -> bool:
        return self.max_scroll_y - self.scroll_y <= NEAR_BOTTOM
