"""What the keys do that work in every room: help, jump, theme, mode, hints, a screenshot. Dialogs load when opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.tui.stage import StagedApp

if TYPE_CHECKING:
    from sandbox.settings import Settings
    from sandbox.tui.engine import Engine
    from sandbox.tui.frame import FrameFacts
    from sandbox.tui.reports import Served
    from sandbox.tui.rooms import Room
    from sandbox.tui.state import UIState
    from sandbox.tui.visitors import Visitors


def keys_found(settings: Settings) -> tuple[str, ...]:
    """The providers for which a credential is set."""
    return tuple(id for id in settings.providers if settings.credential(id) is not None)


RECOUNT_US = 1_000_000
"""How often today's spending is read while requests come in from outside."""


class AppCommands(StagedApp):
    settings: Settings
    state: UIState
    frame: FrameFacts
    served: Served | None
    _counted = _recount_us = 0
    """What of the gateway can be reached from outside this program."""

    if TYPE_CHECKING:

        @property
        def room(self) -> Room: ...

        @property
        def engine(self) -> Engine: ...

        @property
        def visitors(self) -> Visitors: ...

        def facts(self) -> set[str]: ...

        def flash(self, text: str, kind: str = "done") -> None: ...

        def save_state(self) -> None: ...

    def action_jump(self) -> None:
        from sandbox.tui.jump import JumpScreen

        def chosen(action: str | None) -> None:
            if action:
                self.run_worker(self.run_action(action))

        self.push_screen(JumpScreen(self.room.targets()), chosen)

    def action_help(self) -> None:
        from sandbox.tui.dialogs import Reader
        from sandbox.tui.help import help_lines

        topic, text = self.room.TOPIC, ""
        for node in self.focused.ancestors_with_self if self.focused is not None else ():
            told = getattr(node, "HELP", None)
            if isinstance(told, str) and node is not self:
                topic, text = str(getattr(node, "TOPIC", topic)), told
                break
        zone, facts = self._zone(), self.facts()
        self.push_screen(Reader("Help", lambda width: help_lines(topic, text, self.room.ROOM, facts, zone, width)))

    def _zone(self) -> str:
        from datetime import datetime

        return datetime.fromtimestamp(self.clock.time_us() / 1e6).astimezone().strftime("%Z, UTC%z")

    def action_choose_theme(self) -> None:
        self.search_themes()

    def watch_theme(self, name: str) -> None:
        if hasattr(self, "state") and self.state.theme != name and self.is_running:
            self.state.theme = name
            self.save_state()

    def action_toggle_hints(self) -> None:
        self.state.hints = not self.state.hints
        self.flash(f"hints are {'on' if self.state.hints else 'off'}", "done")

    def action_choose_mode(self) -> None:
        from sandbox.tui.choices import Choice
        from sandbox.tui.dialogs import Chooser
        from sandbox.tui.frame import mode_sentences

        if self.frame.attached:
            mode = f"{self.frame.attached} is in {self.frame.mode.upper()} mode"
            self.flash(f"{mode}: another one is chosen where it is started", "warning")
            return
        keys = keys_found(self.engine.settings)
        modes = ("mock", "replay", "record", "live")
        choices = [Choice(mode, mode.upper(), mode_sentences(mode, keys)[0]) for mode in modes]

        def chosen(mode: str | None) -> None:
            if mode is not None and mode != self.frame.mode:
                self.engine.reopen(self.engine.settings.model_copy(update={"mode": mode}))

        self.push_screen(Chooser("Mode", choices, self.frame.mode), chosen)

    def action_server(self) -> None:
        from sandbox.tui.reports import Served
        from sandbox.tui.server_panel import ServerPanel

        if self.frame.attached:
            self.flash(f"this gateway is served already, at {self.frame.attached}: programs ask it there", "warning")
            return
        served = self.served or Served()
        if not served.url and not served.problem:
            self.serve(self.state.server_port)
        self.push_screen(
            ServerPanel(lambda: self.served or Served(), lambda: self.visitors.counts, self.state.server_port)
        )

    def serve(self, port: int) -> None:
        """Let other programs in; 0: on any port that is free."""
        self.state.server_port = port or self.state.server_port
        self.visitors.forget()
        self.engine.listen(port)

    def _count_visits(self, now_us: int) -> None:
        """How many requests came in from outside; and what they cost, now and then."""
        requests, served = self.visitors.counts.requests, self.served
        if self.frame.attached:
            self.frame.visits = requests
        elif served is not None:
            self.frame.serving = (served.port, requests) if served.url else None
            if requests != self._counted and now_us >= self._recount_us:
                self._counted, self._recount_us = requests, now_us + RECOUNT_US
                self.engine.recount()

    def action_screenshot_svg(self) -> None:
        from sandbox.tui.engine import sentence

        try:
            path = self.save_screenshot(path=str(self.settings.data_dir))
        except OSError as error:
            self.flash(sentence(error), "error")
        else:
            self.flash(f"saved {path}", "done")
