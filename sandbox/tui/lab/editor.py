"""A scenario's text, with what is wrong in it said while it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from providers.errors import ScenarioError
from sandbox.scenarios.loader import Scenario, check
from sandbox.scenarios.source import parse
from sandbox.scenarios.traffic import expected
from sandbox.tui.lab.bench import start
from sandbox.tui.pieces import BAD, FAILED, GOOD, MUTED, OK

SAVE, LEAVE = "save", "leave"
LONGEST = 200_000
"""Characters of a text that can be edited here."""


class ScenarioEditor(ModalScreen[tuple[str, str]]):
    """Its result is `save` or `leave`, and the text as it stands."""

    DEFAULT_CSS = """
    ScenarioEditor TextArea {
        height: 1fr;
        border: none;
        background: $surface;
        padding: 0;
    }
    ScenarioEditor #complaint {
        height: auto;
        max-height: 4;
        border-top: solid $foreground 30%;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "save", "Save and replay", priority=True),
        Binding("escape", "leave", "Leave", priority=True),
    ]

    def __init__(self, name: str, text: str, goes_to: Path, typed: Callable[[str], None]) -> None:
        """`goes_to`: the folder that it is saved in; `typed` is given the text whenever it changes."""
        super().__init__()
        self._typed = typed
        self._name = name
        self._goes_to = goes_to
        self._problem = ""
        self.area = TextArea(text, show_line_numbers=True, compact=True, tab_behavior="indent", soft_wrap=False)
        self._said = Static(id="complaint")

    def compose(self) -> ComposeResult:
        with Vertical(id="scenario-editor", classes="dialog") as box:
            # The style sheet has one size for all dialogs, and it goes before what stands here as CSS.
            box.styles.width, box.styles.height, box.styles.padding = "96%", "90%", (0, 1)
            box.border_title = f"Edit {self._name}"
            box.border_subtitle = "^s save as your own and replay · Esc leave, the text is kept"
            yield self.area
            yield self._said

    def on_mount(self) -> None:
        self.area.focus()
        self._look()

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self._typed(self.area.text)
        self._look()

    def _look(self) -> None:
        start(self, "check", self._check, self.area.text)

    async def _check(self, text: str) -> None:
        try:
            scenario = await asyncio.to_thread(lambda: check(parse(text, Path(f"{self._name}.yaml"))))
        except ScenarioError as error:
            self._problem = str(error)
            self._said.update(Content.assemble((f"{FAILED} ", BAD), (self._problem, BAD)))
            return
        self._problem = ""
        self._said.update(Content.assemble((f"{OK} ", GOOD), (_right(scenario, self._goes_to), MUTED)))

    def action_save(self) -> None:
        start(self, "check", self._save)

    async def _save(self) -> None:
        # The last look may have been at another text.
        await self._check(self.area.text)
        if self._problem:
            self.app.bell()
        else:
            self.dismiss((SAVE, self.area.text))

    def action_leave(self) -> None:
        self.dismiss((LEAVE, self.area.text))


def _right(scenario: Scenario, folder: Path) -> str:
    document = scenario.document
    count = expected(document.traffic, document.duration)
    return (
        f"right: about {count:,.0f} requests, {len(scenario.faults)} faults, {len(document.expect)} expectations; "
        f"^s writes {folder / scenario.name}.yaml"
    )
