"""The dialog of the gateway's server: start it, see its addresses and what came in, stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from sandbox.tui.pieces import BAD, DOT, GOOD, MUTED, NAME, PLAIN, SHAPES, WARN, Line

if TYPE_CHECKING:
    from sandbox.tui.application import SandboxApp
    from sandbox.tui.reports import Served
    from sandbox.tui.visitors import Counts

REFRESH_S = 0.25
ANY_KEY = "Any key will do, such as OPENAI_API_KEY=x. Only programs of this machine reach it."
NEEDS_KEY = "Callers need a key with scope chat: `sandbox admin key create NAME` makes one."


class ServerPanel(ModalScreen[None]):
    """Follows the server while it is open."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+g", "dismiss(None)", "Close"),
        Binding("y", "copy", "Copy the addresses"),
        Binding("s", "start_or_stop", "Start or stop"),
    ]

    def __init__(self, served: Callable[[], Served], counts: Callable[[], Counts], port: int) -> None:
        super().__init__()
        self._served = served
        self._counts = counts
        self._port = port
        self._asked = False
        """It was asked to start or to stop, and has not said yet what came of it."""
        self._before: Served | None = None

    @property
    def ui(self) -> SandboxApp:
        return cast("SandboxApp", self.app)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as box:
            box.border_title = "Gateway server"
            yield Static(id="server-told")
            with Horizontal(id="server-port"):
                yield Static("Port ")
                yield Input(str(self._port), id="port", compact=True, restrict=r"[0-9]*", max_length=5)

    def on_mount(self) -> None:
        self.set_interval(REFRESH_S, self._follow)
        self._follow()

    # --- what there is ----------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        served = self._served()
        if served != self._before:
            self._before = served
            self._asked = False
            box = self.query_one("#port", Input)
            if served.port:
                box.value = str(served.port)
            self.query_one("#server-port").display = not served.url
            if not served.url and served.problem:
                box.focus()
            else:
                self.set_focus(None)
        self.query_one(Vertical).border_subtitle = self._keys(served)
        lines = server_lines(served, self._counts(), waiting=self._asked)
        self.query_one("#server-told", Static).update(Content("\n").join(Content.assemble(*line) for line in lines))

    def _keys(self, served: Served) -> str:
        if served.url:
            return "y copy the addresses · s stop · Esc close"
        return "Enter start · Esc close" if self.query_one("#port", Input).has_focus else "s start · Esc close"

    # --- keys -------------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def _start(self) -> None:
        text = self.query_one("#port", Input).value
        port = int(text) if text else 0
        if port > 65535:
            self.ui.flash(f"there is no port {port}: 65535 is the last", "error")
            return
        self._asked = True
        self.ui.serve(port)

    def action_start_or_stop(self) -> None:
        if self._served().url:
            self._asked = True
            self.ui.engine.stop_listening()
        else:
            self._start()

    def action_copy(self) -> None:
        clients = self._served().clients
        if clients:
            self.ui.copy_with_word("".join(f"export {name}={address}\n" for name, address in clients), "the addresses")


def server_lines(served: Served, counts: Counts, *, waiting: bool) -> list[Line]:
    """What the dialog says."""
    if not served.url:
        lines: list[Line] = [
            [("It lets other programs send their requests through this gateway.", PLAIN)],
            [("They appear in room 1, and as lanes in room 3 (l); f breaks providers under them.", PLAIN)],
            [],
        ]
        if served.problem:
            lines = [[(f"✗ {served.problem}", BAD)], []]
        return [*lines, [("starting …", MUTED)]] if waiting else lines
    figures = [f"{counts.requests:,} requests", f"{counts.under_way:,} under way"]
    line: Line = [(DOT.join(figures), PLAIN)]
    if counts.failed_over:
        line.append((f"{DOT}{counts.failed_over:,} failed over", WARN))
    if counts.failed:
        line.append((f"{DOT}{counts.failed:,} failed", BAD))
    wide = max((len(name) for name, _ in served.clients), default=0)
    return [
        [(f"{SHAPES['closed']} ", GOOD), ("listening on ", PLAIN), (served.url, NAME)],
        line,
        [],
        *([(f"{name:<{wide}}  ", MUTED), (address, PLAIN)] for name, address in served.clients),
        [],
        [(NEEDS_KEY if served.asks_callers else ANY_KEY, MUTED)],
        *([[("finishing what is under way …", WARN)]] if waiting else []),
    ]
