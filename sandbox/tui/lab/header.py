"""What is being replayed, and where in it one stands."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.scenarios.telling import clock_time, short_time
from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.lab.player import Player
from sandbox.tui.pieces import MUTED, NAME, PLAIN, SOFT, WARN

PLAYING, PAUSED = "▶", "‖"


class LabHeader(CellBar):
    """Names from the left, each a button; play, time and speed at the right."""

    DEFAULT_CSS = """
    LabHeader {
        padding: 0 1;
        background: $surface;
    }
    """

    def __init__(self, player: Player) -> None:
        super().__init__(id="lab-header")
        self.player = player
        self.scenario = ""
        self.seed = 0
        self.preset = ""
        self.beside = ""
        self.changed = False
        self.live: Sequence[str] = ()
        """What is said of the running gateway: how far one looks back, where it is, what one missed."""

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        return self._live_cells(width) if self.live else self._replay_cells(width)

    def _live_cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        player, (span, where, missed) = self.player, self.live
        mark, style = (PLAYING, "bold $text-success") if player.playing else (PAUSED, "bold $text-accent")
        right = [Cell([(f"{mark} ", style), (clock_time(player.at_us), NAME)], "app.perform('play')")]
        left = [
            Cell([("live", NAME), (" ▾", MUTED)], "app.perform('scenario')"),
            Cell([(f" · the last {span}", PLAIN), (" ▾", MUTED)], "app.perform('speed')"),
        ]
        room = width - sum(cell.width for cell in (*left, *right)) - 1
        for text, style in ((missed, WARN), (where, SOFT)):
            if text and len(text) + 3 <= room:
                left.append(Cell([(" · ", MUTED), (text, style)]))
                room -= len(text) + 3
        return left, right

    def _replay_cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        player = self.player
        mark = PLAYING if player.playing else PAUSED
        time = f"{clock_time(player.at_us)} / {short_time(player.length_us)}"
        right = [
            Cell([(f"{mark} ", "bold $text-success" if player.playing else "bold $text-accent"), (time, NAME)],
                 "app.perform('play')"),
            Cell([("  ", PLAIN), (player.speed_word, SOFT)], "app.perform('speed')"),
        ]  # fmt: skip
        room = width - sum(cell.width for cell in right) - 1
        beside = f" beside {self.beside}" if self.beside else ""
        left: list[Cell] = []
        for seed, label, arrow in (
            (f"seed {self.seed}", "preset ", " ▾"),
            ("", "preset ", " ▾"),
            ("", "", " ▾"),
            ("", "", ""),
        ):
            gap = Cell([(" · ", MUTED)])
            left = [Cell([(self.scenario, NAME), (arrow, MUTED)], "app.perform('scenario')")]
            if self.changed:
                left += [gap, Cell([("changed by hand", WARN)], "app.perform('save_scenario')")]
            if seed:
                left += [gap, Cell([(seed, PLAIN)])]
            left += [gap, Cell([(f"{label}{self.preset}", PLAIN), (arrow, MUTED)], "app.perform('lab_preset')")]
            if beside:
                left.append(Cell([(beside, PLAIN), (arrow, MUTED)], "app.perform('beside')"))
            if sum(cell.width for cell in left) <= room:
                break
        return left, right
