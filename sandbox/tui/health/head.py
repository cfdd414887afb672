"""The line above the cards: whether providers are checked in the background, and how all of them are."""

from __future__ import annotations

from itertools import product

from sandbox.desks.ward import Providers
from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.health.entries import seconds
from sandbox.tui.pieces import BAD, DOT, GOOD, MUTED, NAME, PLAIN, SOFT, WARN, Line


class HealthHead(CellBar):
    def __init__(self) -> None:
        super().__init__(id="health-head")
        self.seen: Providers | None = None
        self.problem = ""
        """Why there is nothing to be told."""
        self.now_us = 0
        self.span = ""
        self.activity = ""
        """What somebody waits for."""

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        """The fullest wording that fits: the times give way first."""
        seen = self.seen
        right = [Cell([("last ", MUTED), (self.span, NAME), (" ▾ ", MUTED)], "app.perform('health_span')")]
        if seen is None:
            return [Cell([(f" {self.problem}", BAD) if self.problem else (" looking …", MUTED)])], right
        if self.activity:
            right.insert(0, Cell([(f"{self.activity}  ", WARN)], "app.perform('health_stop')"))
        room = width - sum(cell.width for cell in right)
        left: list[Cell] = []
        for sums, monitor in product(_sums(seen), self._monitor(seen)):
            left = [Cell([(" ", PLAIN), *monitor], "app.perform('health_watch')"), Cell([("   ", PLAIN), *sums])]
            if sum(cell.width for cell in left) < room:
                break
        return left, right

    def _monitor(self, seen: Providers) -> list[Line]:
        every = f"every {seen.interval_s:g} s"
        if not seen.watched:
            off: Line = [("○ monitor off", SOFT)]
            cost = "" if seen.simulated else ", after asking what it may cost"
            return [[*off, (f"{DOT}w has each asked {every}{cost}", MUTED)], [*off, (f"{DOT}w starts it", MUTED)], off]
        on: Line = [("● monitor on", GOOD)]
        if seen.round_us is None:
            return [[*on, (f"{DOT}{every}{DOT}first round …", MUTED)], [*on, (f"{DOT}{every}", MUTED)], on]
        since = max(0.0, (self.now_us - seen.round_us) / 1e6)
        last = f"{DOT}last round {seconds(since)} ago"
        ahead = f"{DOT}next in {seconds(max(0.0, seen.interval_s - since))}"
        return [
            [*on, (f"{DOT}{every}{last}{ahead}", MUTED)],
            [*on, (f"{DOT}{every}{last}", MUTED)],
            [*on, (f"{DOT}{every}", MUTED)],
            on,
        ]


def _sums(seen: Providers) -> list[Line]:
    """How many could be asked now, and whether figures are real; the fullest wording first."""
    whole = len(seen.providers)
    well = sum(one.light.shape == "closed" for one in seen.providers)
    style = GOOD if well == whole else BAD if not well else WARN
    ill = sum(one.check is not None and not one.check.is_healthy for one in seen.providers)
    failed: Line = [(f"{DOT}{ill} failed the last check", BAD)] if ill else []
    simulated: Line = [(f"{DOT}~ simulated", MUTED)] if seen.simulated else []
    told, short = (f"{well} of {whole} in rotation", style), (f"{well}/{whole}", style)
    return [[told, *failed, *simulated], [told, *simulated], [short, *simulated], [short]]
