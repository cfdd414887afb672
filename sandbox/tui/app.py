"""The application: the frame, the rooms, one timer that empties the engine's outbox, and what is remembered."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.filter import LineFilter
from textual.widgets import Input, Static, TextArea

from providers.clock import SYSTEM_CLOCK, Clock
from providers.redaction import redact
from sandbox.core.events import Event
from sandbox.tui import actions, state
from sandbox.tui.board import Board
from sandbox.tui.engine import Engine, Opened, Provoked, Report, Spent, Unavailable, open_runtime, sentence
from sandbox.tui.frame import FrameFacts, KeyBar, NoticeLine, ProviderStrip, TopBar
from sandbox.tui.hints import Guide
from sandbox.tui.rooms import ROOMS, Room

if TYPE_CHECKING:
    from textual.command import Provider

    from sandbox.runtime import Runtime
    from sandbox.settings import Loaded, Settings

DRAIN_HZ = 30
DRAIN_LIMIT = 5_000
"""Events taken in at one tick: what is beyond waits for the next, so that a flood cannot hold the screen."""
FLASH_US = 4_000_000
WIDE = 100
"""Columns from which the route stands beside the answer."""
SMALLEST = (60, 16)
"""Columns and rows below which nothing useful fits."""


class SandboxApp(App[None]):
    TITLE = "sandbox"
    CSS_PATH = "style.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *actions.bindings(actions.APP),
        *(
            Binding(f"{room.key},alt+{room.key}" + (f",f{room.key}" if room.key != "1" else ""), f"room({room.name!r})")
            for room in ROOMS
        ),
    ]

    def __init__(
        self,
        settings: Settings,
        *,
        notes: Sequence[str] = (),
        secrets: Sequence[str] = (),
        clock: Clock = SYSTEM_CLOCK,
        opener: Callable[[Settings], Awaitable[Runtime]] = open_runtime,
    ) -> None:
        super().__init__()
        self.settings = at_reading_pace(settings)
        self.clock = clock
        self.engine = Engine(self.settings, clock=clock, opener=opener)
        self.board = Board()
        self.failure: str | None = None
        """Why the program had to end, in one sentence."""
        self._secrets = tuple(secrets)
        self._notes = list(notes)
        self._state_file = settings.data_dir / state.FILE_NAME
        self.state, notice = state.load(self._state_file, clock)
        if notice:
            self._notes.append(notice)
        self.guide = Guide(self.state.hints_seen)
        self.frame = FrameFacts(
            rooms=[(room.name, room.key, room.title) for room in ROOMS],
            mode=settings.mode,
            keys=keys_found(settings),
            preset=settings.preset,
        )
        self._rooms: dict[str, Room] = {}
        self._saving: asyncio.Task[None] | None = None
        self._unsaved: bytes | None = None
        self._plain = PlainCharacters(enabled=settings.ui.ascii)
        self._opened = False
        names = {room.name for room in ROOMS}
        self.frame.room = self.state.room if self.state.room in names else ROOMS[0].name
        theme = settings.ui.theme or self.state.theme
        if theme in self.available_themes:
            self.theme = theme or self.theme

    # --- the frame ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield TopBar(self.frame)
        with Container(id="room"):
            yield self._make(self.frame.room)
        yield NoticeLine()
        yield ProviderStrip(self.board, self.clock.time_us)
        yield KeyBar()
        yield Static(id="too-small")

    def _make(self, name: str) -> Room:
        entry = next(room for room in ROOMS if room.name == name)
        room = entry.load()(self.state)  # type: ignore[call-arg]
        self._rooms[name] = room
        return room

    @property
    def room(self) -> Room:
        return self._rooms[self.frame.room]

    def on_mount(self) -> None:
        self.room.enter()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first paint: everything that takes time to load."""
        self.engine.start()
        self.set_interval(1 / DRAIN_HZ, self._drain)
        for note in self._notes:
            self.flash(note, "warning")
        # What was made so far stays for good; leaving it out makes every later collection shorter.
        gc.freeze()
        gc.enable()

    def on_resize(self) -> None:
        width, height = self.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.screen_stack[0].set_class(small, "-too-small")
        if small:
            self.screen_stack[0].query_one("#too-small", Static).update(
                f"This terminal has {width}×{height} cells.\nThe sandbox needs {SMALLEST[0]}×{SMALLEST[1]}: make it larger."
            )
        self.call_after_refresh(self._laid_out)

    def _laid_out(self) -> None:
        for room in self._rooms.values():
            if hasattr(room, "show_lower"):
                room.show_lower(self.state.lower)

    @property
    def is_narrow(self) -> bool:
        return self.size.width < WIDE

    @property
    def is_typing(self) -> bool:
        """Whether plain letters go into a text now."""
        return isinstance(self.focused, (Input, TextArea))

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = list(super().get_line_filters())
        return [*filters, self._plain] if self._plain.enabled else filters

    # --- events of the engine -------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """The only place where the engine's doings reach the screen."""
        outbox = self.engine.outbox
        rooms = list(self._rooms.values())
        for _ in range(min(len(outbox), DRAIN_LIMIT)):
            item = outbox.popleft()
            if isinstance(item, Event):
                self.board.apply(item)
                for room in rooms:
                    room.on_bus_event(item)
            else:
                self._report(item)
        now_us = self.clock.time_us()
        self.room.tick(now_us, 0)
        self._draw_frame(now_us)

    def _report(self, report: Report) -> None:
        if isinstance(report, Opened):
            self._opened = True
            self.frame.mode, self.frame.preset = report.mode, report.preset
            self.frame.keys = keys_found(self.engine.settings)
            self.board.set(report.lights)
            for note in report.notes:
                self.flash(note, "warning")
        elif isinstance(report, Provoked):
            from sandbox.tui.breakage import fault_word

            self.board.provoke({id: fault_word(faults) for id, faults in report.faults.items()})
        elif isinstance(report, Spent):
            self.frame.spent = report.usd
        elif isinstance(report, Unavailable):
            self.flash(report.message, "error")
        for room in self._rooms.values():
            room.on_report(report)

    def _draw_frame(self, now_us: int) -> None:
        facts = self.facts()
        self.guide.look(facts)
        base = self.screen_stack[0]
        notice = base.query_one(NoticeLine)
        notice.tick(now_us)
        shown = self.settings.ui.hints and self.state.hints
        notice.hint(self.guide.due() if shown else "")
        base.query_one(TopBar).redraw()
        base.query_one(ProviderStrip).redraw()
        keys = base.query_one(KeyBar)
        keys.places, keys.facts = (self.room.ROOM, actions.APP), frozenset(facts)
        keys.redraw()

    def facts(self) -> set[str]:
        """What holds now, for the actions of the table."""
        facts = self.room.facts()
        if self._opened:
            facts.add("opened")
        if self.board.broken:
            facts.add("broken")
        if self.is_typing:
            facts.add("typing")
        if self.is_narrow:
            facts.add("narrow")
        return facts

    # --- doing what the table says --------------------------------------------------------------------------------

    def perform(self, name: str) -> None:
        """Do an action by its name, or say that it cannot be done now."""
        action = actions.find(name)
        if not action.works(self.facts()):
            self.flash(f"{action.title}: not possible now", "warning")
            return
        owner: Any = self if action.place == actions.APP else self._rooms[action.place]
        result = getattr(owner, f"action_{name}")()
        if result is not None:
            self.run_worker(result)

    def action_perform(self, name: str) -> None:
        self.perform(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        known = [one for one in actions.of(actions.APP) if one.name == action]
        return not known or known[0].works(self.facts())

    def action_room(self, name: str) -> None:
        self.enter(name)

    def enter(self, name: str) -> None:
        """Show a room; it is as it was left."""
        if name not in self._rooms:
            room = self._make(name)
            self.query_one("#room").mount(room)
        self.frame.room = self.state.room = name
        for one, room in self._rooms.items():
            room.display = one == name
        self._rooms[name].enter()

    def action_provider(self, id: str) -> None:
        """A click on the provider strip."""
        from sandbox.tui.playground import Playground

        room = self._rooms.get(Playground.ROOM)
        if isinstance(room, Playground):
            room.break_provider(id)

    def action_lower(self, which: str) -> None:
        self.state.lower = which
        self._laid_out()

    def action_focus_on(self, id: str) -> None:
        self.query_one(f"#{id}").focus()

    def action_palette(self) -> None:
        self.action_command_palette()

    def get_system_commands(self, screen: Any) -> Iterable[Any]:
        """None beside the table's."""
        return ()

    def action_jump(self) -> None:
        from sandbox.tui.jump import JumpScreen

        def chosen(action: str | None) -> None:
            if action:
                self.run_worker(self.run_action(action))

        self.push_screen(JumpScreen(self.room.targets()), chosen)

    def action_help(self) -> None:
        from sandbox.tui.dialogs import Reader
        from sandbox.tui.help import help_lines

        topic, text = "Playground", ""
        for node in self.focused.ancestors_with_self if self.focused is not None else ():
            told = getattr(node, "HELP", None)
            if isinstance(told, str) and node is not self:
                topic, text = str(getattr(node, "border_title", None) or type(node).__name__), told
                break
        zone = self._zone()
        self.push_screen(Reader("Help", help_lines(topic, text, self.room.ROOM, self.facts(), zone)))

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
        from sandbox.tui.dialogs import Choice, Chooser
        from sandbox.tui.frame import mode_sentences

        keys = keys_found(self.engine.settings)
        choices = [Choice(mode, mode.upper(), mode_sentences(mode, keys)[0]) for mode in ("mock", "replay", "live")]

        def chosen(mode: str | None) -> None:
            if mode is not None and mode != self.frame.mode:
                self.engine.reopen(self.engine.settings.model_copy(update={"mode": mode}))

        self.push_screen(Chooser("Mode", choices, self.frame.mode), chosen)

    def action_screenshot_svg(self) -> None:
        try:
            path = self.save_screenshot(path=str(self.settings.data_dir))
        except OSError as error:
            self.flash(sentence(error), "error")
        else:
            self.flash(f"saved {path}", "done")

    # --- feedback -------------------------------------------------------------------------------------------------

    def flash(self, text: str, kind: str = "done") -> None:
        """Say something for a few seconds; problems stay longer."""
        stay = FLASH_US * (3 if kind == "error" else 1)
        notice = self.screen_stack[0].query_one(NoticeLine)
        notice.flash(redact(text, self._secrets), kind, self.clock.time_us() + stay)

    def copy_with_word(self, text: str, word: str) -> None:
        """Into the clipboard, and say so."""
        if not text:
            self.flash(f"{word} is empty: nothing was copied", "warning")
            return
        self.copy_to_clipboard(text)
        self.flash(f"copied {word}: {len(text):,} characters", "done")

    # --- what is remembered ---------------------------------------------------------------------------------------

    def save_state(self) -> None:
        """Write the state soon, off the loop; the newest wins."""
        self._unsaved = self._encoded()
        if self._saving is None or self._saving.done():
            self._saving = asyncio.create_task(self._save())

    def _encoded(self) -> bytes:
        for room in self._rooms.values():
            room.remember(self.state)
        self.state.hints_seen = sorted(self.guide.seen)
        return state.encode_state(self.state, with_answers=self.settings.usage.store_prompts)

    async def _save(self) -> None:
        while self._unsaved is not None:
            data, self._unsaved = self._unsaved, None
            problem = await asyncio.to_thread(state.write, self._state_file, data)
            if problem:
                self.flash(problem, "warning")

    async def action_quit(self) -> None:
        self._unsaved = None
        if self._saving is not None:
            await self._saving
        state.write(self._state_file, self._encoded())
        self.exit(return_code=0)

    # --- the unforeseen -------------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """Instead of a traceback: the terminal as it was, and one sentence."""
        if self.failure is None:
            self.failure = redact(sentence(error), self._secrets)
            logging.getLogger(__name__).debug("the screen failed", exc_info=error)
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()


SandboxApp.COMMANDS = {lambda: _palette()}  # type: ignore[assignment]


def _palette() -> type[Provider]:
    from sandbox.tui.palette import ActionCommands

    return ActionCommands


class PlainCharacters(LineFilter):
    """Draws with ASCII only: every drawing character has a plain one of the same width. Letters stay as they are."""

    TABLE = str.maketrans(
        {
            **dict.fromkeys("─━═╌┄▁▔▂▃", "-"), **dict.fromkeys("│┃║▏▎▍▕▐▌", "|"), **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╒╕╘╛┏┓┗┛", "+"),
            **dict.fromkeys("█▉▊▋▇▆▅▄■", "#"), **dict.fromkeys(SPIN := "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "*"),
            "●": "*", "◐": "%", "○": "o", "⊘": "x", "✓": "+", "✗": "x", "»": ">", "↺": "@", "↷": ">", "↻": "@", "▾": "v",
            "▶": ">", "▼": "v", "▲": "^", "·": "-", "…": ".", "→": ">", "←": "<", "×": "x", "•": "*", "’": "'", "⚡": "!",
        }
    )  # fmt: skip

    def apply(self, segments: Any, background: Any) -> Any:
        from rich.segment import Segment

        table = self.TABLE
        return [Segment(text.translate(table), style, control) for text, style, control in segments]


def at_reading_pace(settings: Settings) -> Settings:
    """Simulated answers take their time on a screen, unless the user said otherwise."""
    if settings.mock.pace is not None:
        return settings
    return settings.model_copy(update={"mock": settings.mock.model_copy(update={"pace": "realistic"})})


def keys_found(settings: Settings) -> tuple[str, ...]:
    """The providers for which a credential is set."""
    return tuple(id for id, one in settings.providers.items() if one.api_key is not None)


class _ScreenLog(logging.Handler):
    """While the screen is up, log lines go to its notice line: on stderr they would tear it."""

    def __init__(self, app: SandboxApp, filters: Iterable[Any]) -> None:
        super().__init__(logging.WARNING)
        self._app = app
        for one in filters:
            self.addFilter(one)

    def emit(self, record: logging.LogRecord) -> None:
        self._app.engine.outbox.append(Unavailable(redact(record.getMessage())))


def run(settings: Settings | Loaded, *, notes: Sequence[str] = ()) -> int:
    """Open the terminal UI and return its exit code. `notes` are sentences to show at the start."""
    secrets: tuple[str, ...] = ()
    loaded = getattr(settings, "settings", None)
    if loaded is not None:
        secrets = getattr(settings, "secrets", ())
        settings = loaded
    # Collecting while everything is being made costs a tenth of the start; it goes on after the first paint.
    gc.disable()
    root = logging.getLogger()
    handlers = root.handlers[:]
    try:
        app = SandboxApp(settings, notes=notes, secrets=secrets)  # type: ignore[arg-type]
        root.handlers[:] = [_ScreenLog(app, [one for handler in handlers for one in handler.filters])]
        app.run()
        app.engine.close()
    finally:
        root.handlers[:] = handlers
        gc.enable()
    if app.failure is not None:
        sys.stderr.write(f"sandbox: {app.failure}\n")
        return 1
    return app.return_code or 0
