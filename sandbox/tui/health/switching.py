"""A switch of backends as the screen goes through it: tried out, agreed to, done. No widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap
from typing import Final, Literal

from sandbox.backends import BackendCheck, StoreHealth
from sandbox.core.figures import duration_ms
from sandbox.desks.places import Moved, Tried, Trying, Wanted
from sandbox.settings.backends import AWS_BACKENDS, LOCAL_BACKENDS
from sandbox.stores import PARTS, Part, Place
from sandbox.tui.choices import Choice
from sandbox.tui.health.entries import seconds
from sandbox.tui.health.stores import NAMES
from sandbox.tui.pieces import BAD, DOT, FAILED, GOOD, MUTED, NAME, OK, PLAIN, SPINNER, WARN, Line
from sandbox.tui.reports import Refused, Report

PLACES: Final[dict[Place, str]] = {"local": "on this machine", "aws": "on AWS"}
_TABLES: Final[dict[Place, dict[str, str]]] = {"local": LOCAL_BACKENDS, "aws": AWS_BACKENDS}
_IN: Final = "    "
SLOW_US: Final = 1_000_000
"""From then on it is said how long one has waited."""

Stage = Literal["trying", "ready", "refused", "moving", "done", "failed"]


def offers(stores: Sequence[StoreHealth]) -> list[Choice]:
    """The switches that would change something: both parts, then each alone. The value is `place` or `place part`."""
    now = {store.part: store.backend for store in stores}
    found = []
    for place, table in _TABLES.items():
        moving = [part for part in PARTS if now.get(part) not in (table[part], "off")]
        if len(moving) > 1:
            told = " and ".join(f"{NAMES[part]} on {table[part]}" for part in moving)
            found.append(Choice(place, f"everything {PLACES[place]}", told))
    for place, table in _TABLES.items():
        for part in PARTS:
            if now.get(part) != table[part]:
                found.append(Choice(f"{place} {part}", f"{NAMES[part]} {PLACES[place]}", f"on {table[part]}"))
    return found


def wanted_of(value: str) -> Wanted:
    """What a choice of `offers` means."""
    place: Place = "aws" if value.startswith("aws") else "local"
    part = next((one for one in PARTS if value.endswith(f" {one}")), None)
    return Wanted(place, part)


@dataclass(slots=True)
class Switching:
    """One switch; `began_us`: since when its stage lasts."""

    id: str
    wanted: Wanted
    file: Path | None
    """Where it could be written for whatever starts later."""
    began_us: int
    stage: Stage = "trying"
    backends: Mapping[Part, str] = field(default_factory=dict)
    checks: dict[Part, BackendCheck] = field(default_factory=dict)
    moved: Moved | None = None
    problem: str = ""
    until: str = "until this program ends"
    """How long it holds where it is not written."""
    winning: Sequence[str] = ()
    """The variables that win over what is written."""

    def take(self, report: Report, now_us: int) -> bool:
        """Take a report in; returns whether it was about this switch."""
        if isinstance(report, Refused):
            if report.request_id != self.id:
                return False
            self._to("failed", now_us)
            self.problem = report.message
            return True
        if not isinstance(report, (Trying, Tried, Moved)) or report.id != self.id:
            return False
        if isinstance(report, Trying):
            self.backends = report.backends
        elif isinstance(report, Tried):
            self.checks[report.check.part] = report.check
            if len(self.checks) == len(self.backends):
                self._to("ready" if all(one.ok for one in self.checks.values()) else "refused", now_us)
        else:
            self.moved = report
            self._to("done", now_us)
        return True

    def go(self, now_us: int) -> None:
        self._to("moving", now_us)

    def again(self, now_us: int) -> None:
        self.checks.clear()
        self._to("trying", now_us)

    def _to(self, stage: Stage, now_us: int) -> None:
        self.stage, self.began_us = stage, now_us

    @property
    def outcome(self) -> tuple[str, str]:
        """How it ended in a sentence, and its kind of feedback."""
        if self.moved is None:
            return self.problem, "error"
        told = ", ".join(f"{NAMES[one.part]} on {one.after}" for one in self.moved.changes) or "as it was before"
        if self.moved.problem:
            return f"{told}; the settings could not be written: {self.moved.problem}", "warning"
        if self.moved.file is None:
            return f"{told}, {self.until}", "done"
        told = f"{told}, in {self.moved.file} too"
        return (f"{told}; {self.winner} over it at the next start", "warning") if self.winning else (told, "done")

    @property
    def winner(self) -> str:
        """`SANDBOX_BACKEND is set and wins`."""
        return f"{' and '.join(self.winning)} {'is set and wins' if len(self.winning) == 1 else 'are set and win'}"


def keys(switching: Switching) -> str:
    """What can be pressed now, as a dialog's subtitle, clickable."""
    close = "[@click=screen.leave]Esc close[/]"
    if switching.stage == "trying":
        return "[@click=screen.leave]Esc cancel[/]"
    if switching.stage == "ready":
        both = DOT + "[@click=screen.go(True)]w switch, and write it[/]" if switching.file is not None else ""
        return f"[@click=screen.go(False)]Enter switch[/]{both}{DOT}[@click=screen.leave]Esc no[/]"
    if switching.stage == "moving":
        return "[@click=screen.leave]Esc goes on behind[/]"
    if switching.stage == "refused":
        return f"[@click=screen.again]r try again[/]{DOT}{close}"
    return close


