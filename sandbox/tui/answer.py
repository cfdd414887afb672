"""The answer, as Markdown while it is written, and what went wrong with it."""

from __future__ import annotations

import asyncio
from importlib import import_module

from textual.content import Content

from sandbox.tui.lines import LinesPane, wrapped
from sandbox.tui.markdown import GrowingMarkdown
from sandbox.tui.pieces import MUTED, Line

NOTHING_YET = (
    "The answer appears here while it is written.\n\n"
    "Enter sends what the prompt says; an empty prompt sends the suggestion."
)

NOT_KEPT = "The answer was not kept (usage.store_prompts keeps prompts and answers). r asks again."


class AnswerPane(LinesPane):
    """The text first, then the verdict. The view follows the text unless someone has scrolled up."""

    TOPIC = "Answer"
    HELP = (
        "The answer, as it is written. The view follows the text unless you scroll up.\n"
        "Escape stops an answer and keeps what has come."
    )

    def __init__(self, id: str = "answer", title: str = "Answer", empty: str = NOTHING_YET) -> None:
        super().__init__(id=id)
        self.border_title = title
        self._markdown = GrowingMarkdown()
        self._text = ""
        self._empty = empty
        self._verdict: list[Line] = []

    @property
    def text(self) -> str:
        """The Markdown that is shown."""
        return self._text

    def empty(self, text: str) -> None:
        """What to say while there is no text; empty: nothing."""
        if text != self._empty:
            self._empty = text
            self.rebuild()

    def verdict(self, lines: list[Line]) -> None:
        """What went wrong, below the text; no lines: nothing did."""
        if lines != self._verdict:
            self._verdict = lines
            self._draw()

    def show(self, text: str) -> None:
        """Show this text; what only grows costs what is new."""
        if text != self._text:
            self._text = text
            self._draw()

    def rebuild(self) -> None:
        self._markdown = GrowingMarkdown()
        self._draw()
        if self._text:
            self.finish()

    def _draw(self) -> None:
        width = self.columns
        if not width:
            return
        follow = self.near_end
        start = self._markdown.update(self._text, width)
        lines = self._markdown.lines[start:]
        if not self._text and self._empty:
            lines = lines + wrapped([[(part, MUTED)] for part in self._empty.split("\n")], width)
        if self._verdict:
            if start + len(lines):
                lines = [*lines, Content("")]
            lines = lines + wrapped(self._verdict, width)
        self.put(lines, start)
        if follow and (self._text or self._verdict):
            self.scroll_end(animate=False, immediate=True)

    def finish(self) -> None:
        """The text is whole: colour its code. The highlighter is loaded off the loop, because it is slow to load."""
        if self._markdown.has_code:
            self.run_worker(self._highlight(self._text), group="highlight", exclusive=True)

    async def _highlight(self, text: str) -> None:
        await asyncio.to_thread(import_module, "textual.highlight")
        from textual.highlight import highlight

        if text == self._text and self._markdown.text == text:
            self._markdown.highlight(lambda code, language: highlight(code, language=language))
            self.put([*self._markdown.lines, *self._lines[len(self._markdown.lines) :]])
