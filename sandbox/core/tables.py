"""A table as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_CELL = str.maketrans({"|": "&#124;", "\n": " ", "\r": " "})


def markdown_table(
    head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] | range = ()
) -> Iterator[str]:
    """Its lines; `right` names the columns that are aligned to the right."""
    yield f"| {' | '.join(cell.translate(_CELL) for cell in head)} |"
    yield f"|{'|'.join('---:' if column in right else '---' for column in range(len(head)))}|"
    for row in rows:
        yield f"| {' | '.join(cell.translate(_CELL) for cell in row)} |"
