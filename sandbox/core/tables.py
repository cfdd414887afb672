"""Tables, whatever draws them: how wide a text is, which columns fit, and a table as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import combining, east_asian_width

_CELL = str.maketrans({"|": "&#124;", "\n": " ", "\r": " "})


def text_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def fitting(
    head: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, first_out: Sequence[int], *, gap: int = 2
) -> list[int]:
    """The columns that fit; those in `first_out` go one after the other until the rest does. No width: all."""
    widths = [max(map(text_width, column)) for column in zip(head, *rows, strict=True)]
    left = list(range(len(head)))
    for column in first_out:
        if width is None or sum(widths[at] for at in left) + gap * (len(left) - 1) <= width:
            break
        left.remove(column)
    return left


def markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] | range = ()
) -> Iterator[str]:
    """Its lines; `right` names the columns that are aligned to the right."""
    yield f"| {' | '.join(cell.translate(_CELL) for cell in head)} |"
    yield f"|{'|'.join('---:' if column in right else '---' for column in range(len(head)))}|"
    for row in rows:
        yield f"| {' | '.join(cell.translate(_CELL) for cell in row)} |"
