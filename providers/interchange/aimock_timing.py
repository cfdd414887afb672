"""The times of aimock's streams: a profile, what a recorder saw, or a delay before every piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from providers.exchange.document import Document

CHUNK_SIZE: Final = 20
"""Characters of a piece where a fixture does not say."""
STREAMED: Final = (
    "chunkSize", "latency", "streamingProfile", "truncateAfterChunks", "disconnectAfterMs", "recordedTimings",
    "replaySpeed",
)  # fmt: skip
"""Keys that say how a stream comes; a fixture without any answers whole."""


@dataclass(frozen=True, slots=True)
class Timing:
    """When the pieces come; times are milliseconds."""

    first: float = 0.0
    delays: tuple[float, ...] = ()
    """Between the pieces, as recorded."""
    each: float = 0.0
    """Before every further piece."""
    chunk_size: int | None = None
    truncate_after: int | None = None
    disconnect_after: float | None = None

    @classmethod
    def of(cls, entry: Document) -> Timing:
        """Raises FixtureError for a number that is none."""
        speed = _number(entry, "replaySpeed") or 1.0
        profile, recorded = entry.inner("streamingProfile"), entry.inner("recordedTimings")
        latency = _number(entry, "latency") or 0.0
        first, each, delays = latency, latency, tuple[float, ...]()
        # A profile goes before what was recorded, and that before the one delay.
        if profile.raw:
            rate = _number(profile, "tps")
            first = _number(profile, "ttft") or (1000 / rate if rate else latency)
            each = 1000 / rate if rate else latency
        elif recorded.raw:
            first = _number(recorded, "ttftMs") or 0.0
            delays = _numbers(recorded, "interChunkDelaysMs")
            each = sum(delays) / len(delays) if delays else 0.0
        return cls(
            first / speed,
            tuple(delay / speed for delay in delays),
            each / speed,
            _count(entry, "chunkSize") or None,
            _count(entry, "truncateAfterChunks"),
            _number(entry, "disconnectAfterMs"),
        )

    def after(self, index: int) -> float:
        """Milliseconds before piece number `index`, to the microsecond."""
        if index == 0:
            return round(self.first, 3)
        return round(self.delays[index - 1] if index <= len(self.delays) else self.each, 3)

    def pieces(self, text: str) -> list[str]:
        """A text in the pieces in which it is to come."""
        size = self.chunk_size or CHUNK_SIZE
        count = -(-len(text) // size)
        if self.delays and self.chunk_size is None:
            # As many as were recorded between the head and the end, so that every delay has its piece.
            count = min(len(text), max(1, len(self.delays) - 1))
            return [text[len(text) * n // count : len(text) * (n + 1) // count] for n in range(count)]
        return [text[n * size : (n + 1) * size] for n in range(count)]


def recorded(begun: float, chunks: Sequence[tuple[float, bytes]]) -> Mapping[str, object]:
    """The times of an answer as aimock's recorder writes them; empty where it came at once."""
    delays = [round(after, 3) for after, _ in chunks]
    if not delays:
        return {}
    first = round(begun + delays[0], 3)
    if not first and not any(delays[1:]):
        return {}
    return {
        "recordedTimings": {
            "ttftMs": first,
            "interChunkDelaysMs": delays[1:],
            "totalDurationMs": round(first + sum(delays[1:]), 3),
        }
    }


def _number(document: Document, name: str) -> float | None:
    if document.raw.get(name) is None:
        return None
    return document.milliseconds(name)


def _count(document: Document, name: str) -> int | None:
    value = document.raw.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise document.wrong(name, value, "a whole number from 0 on")


def _numbers(document: Document, name: str) -> tuple[float, ...]:
    values = document.raw.get(name) or ()
    if not isinstance(values, (list, tuple)):
        raise document.wrong(name, values, "a list of milliseconds")
    return tuple(Document({name: value}, document.where, document.place).milliseconds(name) for value in values)
