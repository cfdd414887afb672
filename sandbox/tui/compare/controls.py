"""Below the prompt: who is compared, how often, and the button that begins it."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.pieces import MUTED, PLAIN


class CompareControls(CellBar):
    def __init__(self) -> None:
        super().__init__(id="compare-controls")
        self.names: Sequence[str] = ()
        self.repeat = 1
        self.running = False

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        """Chips from the left, the button at the right; names give way to their number where it is narrow."""
        if self.running:
            button = Cell([(" ■ Stop ", "bold $text-error on $error-muted")], "app.perform('compare_cancel')")
        else:
            button = Cell([(" ▶ Compare ", "bold $text-success on $success-muted")], "app.perform('compare_send')")
        times = "once" if self.repeat == 1 else f"{self.repeat} times"
        asked = Cell([("asked ", MUTED), (times, "bold"), (" ▾", MUTED)], "app.perform('compare_repeat')")
        gap = Cell([("   ", PLAIN)])
        left: list[Cell] = []
        for names in (", ".join(self.names) or "…", f"{len(self.names)} chosen"):
            models = Cell([("models ", MUTED), (names, "bold"), (" ▾", MUTED)], "app.perform('compare_models')")
            left = [models, gap, asked, gap]
            if sum(cell.width for cell in left) + button.width <= width:
                break
        return left, [button]
