"""The application: the frame, the rooms, one timer that empties the engine's outbox, and what is remembered.

What the first paint does not need is imported after it: half of the program's modules, a fifth of its start.
"""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult, ScreenStackError
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static, TextArea

from providers.clock import SYSTEM_CLOCK, Clock
from providers.redaction import redact
from sandbox.settings.pace import at_reading_pace
from sandbox.tui import actions, state
from sandbox.tui.app_commands import keys_found
from sandbox.tui.app_rooms import AppRooms
from sandbox.tui.frame import FrameFacts, KeyBar, NoticeLine, ProviderStrip, TopBar
from sandbox.tui.hints import Guide
from sandbox.tui.keeper import Keeper
from sandbox.tui.rooms import ROOMS

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.filter import LineFilter

    from sandbox.desks.lights import Light
    from sandbox.serving import OpenServer
    from sandbox.settings import Loaded, Settings
    from sandbox.tui.attached.client import GatewayClient
    from sandbox.tui.board import Board
    from sandbox.tui.engine import Engine, Opener
    from sandbox.tui.reports import Report
    from sandbox.tui.visitors import Visitors

DRAIN_HZ = 30
DRAIN_LIMIT = 5_000
"""Events taken in at one tick: what is beyond waits for the next, so that a flood cannot hold the screen."""
FLASH_US = 4_000_000
WIDE = 110
"""Columns from which the route stands beside the answer."""
SMALLEST = (60, 16)
"""Columns and rows below which nothing useful fits."""


def _palette() -> type[Provider]:
    from sandbox.tui.palette import ActionCommands

    return ActionCommands


