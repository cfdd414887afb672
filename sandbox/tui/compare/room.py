"""Room 2: one prompt on several models at once: answers side by side, their figures in a block, a month in bars."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical

from sandbox.comparison import telling
from sandbox.desks.compare import Chosen, Column, Foreseen, Nameable
from sandbox.tui import actions
from sandbox.tui.answer import NOT_KEPT, AnswerPane
from sandbox.tui.compare import drawing
from sandbox.tui.compare.commands import CompareCommands
from sandbox.tui.compare.controls import CompareControls
from sandbox.tui.compare.panes import FiguresPane, MonthPane
from sandbox.tui.pieces import BAD, FAILED, PLAIN
from sandbox.tui.prompt import SUGGESTIONS, PromptEditor
from sandbox.tui.rooms import Target
from sandbox.tui.state import UIState

if TYPE_CHECKING:
    from sandbox.tui.compare.session import Race, Races
    from sandbox.tui.reports import Report

_QUESTION, _BORDERED = 4, 3
"""Lines of the prompt's box, and the least of any."""
PAINT_US = 80_000
"""How often answers under way are drawn."""
_EMPTY = (
    "Enter asks all of them at once: the answers appear side by side while they are written.\n\nm chooses the models."
)


class CompareRoom(CompareCommands):
    TOPIC = "Compare"
    HELP = (
        "One prompt on two to six models at once, each asked at one provider alone and past the cache. "
        "★ marks the cheapest, ⚡ the fastest; ← → change the volume for which a month of 30 days is told; "
        "d shows how two answers differ. What carries ~ is simulated: in MOCK mode the prices alone are real."
    )
    BINDINGS: ClassVar[list[BindingType]] = [*actions.bindings(actions.COMPARE)]
    SCOPED_CSS = False
    # Read when the room is entered for the first time, so that the start need not.
    DEFAULT_CSS = """
    #compare {
        height: 1fr;
        layout: vertical;
    }
    #compare-question, #compare-answers AnswerPane, #compare-figures, #compare-month {
        border: round $foreground 30%;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $foreground 70%;
        padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
    }
    #compare-question {
        height: auto;
    }
    #compare-question:focus-within, #compare-answers AnswerPane:focus, #compare-figures:focus, #compare-month:focus {
        border: round $primary;
        border-title-color: $text-primary;
    }
    #compare-answers {
        height: 1fr;
        layout: grid;
    }
    #compare-answers AnswerPane {
        width: 1fr;
        height: 1fr;
    }
    #compare-lower {
        height: 8;
    }
    #compare-figures {
        width: 5fr;
        height: 1fr;
    }
    #compare-month {
        width: 3fr;
        height: 1fr;
    }
    """

    def __init__(self, state: UIState) -> None:
        super().__init__(state)
        self.editor = PromptEditor()
        self.controls = CompareControls()
        self.controls.repeat = max(1, min(100, state.compare_repeat))
        self.panes = []
        self.figures = FiguresPane()
        self.month = MonthPane()
        self._painted_us = 0
        self._stirred = False

    @cached_property
    def races(self) -> Races:
        from sandbox.tui.compare.session import Races

        return Races(self.ui.engine)

    # --- the room -------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        with Vertical(id="compare-question") as box:
            box.border_title = "Prompt"
            yield self.editor
            yield self.controls
        self._answers = Container(id="compare-answers")
        yield self._answers
        with Horizontal(id="compare-lower") as self._lower:
            yield self.figures
            yield self.month

    def on_mount(self) -> None:
        self.editor.placeholder = SUGGESTIONS[0]
        self.editor.put(self._state.compare_prompt, selected=True)

    def enter(self) -> None:
        self.editor.focus()
        self.call_after_refresh(self.draw)

    def facts(self) -> set[str]:
        facts = set()
        race = self.races.race
        if self.columns:
            facts.add("columns")
        if self.races.running:
            facts.add("comparing")
        if race is not None:
            facts.add("compared")
            if race.outcome is not None and sum(map(drawing.readable, race.outcome.overall)) > 1:
                facts.add("two_answers")
        if self.tabbed:
            facts.add("tabs")
        return facts

    def remember(self, state: UIState) -> None:
        state.compare_prompt = self.editor.text
        state.compare_repeat = self.controls.repeat
        kept = self.races.kept(with_answers=self.ui.settings.usage.store_prompts)
        if kept is not None:
            state.compare_result = kept

    def targets(self) -> list[Target]:
        found = [
            Target("i", self.editor, "app.perform('compare_prompt')", -1),
            Target("m", self.controls, "app.perform('compare_models')", 0),
        ]
        seen = [self.panes[self.shown]] if self.tabbed else self.panes
        found += [Target(str(number), pane, f"app.focus_on({pane.id!r})") for number, pane in enumerate(seen, 1)]
        found += [
            Target(key, pane, f"app.focus_on({pane.id!r})")
            for key, pane in (("f", self.figures), ("c", self.month))
            if pane.display
        ]
        return found

    # --- what the engine tells ------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        from sandbox.tui.reports import Opened, Refused, Settled, Unavailable

        refused = self.races.report(report)
        self._stirred = True
        if isinstance(report, Opened):
            if self.races.race is None and self._state.compare_result:
                self.races.restore(self._state.compare_result, report.mode)
            self.find_out()
        elif isinstance(report, Unavailable) and not self.columns:
            self.run_worker(self._say(report.message), group="columns", exclusive=True)
        elif isinstance(report, Chosen):
            self.run_worker(self._take_over(report), group="columns", exclusive=True)
        elif isinstance(report, Nameable):
            self.pick(report.columns)
        elif isinstance(report, Foreseen) and self.races.foreseen(report):
            self._confirm(report)
        elif refused is not None or (isinstance(report, Refused) and report.request_id.startswith("compare-")):
            self.ui.flash(refused or report.message, "error")  # type: ignore[union-attr]
            self.controls.running = self.races.running
            self.controls.redraw()
        elif isinstance(report, Settled) and self.races.race is not None and report.request_id == self.races.race.id:
            self._ended()

    async def _say(self, problem: str) -> None:
        """In place of the answers, why there can be none."""
        await self._answers.remove_children()
        pane = AnswerPane("compare-answer-0", "Answers", "")
        await self._answers.mount(pane)
        pane.verdict([[(f"{FAILED} The gateway could not be opened", BAD)], [(problem, PLAIN)]])

    async def _take_over(self, chosen: Chosen) -> None:
        """Other columns, unless some are shown with answers: those stay until the next comparison."""
        self.columns = chosen.columns
        self.controls.names = [column.name for column in chosen.columns]
        self.controls.redraw()
        if chosen.problem:
            self.ui.flash(chosen.problem, "warning")
        race = self.races.race
        if race is None or race.columns != chosen.columns or not self.panes:
            if race is not None and race.columns != chosen.columns and not race.running:
                self.races.race = None
            await self._show_columns(chosen.columns)

    async def _show_columns(self, columns: tuple[Column, ...]) -> None:
        await self._answers.remove_children()
        self.panes = [
            AnswerPane(f"compare-answer-{number}", f"{number} {column.name}", _EMPTY if number == 1 else "")
            for number, column in enumerate(columns, 1)
        ]
        await self._answers.mount(*self.panes)
        self.lay_out()

    def _ended(self) -> None:
        self.controls.running = False
        self.controls.redraw()
        for pane in self.panes:
            pane.finish()
        self.ui.save_state()
        self.draw()

    # --- asking ---------------------------------------------------------------------------------------------------

    @on(PromptEditor.Submitted)
    def _submitted(self) -> None:
        self.ui.perform("compare_send")

    def action_compare_send(self) -> None:
        if not self.editor.text.strip():
            self.editor.put(SUGGESTIONS[0])
        self.ask(self.editor.text)

    def action_compare_again(self) -> None:
        race = self.races.race
        if race is not None:
            self.editor.put(race.question.prompts[0], selected=True)
            self.ask(race.question.prompts[0])

    def ask(self, prompt: str) -> None:
        """Ask every chosen model."""
        from sandbox.comparison.question import Question

        question = Question((prompt,), self.controls.repeat)
        limit = self.ui.engine.settings.compare.confirm_above
        self.races.start(question, self.columns, self.ui.clock.time_us(), limit)
        self.controls.running = True
        self.controls.redraw()
        if self.panes:
            self.panes[self.shown].focus()
        self.editor.select_all()

    def _confirm(self, foreseen: Foreseen) -> None:
        from sandbox.tui.dialogs import Confirm

        def decided(yes: bool | None) -> None:
            if yes:
                self.races.agree(self.ui.clock.time_us())
            else:
                self.races.decline()
                self.controls.running = False
                self.controls.redraw()
                self.ui.flash("not sent; the prompt is still there", "done")
                self.editor.focus()

        lines = drawing.foreseen_lines(foreseen.estimates, foreseen.limit)
        self.app.push_screen(Confirm("Paid comparison", lines, "compare"), decided)

    def action_compare_cancel(self) -> None:
        self.races.cancel()

    # --- drawing --------------------------------------------------------------------------------------------------

    def tick(self, now_us: int) -> None:
        if now_us - self._painted_us >= PAINT_US and (self.races.running or self._stirred):
            self.draw()

    def draw(self) -> None:
        """Show how the comparison stands."""
        now_us = self.ui.clock.time_us()
        self._painted_us, self._stirred = now_us, False
        race = self.races.race
        self.month.border_title = self._month_title()
        if race is None or len(race.columns) != len(self.panes):
            return
        frame = now_us // PAINT_US
        for number, pane in enumerate(self.panes):
            lost = race.earlier and race.outcome is not None and race.outcome.overall[number].answers
            pane.empty(NOT_KEPT if lost else "")
            pane.show(race.shown[number].text)
            pane.verdict(drawing.verdict(race, number))
            pane.border_subtitle = drawing.subtitle(race, number, now_us, frame)
        self._title(race)
        if self.figures.display:
            marked = drawing.marked(race)
            self.figures.border_subtitle = telling.LEGEND if marked else ""
            self.figures.show(lambda width: drawing.figure_lines(race, width, now_us, frame))
        if self.month.display:
            volume = self._state.compare_volume
            self.month.show(lambda width: drawing.month_lines(race, volume, width))

    def _title(self, race: Race | None) -> None:
        """Each column's own, or where they are tabs all of them on the one that is shown."""
        titles = [
            f"{number + 1} {column.name}" if race is None else drawing.title(race, number)
            for number, column in enumerate(self.columns if race is None else race.columns)
        ]
        for number, pane in enumerate(self.panes):
            if not self.tabbed:
                pane.border_title = titles[number].replace("[", "\\[")
                continue
            tabs = []
            for other, title in enumerate(titles):
                told = title.replace("[", "\\[") if other == number else title.split(" ")[0]
                marks = "".join(mark for mark in "★⚡" if other != number and mark in title)
                style = "bold" if other == number else "not bold"
                tabs.append(f"[{style} @click=app.in_room('column','{other}')]{told}{marks}[/]")
            pane.border_title = " │ ".join(tabs)

    def _month_title(self) -> str:
        told = f"30 days at {self._state.compare_volume:,} requests a day"
        if not self.ui.is_narrow:
            return told
        return f"[not bold @click=app.perform('compare_lower')]Figures[/] │ {told}"

    # --- layout ---------------------------------------------------------------------------------------------------

    def lay_out(self) -> None:
        tabbed, shown = self.tabbed, self.shown
        styles = self._answers.styles
        styles.grid_size_columns, styles.grid_size_rows = self.grid
        for number, pane in enumerate(self.panes):
            pane.display = not tabbed or number == shown
        # A head and a row for each, with the border; where there is room for them the notes too.
        rows = len(self.panes) + 3
        wanted = max(rows, min(rows + 2, self.size.height * 2 // 5))
        # In a low terminal the answers have as much; the rest scrolls.
        self._lower.styles.height = min(wanted, max(_BORDERED, (self.size.height - _QUESTION) // 2))
        narrow, lower = self.ui.is_narrow, self._state.compare_lower
        self.figures.display = not narrow or lower != "month"
        self.month.display = not narrow or lower == "month"
        self.figures.border_title = (
            "Figures │ [not bold @click=app.perform('compare_lower')]Month[/]" if narrow else "Figures"
        )
        self._title(self.races.race)
        self.call_after_refresh(self.draw)

    def on_key(self, event: events.Key) -> None:
        """Escape, and letters that mean nothing where the focus is, go to the prompt."""
        if self.ui.is_typing:
            return
        if event.key == "escape" and not self.races.running:
            event.stop()
            self.editor.focus()
        elif event.is_printable and event.character and not actions.means_something(event.key, self.ROOM):
            event.stop()
            self.editor.focus()
            self.editor.delete(*self.editor.selection)
            self.editor.insert(event.character)
