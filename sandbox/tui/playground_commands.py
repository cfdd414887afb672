"""What the Playground's keys do beside asking: choosing, breaking and healing, reading and copying.

Each is a few lines between a dialog and the engine; dialogs load when they are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sandbox.tui import actions
from sandbox.tui.rooms import Room

if TYPE_CHECKING:
    from sandbox.tui.answer import AnswerPane
    from sandbox.tui.choices import Choice
    from sandbox.tui.conversation import Conversation, Run
    from sandbox.tui.history import HistoryPane
    from sandbox.tui.pieces import Line
    from sandbox.tui.prompt import Controls, PromptEditor
    from sandbox.tui.state import UIState


CHANGE_US = 300_000
"""How often the rows of requests from outside are drawn, and the next one is shown."""


class PlaygroundCommands(Room):
    ROOM = actions.PLAYGROUND

    answer: AnswerPane
    controls: Controls
    _state: UIState
    editor: PromptEditor
    _history: HistoryPane | None
    _following = True
    """Requests from outside are shown one after the other: until the user shows something else."""
    _changed_us = _visits = 0

    # --- choosing -------------------------------------------------------------------------------------------------

    if TYPE_CHECKING:

        @property
        def talk(self) -> Conversation: ...

        def lay_out(self, lower: str | None = None) -> None: ...

        def _refresh_history(self) -> None: ...

        def _show(self, run: Run) -> None: ...

        def _judge(self, run: Run) -> None: ...

    def choose(self, title: str, what: str, current: str | None, then: Callable[[str], None]) -> None:
        """Let one be chosen: `what` names the list."""
        from sandbox.tui import choices
        from sandbox.tui.dialogs import Chooser

        if self.talk.opened is None:
            return
        rows: list[Choice] = getattr(choices, what)(self.talk.opened)

        def chosen(value: str | None) -> None:
            if value is not None:
                then(value)
                self.controls.redraw()

        self.app.push_screen(Chooser(title, rows, current or ""), chosen)

    def action_choose_model(self) -> None:
        def chosen(model: str) -> None:
            self.controls.model = model or None

        self.choose("Model", "models", self.controls.model, chosen)

    def action_choose_provider(self) -> None:
        def chosen(provider: str) -> None:
            self.controls.via = provider or None

        self.choose("Ask first", "providers", self.controls.via, chosen)

    def action_choose_strategy(self) -> None:
        def chosen(strategy: str) -> None:
            self.controls.strategy = self._state.strategy = strategy

        self.choose("Routing strategy", "strategies", self.controls.strategy, chosen)

    def action_choose_preset(self) -> None:
        self.choose("Preset: the failover policy", "presets", self.controls.preset, self.ui.engine.use_preset)

    # --- breaking and healing -------------------------------------------------------------------------------------

    def action_break(self) -> None:
        first = self.talk.first_of_plan(self.controls.via)
        if first is not None:
            self.break_provider(first)

    def break_provider(self, provider: str) -> None:
        """Ask what to do to a provider, and do it."""
        from sandbox.tui.breakage import carry_out
        from sandbox.tui.dialogs import FaultDialog

        def chosen(result: tuple[str, str] | None) -> None:
            if result is None:
                return
            self.ui.flash(*carry_out(self.ui.engine, *result))
            if self.talk.shown is not None:
                self.answer.focus()

        lights = self.ui.board.lights.values()
        if lights:
            self.app.push_screen(FaultDialog([(light.id, light.fault) for light in lights], provider), chosen)

    def action_heal(self) -> None:
        self.ui.engine.heal()
        self.ui.flash("every provider answers again", "done")

    def action_reset_breakers(self) -> None:
        for light in self.ui.board.lights.values():
            self.ui.engine.breaker(light.id, "reset")
            self.ui.engine.breaker(light.id, "enable")
        self.ui.flash("every breaker is closed", "done")

    # --- reading and copying --------------------------------------------------------------------------------------

    def action_explain(self) -> None:
        run = self.talk.shown
        if run is not None:
            from sandbox.tui.dialogs import Reader
            from sandbox.tui.explain import explain_lines

            def lines(width: int) -> list[Line]:
                return explain_lines(run.entry, run.story, self.ui.clock.time_us(), width)

            self.app.push_screen(Reader(f"Request {run.id[:8]}", lines, live=lambda: not run.settled))

    def action_copy_answer(self) -> None:
        self.ui.copy_with_word(self.answer.text, "the answer")

    def action_copy_curl(self) -> None:
        self._copy("curl")

    def action_copy_python(self) -> None:
        self._copy("python")

    def _copy(self, form: str) -> None:
        from providers.errors import InputError
        from sandbox.tui import snippets

        run = self.talk.shown
        info = self.talk.answered_by(run) if run is not None else None
        if run is None or info is None:
            return
        try:
            text = snippets.write(form, info, run.entry.prompt, run.entry.model, run.story.model)
        except InputError as error:
            self.ui.flash(str(error), "warning")
        else:
            self.ui.copy_with_word(text, f"{form} for {info.id}")

    # --- requests from outside ------------------------------------------------------------------------------------

    def _visited(self, now_us: int) -> None:
        """Requests from outside: their rows, and with nothing else to show the newest of them."""
        visitors = self.ui.visitors
        if visitors.latest is None or now_us - self._changed_us < CHANGE_US or self._history is None:
            return
        talk, latest = self.talk, visitors.latest
        shown = talk.shown
        if self._following and latest is not shown and talk.running is None and (shown is None or shown.settled):
            self._changed_us = now_us
            talk.shown = latest
            self._show(latest)
        if visitors.changes != self._visits:
            self._changed_us, self._visits = now_us, visitors.changes
            self._refresh_history()
            if shown is not None and shown.entry.outside and shown.settled:
                self._judge(shown)
                self.answer.finish()

    def action_follow(self) -> None:
        self._following = True
        self.ui.flash("showing what other programs ask", "done")

    # --- the history ----------------------------------------------------------------------------------------------

    def on_history_pane_chosen(self, message: HistoryPane.Chosen) -> None:
        self._following = False
        live = self.ui.visitors.run_of(message.entry)
        if live is not None:
            self.talk.shown = live
        self._show(live or self.talk.show_again(message.entry))
        self.editor.put(message.entry.prompt, selected=True)

    def action_focus_history(self) -> None:
        self.lay_out("history")
        if self._history is not None:
            self._history.focus_rows()

    def action_filter_history(self) -> None:
        self.lay_out("history")
        if self._history is not None:
            self._history.start_filter()

    def action_clear_history(self) -> None:
        self._state.history.clear()
        self._refresh_history()
        self.ui.save_state()
        self.ui.flash("the history is empty", "done")
