"""What the keys of the Compare room do beside asking: choosing, moving, reading, writing. Dialogs load when opened."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from providers.errors import InputError
from sandbox.desks import compare as desk
from sandbox.tui import actions
from sandbox.tui.choices import Choice
from sandbox.tui.compare import drawing
from sandbox.tui.rooms import Room
from sandbox.tui.state import UIState

if TYPE_CHECKING:
    from sandbox.comparison.export import Form
    from sandbox.tui.answer import AnswerPane
    from sandbox.tui.compare.controls import CompareControls
    from sandbox.tui.compare.session import Races
    from sandbox.tui.prompt import PromptEditor

REPEATS = (1, 3, 5, 10, 20)
WHO, EVERYBODY = "compare-who", "compare-everybody"
"""Ids of the engine's small works for this room."""
_FORMS = (
    Choice("all", "all four", "each in a file of its own"),
    Choice("markdown", "Markdown", "tables and answers, to read or to paste"),
    Choice("html", "web page", "one file with bars, to send to somebody"),
    Choice("csv", "CSV", "one row for each answer, for a spreadsheet"),
    Choice("json", "JSON", "everything, for a program"),
)


class CompareCommands(Room):
    ROOM = actions.COMPARE
    editor: PromptEditor
    controls: CompareControls
    panes: list[AnswerPane]

    def __init__(self, state: UIState) -> None:
        super().__init__()
        self._state = state
        self.columns: tuple[desk.Column, ...] = ()
        """Who is compared next."""

    if TYPE_CHECKING:

        @property
        def races(self) -> Races: ...

        def draw(self) -> None: ...

        def lay_out(self) -> None: ...

        def ask(self, prompt: str) -> None: ...

    @property
    def grid(self) -> tuple[int, int]:
        """In how many columns and rows the answers stand."""
        width, height = self.ui.size
        # Beside the answers there are the frame, the prompt and the block of figures.
        return drawing.arranged(len(self.panes), width, height - 12 - len(self.panes))

    @property
    def tabbed(self) -> bool:
        """Whether there is room for one answer only."""
        return len(self.panes) > 1 and self.grid == (1, 1)

    @property
    def shown(self) -> int:
        """The column that keys are about: the one with the focus, where several are seen; else the last shown."""
        for number, pane in enumerate(self.panes):
            if pane.has_focus and not self.tabbed:
                return number
        return min(self._state.compare_shown, max(0, len(self.panes) - 1))

    # --- choosing -------------------------------------------------------------------------------------------------

    def action_compare_models(self) -> None:
        self.ui.engine.work(EVERYBODY, desk.everybody)

    def pick(self, columns: tuple[desk.Column, ...]) -> None:
        """Let somebody choose among these."""
        from sandbox.tui.compare.picker import ModelPicker

        def chosen(keys: list[str] | None) -> None:
            if keys is not None:
                self._state.compare_models = keys
                self.find_out()

        self.app.push_screen(ModelPicker(columns, [column.key for column in self.columns]), chosen)

    def find_out(self) -> None:
        """Ask the engine whom the chosen keys mean; answered by Chosen."""
        wanted = [key for key in self._state.compare_models if isinstance(key, str)]
        self.ui.engine.work(WHO, partial(desk.who, wanted))

    def action_compare_repeat(self) -> None:
        from sandbox.tui.dialogs import Chooser

        choices = [
            Choice(str(times), "once" if times == 1 else f"{times} times", "" if times == 1 else "medians and spreads")
            for times in REPEATS
        ]

        def chosen(times: str | None) -> None:
            if times is not None:
                self._state.compare_repeat = self.controls.repeat = int(times)
                self.controls.redraw()

        self.app.push_screen(Chooser("How often each model is asked", choices, str(self.controls.repeat)), chosen)

    # --- moving ---------------------------------------------------------------------------------------------------

    def action_volume_less(self) -> None:
        self._volume(-1)

    def action_volume_more(self) -> None:
        self._volume(1)

    def _volume(self, step: int) -> None:
        self._state.compare_volume = drawing.beside(self._state.compare_volume, step)
        self.draw()

    def action_compare_next(self) -> None:
        self._show(self.shown + 1)

    def action_compare_previous(self) -> None:
        self._show(self.shown - 1)

    def action_column(self, number: str) -> None:
        """A click on a tab."""
        self._show(int(number))

    def _show(self, number: int) -> None:
        if self.panes:
            self._state.compare_shown = number % len(self.panes)
            self.lay_out()
            self.panes[self._state.compare_shown].focus()

    def action_compare_lower(self) -> None:
        self._state.compare_lower = "month" if self._state.compare_lower == "figures" else "figures"
        self.lay_out()

    def action_compare_prompt(self) -> None:
        self.editor.focus()

    # --- reading --------------------------------------------------------------------------------------------------

    def action_compare_spread(self) -> None:
        from sandbox.tui.dialogs import Reader

        race = self.races.race
        if race is not None and race.outcome is not None:
            outcome, volume = race.outcome, self._state.compare_volume
            self.app.push_screen(Reader("Figures", lambda _: drawing.spread_lines(outcome, volume), wide=True))

    def action_compare_diff(self) -> None:
        from sandbox.tui.dialogs import Chooser

        race = self.races.race
        if race is None or race.outcome is None:
            return
        answered = [number for number, one in enumerate(race.outcome.overall) if one.answers]
        if len(answered) < 2:
            return
        left = self.shown if self.shown in answered else answered[0]
        others = [number for number in answered if number != left]
        if len(others) == 1:
            self._differ(left, others[0])
            return
        choices = [Choice(str(number), drawing.title(race, number)) for number in others]

        def chosen(number: str | None) -> None:
            if number is not None:
                self._differ(left, int(number))

        self.app.push_screen(Chooser(f"{drawing.title(race, left)} against", choices), chosen)

    def _differ(self, left: int, right: int) -> None:
        from sandbox.tui.dialogs import Reader

        race = self.races.race
        if race is not None and race.outcome is not None:
            standings = race.outcome.overall
            lines = drawing.difference_lines(standings[left], standings[right])
            self.app.push_screen(Reader("How they differ", lambda _: lines))

    def action_compare_copy(self) -> None:
        if self.panes:
            pane = self.panes[self.shown]
            self.ui.copy_with_word(pane.text, "the answer")

    # --- writing --------------------------------------------------------------------------------------------------

    def action_compare_export(self) -> None:
        from sandbox.tui.dialogs import Chooser

        def chosen(form: str | None) -> None:
            if form is not None:
                self.run_worker(self._export(form), group="export", exclusive=True)

        self.app.push_screen(Chooser("Export as", _FORMS), chosen)

    async def _export(self, chosen: str) -> None:
        from sandbox.comparison.export import ENDINGS, FORMS, write
        from sandbox.core.whole_file import free_stem

        race = self.races.race
        if race is None or race.outcome is None:
            return
        outcome, volumes = race.outcome, [self._state.compare_volume]
        forms: list[Form] = [form for form in FORMS if chosen in ("all", form)]
        folder = self.ui.settings.data_dir / "exports"

        def work() -> Path:
            folder.mkdir(parents=True, exist_ok=True)
            stem = free_stem(folder, "comparison", ENDINGS.values())
            for form in forms:
                write(stem.with_name(f"{stem.name}{ENDINGS[form]}"), form, outcome, volumes)
            return stem

        try:
            done = await asyncio.to_thread(work)
        except OSError as error:
            self.ui.flash(f"cannot write to {folder}: {(error.strerror or str(error)).lower()}", "error")
        except InputError as error:
            self.ui.flash(str(error), "error")
        else:
            self.ui.flash(f"exported {done}{', '.join(ENDINGS[form] for form in forms)}", "done")
