"""The prompt's editor: it grows with the text, Enter sends, and an empty one offers a suggestion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.pieces import MUTED, PLAIN

SUGGESTIONS = (
    "Explain circuit breakers to a cook.",
    "Write a haiku about failing over.",
    "Compare retries and fallbacks in a table.",
    "Show exponential backoff in Python.",
)
"""Offered in turn, so that there is always something to send."""


class PromptEditor(TextArea):
    TOPIC = "Prompt"
    HELP = (
        "Type a question. Enter sends it, ^j (or Shift-Enter) begins a new line. An empty prompt sends the "
        "suggestion. Up on the first line and Down on the last bring back earlier prompts. ^z takes back a change.\n"
        "Tab leaves the prompt: then the plain letters below work."
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter", "newline", "New line", show=False),
        # TextArea has this key for deleting a word; here it breaks a provider, wherever the focus is.
        Binding("ctrl+f", "app.perform('break')", "Break a provider", show=False),
        # And this one for selecting a line.
        Binding("f6", "app.room('fixtures')", "Fixtures", show=False),
    ]

    class Submitted(Message):
        """Enter was pressed."""

    @dataclass
    class Recall(Message):
        """Another prompt of the history is wanted: -1 an older one, 1 a newer one."""

        direction: int

    def __init__(self) -> None:
        super().__init__(
            id="prompt", soft_wrap=True, show_line_numbers=False, compact=True, highlight_cursor_line=False
        )

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Submitted())
        elif event.key == "up" and self.cursor_at_first_line:
            self._recall(event, -1)
        elif event.key == "down" and self.cursor_at_last_line:
            self._recall(event, 1)
        else:
            await super()._on_key(event)

    def _recall(self, event: events.Key, direction: int) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Recall(direction))

    def action_newline(self) -> None:
        self.insert("\n")

    def put(self, text: str, *, selected: bool = False) -> None:
        """Replace the text, with the cursor at its end; `selected`: the next letter replaces it."""
        if text != self.text:
            self.load_text(text)
        if selected:
            self.select_all()
        else:
            self.move_cursor(self.document.end)


class Controls(CellBar):
    """What the next question goes to, and the button that sends it."""

    def __init__(self) -> None:
        super().__init__(id="controls")
        self.model: str | None = None
        self.via: str | None = None
        self.strategy = "priority"
        self.preset = ""
        self.running = False

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        """Chips from the left, the button at the right; names and gaps give way where it is narrow."""
        if self.running:
            button = Cell([(" ■ Stop ", "bold $text-error on $error-muted")], "app.perform('cancel')")
        else:
            button = Cell([(" ▶ Send ", "bold $text-success on $success-muted")], "app.perform('send')")
        chips = (
            ("model", self.model or "any", "choose_model"),
            ("via", self.via or "chain", "choose_provider"),
            ("by", self.strategy, "choose_strategy"),
            ("preset", self.preset or "…", "choose_preset"),
        )
        for named, gap in ((4, 3), (2, 3), (2, 2), (0, 2), (0, 1)):
            left: list[Cell] = []
            for number, (name, value, action) in enumerate(chips):
                label = f"{name} " if number < named else ""
                pieces = ((label, MUTED), (value, "bold"), (" ▾", MUTED))
                left.append(Cell([piece for piece in pieces if piece[0]], f"app.perform('{action}')"))
                left.append(Cell([(" " * gap, PLAIN)]))
            if sum(cell.width for cell in left) + button.width <= width:
                break
        return left, [button]
