"""What was taken over from another tool's file, and what of it has no equivalent here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from providers.errors import FixtureError
from providers.exchange.format import Exchange

MAX_VALUES: Final = 1_000_000
"""Values of one document. A short YAML text can stand for endless ones, by references to references."""


@dataclass(slots=True)
class Taken:
    exchanges: list[Exchange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """One sentence for each thing that was left out or stands for something else, naming its place."""

    def note(self, where: str, sentence: str) -> None:
        self.notes.append(f"{where}: {sentence}")


def check_size(document: Any, where: str) -> None:
    """Raise FixtureError for a document of more values than any file of recordings has."""
    for count, _ in enumerate(_values(document), 1):
        if count > MAX_VALUES:
            raise FixtureError(f"{where} stands for more than {MAX_VALUES:,} values, which no file of recordings does")


def _values(document: Any) -> Iterator[Any]:
    # A stack of iterators and not a list of values, so that memory does not grow with what is still to come.
    stack = [iter((document,))]
    while stack:
        value = next(stack[-1], stack)
        if value is stack:
            stack.pop()
            continue
        yield value
        if isinstance(value, dict):
            stack.append(iter((*value.keys(), *value.values())))
        elif isinstance(value, (list, tuple, set)):
            stack.append(iter(value))
