"""Spend over time as columns of blocks, and a budget as a gauge. Pure: lines of text and style."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sandbox.core.figures import dollars
from sandbox.core.tables import text_width
from sandbox.costs.rates import spent_usd
from sandbox.tui.pieces import MUTED, PLAIN, WARN, Line
from sandbox.tui.tables import BAR

if TYPE_CHECKING:
    from sandbox.costs.reports import Bucket, Granularity
    from sandbox.desks.books import Gauge

LEVELS: Final = " ▁▂▃▄▅▆▇█"
WASTE: Final = "▒"
"""Money for answers that were not used, on top of the rest."""
UNKNOWN: Final = "?"
"""At the foot of a period in which nothing but unpriced requests was answered."""
LEAST: Final = 3
"""Rows without which columns say nothing: two of blocks and their foot."""
_WASTE_STYLE: Final = "$warning"
_WIDEST: Final = 7
"""Columns of the screen for one period."""
_APART: Final = 2
"""Blanks between two labels."""


def chart_lines(
    buckets: Sequence[Bucket],
    granularity: Granularity,
    width: int,
    height: int,
    *,
    simulated: bool,
) -> list[Line]:
    """A column for each period, the latest at the right edge where not all find room, and their times below."""
    spent = [spent_usd(one.totals) for one in buckets]
    most = max(spent, default=Decimal(0))
    # A round figure at the top would waste a third of so few rows; the tallest column names itself.
    top, bottom = dollars(most, simulated=simulated), dollars(Decimal(0), simulated=simulated)
    label = max(len(top), len(bottom)) + 1
    room, rows = width - label, height - 1
    if room < 1 or rows < LEAST - 1 or not buckets:
        return []
    shown = buckets[-room:]
    each = max(1, min(_WIDEST, room // len(shown)))
    gap = 1 if each > 2 else 0
    columns = [_column(one, most, rows) for one in shown]
    lines: list[Line] = []
    for row in range(rows):
        name = top if row == 0 else bottom if row == rows - 1 else ""
        glyphs = [column[row] for column in columns]
        pieces = [(glyph * (each - gap) + " " * gap, style) for glyph, style in glyphs]
        merged = [("".join(text for text, _ in run), style) for style, run in groupby(pieces, lambda piece: piece[1])]
        lines.append([(f"{name:>{label - 1}} ", MUTED), *merged])
    return [*lines, [(" " * label, PLAIN), (_axis(shown, granularity, each, room), MUTED)]]


def _column(bucket: Bucket, most: Decimal, rows: int) -> list[tuple[str, str]]:
    """Glyph and style of each row, the uppermost first."""
    totals = bucket.totals
    spent = spent_usd(totals)
    if not spent:
        lowest = (UNKNOWN, WARN) if totals.unpriced else (" ", PLAIN)
        return [(" ", PLAIN)] * (rows - 1) + [lowest]
    steps = rows * 8
    eighths = max(1, round(spent / most * steps))
    answers = round(totals.cost_usd / most * steps)
    column = []
    for row in range(rows):
        foot = (rows - 1 - row) * 8
        filled = max(0, min(8, eighths - foot))
        # A row is waste where most of what fills it is: blocks of two kinds do not share one.
        wasted = bool(totals.waste_usd) and filled > 0 and answers < foot + filled / 2
        column.append((WASTE if wasted else LEVELS[filled], _WASTE_STYLE if wasted else BAR if filled else PLAIN))
    return column


def _axis(shown: Sequence[Bucket], granularity: Granularity, each: int, room: int) -> str:
    """Times below their columns, as many as fit."""
    text = ""
    for number, bucket in enumerate(shown):
        at, name = number * each, label_of(bucket, granularity)
        free = not text or at >= text_width(text) + _APART
        if free and at + len(name) <= room:
            text += " " * (at - text_width(text)) + name
    return text


def label_of(bucket: Bucket, granularity: Granularity) -> str:
    """A period's beginning: hours by the clock of this machine, days and months as they are in UTC."""
    if granularity == "hourly":
        return datetime.fromtimestamp(bucket.start_us / 1e6).strftime("%H:%M")  # noqa: DTZ006  a person's own clock
    at = datetime.fromtimestamp(bucket.start_us // 1_000_000, UTC)
    return at.strftime("%Y-%m" if granularity == "monthly" else "%m-%d")


# --- a budget -------------------------------------------------------------------------------------------------------

USED, AHEAD, THRESHOLD, FREE = "█", "▒", "│", "·"


def gauge(one: Gauge, width: int) -> Line:
    """What is used of a limit, what the month's end adds at this pace, and the thresholds, in `width` columns."""
    status = one.status
    limit = status.limit_usd

    def column(usd: Decimal) -> int:
        return width if usd >= limit else int(usd / limit * width)

    used, ahead = column(status.used_usd), column(status.projected_monthly_cost)
    if status.used_usd:
        used = max(1, used)
    marks = {min(width - 1, int(share * width)) for share in one.thresholds if share < 1}
    glyphs = [
        (USED, f"${style_of(one)}") if at < used
        else (THRESHOLD, MUTED) if at in marks
        else (AHEAD, WARN) if at < ahead
        else (FREE, MUTED)
        for at in range(width)
    ]  # fmt: skip
    return [("".join(glyph for glyph, _ in run), style) for style, run in groupby(glyphs, lambda piece: piece[1])]


def style_of(one: Gauge) -> str:
    """By the highest threshold that was reached: success, warning or error."""
    if one.status.used_usd >= one.status.limit_usd:
        return "error"
    return "success" if one.status.alert_level is None else "warning"
