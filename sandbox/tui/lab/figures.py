"""What a recorded run comes to at the cursor, and runs compared, as lines of styled text. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.scenarios.recorder import Take
from sandbox.scenarios.recording import Figures
from sandbox.scenarios.telling import COMPARED, compared, percent, usd
from sandbox.tui.lab.drawing import flowed, span_text
from sandbox.tui.pieces import BAD, FAILED, GOOD, MUTED, NAME, OK, PLAIN, WARN, Line, Piece, clip


def figure_lines(take: Take, figures: Figures, at_us: int, width: int) -> list[Line]:
    """What it comes to at the cursor, and whether what was expected holds in the end."""
    premium, waste, simulated = figures.premium, figures.waste, take.recording.simulated
    available: Piece = ("–", MUTED)
    if figures.requests:
        available = percent(figures.availability), GOOD if figures.availability == 1 else BAD
    open_us = take.recording.open_us(at_us)
    pairs: list[Line] = [
        [("availability ", MUTED), available],
        [("failed over ", MUTED), (f"{figures.failovers:,}", NAME)],
        [("premium ", MUTED), (usd(premium, simulated=simulated), WARN if premium is None or premium > 0 else PLAIN)],
        [("waste ", MUTED), (usd(waste, simulated=simulated), WARN if waste else PLAIN)],
        [("breaker open ", MUTED), (span_text(open_us) if open_us else "0 s", BAD if open_us else PLAIN)],
    ]
    mark = expectation_mark(take)
    return flowed([*pairs, mark] if mark else pairs, width)


def expectation_mark(take: Take) -> Line:
    """How many of the expectations hold in the end; empty: there are none, or no end."""
    result = take.result
    if result is None or not result.expectations:
        return []
    held, of = sum(one["ok"] for one in result.expectations), len(result.expectations)
    mark, style = (OK, GOOD) if held == of else (FAILED, BAD)
    return [(f"{mark} ", style), (f"{held} of {of}", style), (" expectations hold", MUTED)]


def comparison_lines(takes: Sequence[Take], width: int) -> list[Line]:
    """The takes side by side over the whole run; where it is narrow, the columns that matter least are left out."""
    rows = [
        compared(take.scenario, take.result) if take.result is not None else (take.preset, *("–" for _ in COMPARED[1:]))
        for take in takes
    ]
    keep = list(range(len(COMPARED)))
    for drop in (7, 6, 8):
        if _table_width(rows, keep) <= width:
            break
        keep.remove(drop)
    names = ["policy", "availability", "p99", "on the sick", *COMPARED[4:]]
    widths = [max(len(names[at]), *(len(row[at]) for row in rows)) for at in keep]
    align: list[Callable[[str, int], str]] = [str.ljust, *([str.rjust] * (len(keep) - 1))]

    def line(cells: Sequence[str], style: str) -> Line:
        placed = (fit(cells[at], wide) for at, wide, fit in zip(keep, widths, align, strict=True))
        return [(clip("  ".join(placed), width), style)]

    return [line(names, MUTED), *(line(row, PLAIN) for row in rows)]


def _table_width(rows: Sequence[Sequence[str]], keep: Sequence[int]) -> int:
    return sum(max(len(COMPARED[at]) if at != 3 else 11, *(len(row[at]) for row in rows)) + 2 for at in keep) - 2
