"""Texts side by side, and tables that fit the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from unicodedata import combining, east_asian_width

from sandbox.cli.output import Stream

GAP = "  "
NARROWEST = 34
"""Characters of a column of running text; where less is left, the texts go into bands."""


def width_of(stream: Stream) -> int | None:
    """Columns of the terminal; None where the output goes elsewhere and may be as wide as it likes."""
    return shutil.get_terminal_size().columns if stream.terminal else None


def cells(text: str) -> int:
    """How many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns; words that are longer are cut."""
    for line in text.split("\n"):
        now = ""
        for word in line.replace("\t", "    ").rstrip().split(" "):
            joined = f"{now} {word}" if now else word
            if cells(joined) <= width:
                now = joined
                continue
            if now:
                yield now
            now = word
            while cells(now) > width:
                at = _fitting(now, width)
                yield now[:at]
                now = now[at:]
        yield now


def _fitting(text: str, width: int) -> int:
    """How many characters of a text fit; at least one, so that there is an end to it."""
    used = 0
    for at, letter in enumerate(text):
        used += cells(letter)
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
            yield GAP.join(cell + " " * (column - cells(cell)) for cell in row).rstrip()
        yield ""


def kept(head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, first_out: Sequence[int]) -> list[int]:
    """The columns of a table that fit; those in `first_out` go one after the other until the rest does."""
    widths = [max(map(cells, column)) for column in zip(head, *rows, strict=True)]
    left = list(range(len(head)))
    for column in first_out:
        if width is None or sum(widths[at] for at in left) + len(GAP) * (len(left) - 1) <= width:
            break
        left.remove(column)
    return left
