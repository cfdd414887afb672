"""The head of the Costs room, and its panes beside the breakdown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from sandbox.core.figures import dollars
from sandbox.costs.rates import spent_usd
from sandbox.desks.books import SPANS
from sandbox.tui.cells import Cell, CellBar
from sandbox.tui.costs.drawing import counted, money
from sandbox.tui.frame import MODE_STYLES
from sandbox.tui.lines import WrittenPane, wrapped
from sandbox.tui.pieces import DOT, MUTED, NAME, PLAIN, SOFT, WARN, Line
from sandbox.tui.tables import bar

if TYPE_CHECKING:
    from sandbox.desks.books import Exporting, Seen

_PROGRESS: Final = 12


class CostsHead(CellBar):
    """How far back, in which mode, and what that came to; at the right what goes on."""

    def __init__(self) -> None:
        super().__init__(id="costs-head")
        self.span = ""
        self.seen: Seen | None = None
        self.exporting: Exporting | None = None
        self.activity = ""

    def cells(self, width: int) -> tuple[list[Cell], list[Cell]]:
        left = [Cell([(" ", PLAIN)])]
        for name in SPANS:
            # Brackets, so that the choice is seen without colours too.
            chosen = name == self.span
            text, style = (f"[{name}]", "bold $text-primary") if chosen else (f" {name} ", SOFT)
            left.append(Cell([(text, style)], f"app.in_room('span',{name!r})"))
        right = self._right()
        room = width - sum(cell.width for cell in left) - sum(cell.width for cell in right)
        return [*left, Cell(self._sums(room))], right

    def _sums(self, room: int) -> Line:
        """The fullest wording that fits; the mode always stays."""
        seen = self.seen
        if seen is None:
            return []
        totals, simulated = seen.totals, seen.simulated
        facts: list[tuple[str, str]] = [
            (f"{seen.mode.upper()} figures", f"bold {MODE_STYLES.get(seen.mode, PLAIN)}"),
            (money(spent_usd(totals), totals, simulated=simulated), NAME),
            (counted(totals.requests, "request"), PLAIN),
        ]
        if totals.unpriced:
            facts.append((f"{totals.unpriced:,} unpriced", WARN))
        if totals.saved_usd:
            facts.append((f"{dollars(totals.saved_usd, simulated=simulated)} saved", PLAIN))
        while True:
            line: Line = [("  ", PLAIN)]
            for number, fact in enumerate(facts):
                line += [(DOT, MUTED), fact] if number else [fact]
            if len(facts) == 1 or sum(len(text) for text, _ in line) <= room:
                return line
            facts.pop()

    def _right(self) -> list[Cell]:
        if self.exporting is not None:
            written, whole = self.exporting.written, self.exporting.whole
            share = min(1.0, written / whole) if whole else 0.0
            done = bar(share, _PROGRESS)
            text = f"{done}{'·' * (_PROGRESS - len(done))} {written:,} of {whole:,} exported{DOT}Esc stops "
            return [Cell([(text, WARN)], "app.perform('costs_back')")]
        return [Cell([(f"{self.activity} ", MUTED)])] if self.activity else []


class CostsPane(WrittenPane):
    TOPIC: ClassVar[str]
    HELP: ClassVar[str]
    BINDINGS: ClassVar[list[BindingType]] = [
        # In place of a pane's scrolling.
        Binding("right", "app.perform('costs_longer')", show=False),
        Binding("left", "app.perform('costs_shorter')", show=False),
    ]

    def __init__(self, id: str, title: str) -> None:
        super().__init__(id, title)
        self.add_class("costs-pane")
        self.plain = ""

    def rebuild(self) -> None:
        width = self.columns
        if width:
            lines = self._write(width)
            self.plain = "\n".join("".join(text for text, _ in line).rstrip() for line in lines)
            self.put(wrapped(lines, width))


class SpendPane(CostsPane):
    TOPIC = "Spend"
    HELP = (
        "What was spent, period by period: solid for answers, ▒ for what was paid and not used; ? where nothing but "
        "unpriced requests was answered. ← → look less or further back. Hours are local, days and months UTC."
    )

    def __init__(self) -> None:
        super().__init__("costs-spend", "Spend")

    def draw(self, write: Callable[[int, int], list[Line]]) -> None:
        """`write` gets columns and rows."""
        self.show(lambda width: write(width, self.scrollable_content_region.height))


class SumsPane(CostsPane):
    TOPIC = "Saved and lost"
    HELP = (
        "The sums of what is looked at: what of it was paid for nothing, what failing over cost beyond the first "
        "candidates (below 0: it was cheaper), what the cache saved, and how many requests no figure holds because "
        "their price is unknown."
    )

    def __init__(self) -> None:
        super().__init__("costs-sums", "Saved and lost")


class BudgetsPane(CostsPane):
    TOPIC = "Month and budgets"
    HELP = (
        "How this month (UTC) stands, and each budget: █ used, ▒ what the month's end adds at this pace, │ the "
        "thresholds at which a warning is given. At 100 % only free and cached answers go on. `b` sets a budget."
    )

    def __init__(self) -> None:
        super().__init__("costs-budgets", "Month and budgets")


class AdvicePane(CostsPane):
    TOPIC = "What could be"
    HELP = (
        "`w` chooses models: what the same answered requests would have cost there, beside what they cost; `W` takes "
        "the models away. Below it what could be saved, the most first, and what that is told from. An estimate says "
        "why it is one."
    )

    def __init__(self) -> None:
        super().__init__("costs-advice", "What could be")
