"""What was asked and how it was answered, of the last requests: no bodies, no headers, no credentials."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from providers.clock import iso
from providers.redaction import redact

KEPT: Final = 1000
"""Requests that are remembered."""
_NAMED: Final = 300
"""Characters of a path or a model's name, which callers may make as long as they like."""


@dataclass(slots=True)
class Entry:
    """One request; or, without a method, what was found wrong with a fixture at the start."""

    at_us: int
    method: str = ""
    path: str = ""
    """Without its query, where some vendors take a key."""
    provider: str | None = None
    api: str | None = None
    model: str | None = None
    status: int | None = None
    """None: nothing was answered."""
    answered_by: str | None = None
    """A fixture's name, or `writer`; None where neither was asked."""
    fault: str | None = None
    took_ms: float = 0.0
    bytes: int = 0
    """Of the answer's body, as far as it was sent."""
    hint: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "at": iso(self.at_us),
            "method": self.method or None,
            "path": redact(self.path),
            "provider": self.provider,
            "api": self.api,
            "model": None if self.model is None else redact(self.model),
            "status": self.status,
            "answered_by": self.answered_by,
            "fault": self.fault,
            "ms": round(self.took_ms, 3),
            "bytes": self.bytes,
            "hint": None if self.hint is None else redact(self.hint),
        }


class Journal:
    """A ring of entries, the newest last."""

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self._problems: list[Entry] = []
        self.count = 0
        """Requests since the start or the last reset, forgotten ones too."""

    def add(self, entry: Entry) -> None:
        self.count += 1
        entry.path = entry.path[:_NAMED]
        entry.model = entry.model and entry.model[:_NAMED]
        self._entries.append(entry)

    def problem(self, entry: Entry) -> None:
        """Keep something that no reset makes undone."""
        self._problems.append(entry)

    def entries(self, limit: int | None = None) -> Iterable[Entry]:
        """Fixtures that are left out, then the newest requests in the order of their ends, at most `limit`."""
        kept = list(self._entries)
        return [*self._problems, *(kept if limit is None else kept[max(0, len(kept) - limit) :])]

    def clear(self) -> None:
        self._entries.clear()
        self.count = 0
