"""Texts side by side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from sandbox.cli.output import Stream
from sandbox.core.tables import text_width

GAP = "  "
NARROWEST = 34
"""Characters of a column of running text; where less is left, the texts go into bands."""


def width_of(stream: Stream) -> int | None:
    """Columns of the terminal; None where the output goes elsewhere and may be as wide as it likes."""
    return shutil.get_terminal_size().columns if stream.terminal else None


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns; words that are longer are cut."""
    for line in text.split("\n"):
        now = ""
        for word in line.replace("\t", "    ").rstrip().split(" "):
            joined = f"{now} {word}" if now else word
            if text_width(joined) <= width:
                now = joined
                continue
            if now:
                yield now
            now = word
            while text_width(now) > width:
                at = _fitting(now, width)
                yield now[:at]
                now = now[at:]
        yield now


def _fitting(text: str, width: int) -> int:
    """How many characters of a text fit; at least one, so that there is an end to it."""
    used = 0
    for at, letter in enumerate(text):
        used += text_width(letter)
        if used > width:
            return max(1, at)
    return len(text)


def side_by_side(texts: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Titles with their texts in columns, as many beside each other as there is room for, then the next."""
    most = max(1, min(len(texts), (width + len(GAP)) // (NARROWEST + len(GAP))))
    column = (width + len(GAP)) // most - len(GAP)
    for begin in range(0, len(texts), most):
        band = texts[begin : begin + most]
        blocks = [[title[:column], "─" * column, *wrapped(text.strip("\n"), column)] for title, text in band]
        for row in zip_longest(*blocks, fillvalue=""):
            yield GAP.join(cell + " " * (column - text_width(cell)) for cell in row).rstrip()
        yield ""