class SandboxApp(AppRooms):
    TITLE = "sandbox"
    CSS_PATH = "style.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012  as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (28, "-middle"), (40, "-tall")]  # noqa: RUF012
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
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
        opener: Opener | None = None,
        loaded: Loaded | None = None,
        open_server: OpenServer | None = None,
        attached: GatewayClient | None = None,
    ) -> None:
        """`opener` makes the runtime, on the engine's thread; None: the real one. `loaded`: the settings' origins.

        `open_server`: the face that serves the gateway, where the process has one. `attached`: the way to a
        gateway elsewhere, which is shown in place of one of its own.
        """
        super().__init__()
        self.loaded = loaded
        self.settings = at_reading_pace(settings)
        self.clock = clock
        self._opener = opener
        self._open_server = open_server
        self._attached = attached
        self.served = None
        self.failure: str | None = None
        """Why the program had to end, in one sentence."""
        self._secrets = tuple(secrets)
        self._notes = list(notes)
        file = settings.data_dir / (state.FILE_NAME if attached is None else state.ATTACHED_FILE_NAME)
        self.state, notice = state.load(file, clock)
        self._keeper = Keeper(file, self._encoded, lambda problem: self.flash(problem, "warning"))
        if notice:
            self._notes.append(notice)
        self.guide = Guide(self.state.hints_seen)
        self.frame = FrameFacts(
            rooms=[(room.name, room.key, room.title) for room in ROOMS],
            mode=settings.mode,
            keys=keys_found(settings) if attached is None else (),
            attached=attached.url.partition("://")[2] if attached is not None else "",
            preset=settings.preset,
        )
        self._plain: LineFilter | None = None
        if settings.ui.ascii:
            from sandbox.tui.plain import PlainCharacters

            self._plain = PlainCharacters()
        names = {name for name, _, _ in self.frame.rooms}
        self.frame.room = self.state.room if self.state.room in names else ROOMS[0].name
        theme = settings.ui.theme or self.state.theme
        if theme in self.available_themes:
            self.theme = theme or self.theme

    @cached_property
    def engine(self) -> Engine:
        if self._attached is not None:
            from sandbox.tui.attached.engine import AttachedEngine

            return AttachedEngine(self.settings, self._attached, clock=self.clock)
        from sandbox.tui.engine import Engine, open_runtime

        opener = self._opener or open_runtime
        return Engine(self.settings, clock=self.clock, opener=opener, open_server=self._open_server)

    @cached_property
    def visitors(self) -> Visitors:
        from sandbox.tui.visitors import Visitors

        return Visitors(self.state)

    @cached_property
    def board(self) -> Board:
        from sandbox.tui.board import Board

        return Board()

    # --- the frame ------------------------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        self._classify()
        self._top = TopBar(self.frame)
        self._notice = NoticeLine()
        self._strip = ProviderStrip(self._lights, self.clock.time_us)
        self._keys = KeyBar(self._begin)
        yield self._top
        room = self._rooms[self.frame.room] = self.load_room(self.frame.room)
        yield room
        yield self._notice
        yield self._strip
        yield self._keys
        yield Static(id="too-small")

    def _classify(self) -> None:
        """Set the breakpoints' classes before the first layout, which would otherwise be painted for another size."""
        width, height = self.size
        for size, points in ((width, self.HORIZONTAL_BREAKPOINTS), (height, self.VERTICAL_BREAKPOINTS)):
            self.screen.add_class(next(name for least, name in reversed(points) if size >= least))

    def _lights(self) -> list[Light]:
        return list(self.board.lights.values()) if self._opened is not None else []

    def on_mount(self) -> None:
        self.room.enter()

    def _begin(self) -> None:
        """At the first paint: everything that takes time to load; the gateway goes first."""
        self.engine.start()
        self.set_interval(1 / DRAIN_HZ, self._drain)
        for note in self._notes:
            self.flash(note, "warning")
        # What was made so far stays for good; leaving it out makes every later collection shorter.
        gc.freeze()
        gc.enable()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.screen_stack[0].set_class(small, "-too-small")
        if small:
            self.screen_stack[0].query_one("#too-small", Static).update(
                f"This terminal has {width}×{height} cells.\n"
                f"The sandbox needs {SMALLEST[0]}×{SMALLEST[1]}: make it larger."
            )
        self.call_after_refresh(self._laid_out)

    @property
    def is_narrow(self) -> bool:
        return self.size.width < WIDE

    @property
    def is_typing(self) -> bool:
        """Whether plain letters go into a text now."""
        return isinstance(self.focused, (Input, TextArea))

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return filters if self._plain is None else [*filters, self._plain]

    # --- events of the engine -------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """The only place where the engine's doings reach the screen."""
        from sandbox.core.events import Event
        from sandbox.tui.reports import Provoked

        try:
            _ = self.screen
        except ScreenStackError:
            return  # the program is ending
        outbox = self.engine.outbox
        rooms = list(self._rooms.values())
        now_us = self.clock.time_us()
        for _ in range(min(len(outbox), DRAIN_LIMIT)):
            item = outbox.popleft()
            if self.early is not None and isinstance(item, (Event, Provoked)):
                self.early.append((now_us, item))
            if isinstance(item, Event):
                self.board.apply(item)
                self.visitors.take(item)
                for room in rooms:
                    room.on_bus_event(item)
            else:
                self._report(item)
        self.room.tick(now_us)
        self._draw_frame(now_us)

    def _report(self, report: Report) -> None:
        from sandbox.tui.reports import Armed, Linked, Noted, Opened, Provoked, Served, Spent, Unavailable

        if isinstance(report, Opened):
            self._opened = report
            self.frame.mode, self.frame.preset = report.mode, report.preset
            if self._attached is None:
                self.frame.keys = keys_found(self.engine.settings)
            self.board.set(report.lights)
            for note in report.notes:
                self.flash(note, "warning")
        elif isinstance(report, Provoked):
            from sandbox.tui.breakage import fault_word

            self.board.provoke({id: fault_word(faults) for id, faults in report.faults.items()})
        elif isinstance(report, Armed):
            self.frame.armed = bool(report.count)
        elif isinstance(report, Spent):
            self.frame.spent = report.usd
        elif isinstance(report, Linked):
            gone, self.frame.gone_until_us = self.frame.gone_until_us, report.again_us
            if report.problem or gone:
                self.flash(report.problem or "the gateway is back", "error" if report.problem else "done")
        elif isinstance(report, Served):
            self.served = report
            if report.problem and len(self.screen_stack) == 1:
                self.flash(report.problem, "error")
        elif isinstance(report, Unavailable):
            self.flash(report.message, "error")
        elif isinstance(report, Noted):
            self.flash(report.message, "warning")
        for room in self._rooms.values():
            room.on_report(report)

    def _draw_frame(self, now_us: int) -> None:
        facts = self.facts()
        self.guide.look(facts)
        self._notice.tick(now_us)
        shown = self.settings.ui.hints and self.state.hints and self.room.HINTED
        self._notice.hint(self.guide.due() if shown else "")
        self.frame.now_us = now_us
        self._count_visits(now_us)
        self._top.redraw()
        self._strip.redraw()
        keys = self._keys
        # A dialog says its own keys; those of the room do nothing meanwhile.
        keys.places = () if len(self.screen_stack) > 1 else (self.room.ROOM, actions.APP)
        keys.facts = frozenset(facts)
        keys.redraw()

    def facts(self) -> set[str]:
        """What holds now, for the actions of the table."""
        facts = self.room.facts()
        if self._attached is not None:
            facts.add("attached")
        if self._opened is not None:
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
        """Do an action by its name, in its own room, or say that it cannot be done now."""
        action = actions.find(name)
        if action.place not in (actions.APP, self.room.ROOM):
            self.run_worker(self.perform_there(action))
            return
        if not action.works(self.facts()):
            self.flash(f"{action.title}: not possible now", "warning")
            return
        owner: Any = self if action.place == actions.APP else self._rooms[action.place]
        result = getattr(owner, f"action_{name}")()
        if result is not None:
            self.run_worker(result)

    def on_key(self, event: events.Key) -> None:
        """Say why a known key does nothing."""
        if self.is_typing or len(self.screen_stack) > 1 or event.key in self.screen.active_bindings:
            return
        for action in (*actions.of(self.room.ROOM), *actions.of(actions.APP)):
            if event.key in action.keys:
                self.perform(action.name)

    def action_perform(self, name: str) -> None:
        self.perform(name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        known = [one for one in actions.of(actions.APP) if one.name == action]
        return not known or known[0].works(self.facts())

    def action_focus_on(self, id: str) -> None:
        self.query_one(f"#{id}").focus()

    def action_palette(self) -> None:
        self.action_command_palette()

    def get_system_commands(self, screen: Any) -> Iterable[Any]:
        """None beside the table's."""
        return ()

    # --- feedback -------------------------------------------------------------------------------------------------

    def flash(self, text: str, kind: str = "done") -> None:
        """Say something for a few seconds; problems stay longer."""
        stay = FLASH_US * (3 if kind == "error" else 1)
        self._notice.flash(redact(text, self._secrets), kind, self.clock.time_us() + stay)

    def copy_with_word(self, text: str, word: str) -> None:
        """Into the clipboard, and say so."""
        if not text:
            self.flash(f"{word} is empty: nothing was copied", "warning")
            return
        self.copy_to_clipboard(text)
        self.flash(f"copied {word}: {len(text):,} characters", "done")

    # --- what is remembered ---------------------------------------------------------------------------------------

    def save_state(self) -> None:
        """Write the state soon."""
        self._keeper.save_soon()

    def _encoded(self) -> bytes:
        for room in self._rooms.values():
            room.remember(self.state)
        self.state.hints_seen = sorted(self.guide.seen)
        return state.encode_state(self.state, with_answers=self.settings.usage.store_prompts)

    async def action_quit(self) -> None:
        await self._keeper.save_now()
        self.exit(return_code=0)

    # --- the unforeseen -------------------------------------------------------------------------------------------

    def _handle_exception(self, error: Exception) -> None:
        """Instead of a traceback: the terminal as it was, and one sentence."""
        from sandbox.tui.engine import sentence

        if self.failure is None:
            self.failure = redact(sentence(error), self._secrets)
            logging.getLogger(__name__).debug("the screen failed", exc_info=error)
            with contextlib.suppress(Exception):
                # The user's text is worth an attempt, whatever state the screen is in.
                self._keeper.save_last()
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        self._close_messages_no_wait()