def lines(switching: Switching, now_us: int, width: int) -> list[Line]:
    """The dialog's text."""
    frame = SPINNER[now_us // 100_000 % len(SPINNER)]
    waited = now_us - switching.began_us
    since = f"{DOT}{seconds(waited / 1e6)}" if waited >= SLOW_US else ""
    found: list[Line] = []
    if not switching.backends and switching.stage == "trying":
        found.append([(f"{frame} getting ready …", WARN)])
    for part, backend in switching.backends.items():
        check = switching.checks.get(part)
        if check is not None:
            found += _told(check, width)
        elif switching.stage == "failed":
            found.append([(f"{NAMES[part]} → {backend}: not tried", MUTED)])
        else:
            found.append([(f"{frame} ", WARN), (NAMES[part], NAME), (f" → {backend}: trying it out{since}", PLAIN)])
    found.append([])
    if switching.stage == "trying":
        found.append([("Nothing has been changed.", MUTED)])
    elif switching.stage == "ready":
        found.append([("Everything can be used. Requests go on meanwhile, and each is recorded once.", PLAIN)])
        found.append([("What is kept where it was stays there.", MUTED)])
        if switching.file is not None:
            found.append([(f"w writes it into {switching.file} too, for whatever starts later.", MUTED)])
            if switching.winning:
                found += _below(f"{switching.winner} over that file: unset it for this to last.", WARN, width)
    elif switching.stage == "refused":
        found.append([("What is marked ", PLAIN), (FAILED, BAD), (" cannot be used: nothing was changed.", PLAIN)])
    elif switching.stage == "moving":
        found.append([(f"{frame} moving: the stores before commit what they took{since}", WARN)])
    else:
        told, kind = switching.outcome
        mark, style = {"done": (OK, GOOD), "warning": ("!", WARN), "error": (FAILED, BAD)}[kind]
        found.append([(f"{mark} {told}", style)])
    return found


def _told(check: BackendCheck, width: int) -> list[Line]:
    """What was reached, as whom, how fast; or why it cannot be used."""
    if check.problem is not None or not check.ok:
        head: Line = [(f"{FAILED} ", BAD), (NAMES[check.part], NAME), (f" → {check.backend}", PLAIN)]
        return [head, *_below(check.problem or "it does not work", BAD, width)]
    took = "" if check.latency_ms is None else f"{DOT}in {duration_ms(check.latency_ms)}"
    whom = f"{DOT}as {check.identity}" if check.identity else ""
    head = [(f"{OK} ", GOOD), (NAMES[check.part], NAME), (f" → {check.backend}", PLAIN), (f"{whom}{took}", PLAIN)]
    found = _below(f"{check.place}{f': {check.detail}' if check.detail else ''}", MUTED, width)
    return [head, *found, *(_below(check.notice, WARN, width) if check.notice else ())]


def _below(text: str, style: str, width: int) -> list[Line]:
    """Below the head it belongs to, and set in."""
    return [[(f"{_IN}{line}", style)] for line in wrap(text, max(20, width - len(_IN)))]
