"""The frame around every room: tabs and mode above; hints, providers and keys below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.widgets import Static

from sandbox.core.figures import dollars
from sandbox.core.offline import OFFLINE_MODES
from sandbox.tui import actions
from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.pieces import BAD, DOT, MUTED, PLAIN, SOFT, Line

if TYPE_CHECKING:
    from sandbox.desks.lights import Light

MODE_STYLES = {"mock": "$text-success", "replay": "$text-primary", "record": "$text-warning", "live": "$text-error"}


@dataclass(slots=True)
class FrameFacts:
    """What the bars show of the whole program."""

    rooms: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, key, title."""
    room: str = ""
    mode: str = "mock"
    keys: tuple[str, ...] = ()
    """Providers for which a credential was found; never the credential."""
    preset: str = ""
    spent: Decimal | None = None
    """USD of today in this mode."""
    serving: tuple[int, int] | None = None
    """The port on which the gateway is served, and how many requests came in; None: it is not served."""
    attached: str = ""
    """The gateway elsewhere that is shown; empty: it is this program's own."""
    gone_until_us: int | None = None
    """It cannot be reached, and is tried again then; None: it can."""
    visits: int = 0
    """Requests of other programs there."""
    now_us: int = 0
    armed: bool = False
    """The next exchange with a provider is recorded."""

    @property
    def until(self) -> str:
        """How long something holds that is written nowhere."""
        return "until the gateway there ends" if self.attached else "until this program ends"


def mode_sentences(mode: str, keys: Sequence[str]) -> tuple[str, str]:
    """What a mode means, at length and in short."""
    if mode == "mock":
        return "no keys needed · nothing leaves this machine", "nothing leaves this machine"
    if mode == "replay":
        return "recorded answers only · nothing leaves this machine", "recorded answers only"
    found = f"keys found: {', '.join(keys)}" if keys else "no keys found"
    if mode == "record":
        return f"real providers, real money, every exchange kept · {found}", "real providers, kept"
    return f"real providers, real money · {found}", "real providers, real money"


