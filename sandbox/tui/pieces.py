"""The vocabulary of everything that is drawn: pairs of text and style, the marks, and the styles by their meaning.

Shapes carry the meaning and colour repeats it; styles name theme variables only.
"""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len, set_cell_size

Piece = tuple[str, str]
Line = list[Piece]

OK, FAILED, SKIPPED, CANCELLED = "✓", "✗", "»", "■"
RETRY, FAILOVER, RESTART = "↺", "↷", "↻"
SHAPES = {"closed": "●", "half_open": "◐", "open": "○", "disabled": "⊘"}
SHAPE_STYLES = {"closed": "$success", "half_open": "$warning", "open": "$error", "disabled": "$error"}
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
DOT = " · "

MUTED = "$foreground-muted"
SOFT = "$foreground 80%"
"""Quieter than plain text, and still easy to read on a bar."""
PLAIN = ""
GOOD = "$text-success"
BAD = "$text-error"
WARN = "$text-warning"
NAME = "bold"


def clip(text: str, width: int) -> str:
    """`text` in at most `width` columns, the last one an ellipsis where something was cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"


def local_time(at_us: int) -> str:
    """Hours, minutes and seconds in the machine's own zone."""
    return datetime.fromtimestamp(at_us / 1e6).strftime("%H:%M:%S")  # noqa: DTZ006  a person's own clock is meant
