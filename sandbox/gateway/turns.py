"""Whose turn it is, for strategies that take turns."""

from __future__ import annotations

from typing import Final, Protocol

MOST_NAMES: Final = 512
"""Names of models come from callers: keep what is remembered of them bounded."""


class Turns(Protocol):
    """A count for each asked model: its candidates take turns among themselves."""

    def next(self, model: str | None) -> int:
        """The turn that `take` would give."""
        ...

    def take(self, model: str | None) -> int: ...


class OwnTurns:
    """Counted by this process alone."""

    def __init__(self) -> None:
        self._next: dict[str | None, int] = {}

    def next(self, model: str | None) -> int:
        return self._next.get(model, 0)

    def take(self, model: str | None) -> int:
        turn = self._next.get(model, 0)
        self._next[model] = turn + 1
        if len(self._next) > MOST_NAMES:
            del self._next[next(iter(self._next))]
        return turn