class TopBar(CellBar):
    """Name, rooms, mode, preset, and what today has cost."""

    def __init__(self, facts: FrameFacts) -> None:
        super().__init__(id="top")
        self.facts = facts

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        facts = self.facts
        # What the mode means says more than the names of rooms that are not shown, and those more than the program's.
        for named, titled in ((True, True), (False, True), (True, False), (False, False)):
            left = [Cell([(" sandbox ", "bold $text-primary")])] if named else []
            for name, key, title in facts.rooms:
                shown = name == facts.room
                style = "bold $text-primary on $primary-muted" if shown else SOFT
                label = f" {key} {title} " if shown or titled else f" {key} "
                left.append(Cell([(label, style)], f"app.room({name!r})"))
            room = width - sum(cell.width for cell in left) - 1
            if self._least() <= room:
                break
        return left, [Cell(self._right(room), "app.perform('choose_mode')")]

    def _least(self) -> int:
        """Columns for the mode and, in short, what it means."""
        facts = self.facts
        return len(facts.mode) + len(DOT + mode_sentences(facts.mode, facts.keys)[1]) + 1

    def _right(self, room: int) -> Line:
        """The fullest wording that fits; the mode itself always stays."""
        facts = self.facts
        long, short = mode_sentences(facts.mode, facts.keys)
        colour = MODE_STYLES.get(facts.mode, PLAIN)
        if facts.serving is not None:
            port, requests = facts.serving
            long, short = f"serving 127.0.0.1:{port} · {requests:,} from outside", f":{port} · {requests:,}"
        if facts.gone_until_us is not None:
            wait = max(0, -((facts.now_us - facts.gone_until_us) // 1_000_000))
            long, short = f"{facts.attached} is gone · tried again in {wait} s", f"gone · again in {wait} s"
            colour = BAD
        elif facts.attached:
            long, short = f"attached to {facts.attached} · {facts.visits:,} from outside", f"at {facts.attached}"
        if facts.armed:
            long, short, colour = "the next exchange is recorded", "recording next", MODE_STYLES["record"]
        spent = "" if not facts.spent else f"today {dollars(facts.spent, simulated=facts.mode in OFFLINE_MODES)}"
        preset = f"preset {facts.preset}" if facts.preset else ""
        for sentence, extras in (
            (long, (preset, spent)), (long, (spent,)), (long, ()),
            (short, (spent,)), (short, ()), ("", (spent,)), ("", ()),
        ):  # fmt: skip
            line: Line = [(facts.mode.upper(), f"bold {MODE_STYLES.get(facts.mode, PLAIN)}")]
            if sentence:
                line.append((DOT + sentence, colour))
            line += [(f"   {extra}", SOFT) for extra in extras if extra]
            line.append((" ", PLAIN))
            if sum(len(text) for text, _ in line) <= room:
                return line
        return [(facts.mode.upper() + " ", f"bold {MODE_STYLES.get(facts.mode, PLAIN)}")]


class ProviderStrip(CellBar):
    """Every provider of the chain with the state of its breaker; a click breaks or heals one."""

    def __init__(self, lights: Callable[[], Sequence[Light]], now_us: Callable[[], int]) -> None:
        super().__init__(id="strip")
        self._lights = lights
        self._now_us = now_us

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        lights = self._lights()
        if not lights:
            return [Cell([(" getting the providers ready …", MUTED)])], []
        from sandbox.tui.board import strip_pieces

        pieces = strip_pieces(lights, self._now_us(), width - 2)
        return [Cell([(" ", PLAIN)]), *(Cell(line, f"app.provider({id!r})") for id, line in pieces)], []


class KeyBar(CellBar):
    """The keys that do something now."""

    def __init__(self, first_drawn: Callable[[], object]) -> None:
        """`first_drawn` is called once, when the frame is painted for the first time: this bar is its last piece."""
        super().__init__(id="keys")
        self.places: tuple[str, ...] = ()
        self.facts: frozenset[str] = frozenset()
        self._first_drawn: Callable[[], object] | None = first_drawn

    def render(self) -> Content:
        if self._first_drawn is not None:
            first_drawn, self._first_drawn = self._first_drawn, None
            self.call_later(first_drawn)
        return super().render()

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        rows = actions.footer(self.places, self.facts)
        while rows and 1 + sum(len(key) + len(one.label) + 3 for one, key in rows) > width:
            rows.pop()
        cells = [Cell([(" ", PLAIN)])]
        for one, key in rows:
            cells.append(Cell([(key, "bold $text-accent"), (f" {one.label}", SOFT)], f"app.perform({one.name!r})"))
            cells.append(Cell([("  ", PLAIN)]))
        return cells, []


class NoticeLine(Static):
    """One line for hints and for feedback on what was just done. Feedback passes; then the hint is back."""

    STYLES: ClassVar[Mapping[str, str]] = {
        "hint": "$text-accent",
        "done": "$text-success",
        "warning": "$text-warning",
        "error": "$text-error",
    }
    MARKS: ClassVar[Mapping[str, str]] = {"hint": "→ ", "done": "✓ ", "warning": "! ", "error": "✗ "}

    def __init__(self) -> None:
        super().__init__(id="notice")
        self._hint = ""
        self._flash: tuple[str, str] | None = None
        self._until_us = 0
        self._shown: tuple[str, str] | None = None

    def hint(self, text: str) -> None:
        """Show this until another hint; empty: none."""
        self._hint = text
        self._paint()

    def flash(self, text: str, kind: str, until_us: int) -> None:
        """Show this for a while, in place of the hint."""
        self._flash, self._until_us = (text, kind), until_us
        self._paint()

    def tick(self, now_us: int) -> None:
        if self._flash is not None and now_us >= self._until_us:
            self._flash = None
            self._paint()

    def dismiss(self) -> None:
        if self._flash is not None:
            self._flash = None
            self._paint()

    @property
    def text(self) -> str:
        return "" if self._shown is None else self._shown[0]

    def _paint(self) -> None:
        shown = self._flash or ((self._hint, "hint") if self._hint else None)
        if shown == self._shown:
            return
        self._shown = shown
        if shown is None:
            self.update("")
        else:
            text, kind = shown
            self.update(
                Content.assemble((f" {self.MARKS[kind]}", f"bold {self.STYLES[kind]}"), (text, self.STYLES[kind]))
            )
