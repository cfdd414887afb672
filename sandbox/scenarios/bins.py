"""What happened in each little span of a run, in constant memory however long it is."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import ceil, log2
from typing import ClassVar, Final

MOST: Final = 2048
"""Bins; when more were needed, two neighbours become one."""
_FINENESS: Final = 64
"""Latencies are counted in buckets, this many to each doubling: a percentile is right to 0.6 %."""


@dataclass(slots=True)
class Column:
    """Some bins added up. Lists are by provider, in the order of the chain."""

    arrived: int = 0
    """Requests that came."""
    failed: int = 0
    """Requests that ended without an answer."""
    ok: list[int] = field(default_factory=list)
    """Attempts that ended well in this time."""
    bad: list[int] = field(default_factory=list)
    """Attempts that failed in this time."""
    p99_ms: float | None = None
    """Of the requests answered in this time; None where none was."""


class Bins:
    """Counts by time. Times are microseconds since the start."""

    most: ClassVar[int] = MOST

    def __init__(self, providers: int, duration_us: int) -> None:
        self.width_us = max(1, ceil(duration_us / (self.most // 2)))
        """How long one bin is."""
        self.first = 0
        """How many bins there were before those that are kept."""
        self.arrived, self.failed = _zeros(self.most), _zeros(self.most)
        self.ok = [_zeros(self.most) for _ in range(providers)]
        self.bad = [_zeros(self.most) for _ in range(providers)]
        self._latencies: list[dict[int, int] | None] = [None] * self.most

    def index(self, at_us: int) -> int:
        """The bin of a time, made to exist."""
        index = at_us // self.width_us
        while index >= MOST:
            self._double()
            index = at_us // self.width_us
        return index

    def answered(self, at_us: int, latency_ms: float) -> None:
        """Count the latency of an answer."""
        index = self.index(at_us)
        found = self._latencies[index]
        if found is None:
            found = self._latencies[index] = {}
        bucket = _bucket(latency_ms)
        found[bucket] = found.get(bucket, 0) + 1

    def _double(self) -> None:
        self.width_us *= 2
        for counts in (self.arrived, self.failed, *self.ok, *self.bad):
            halves = array("Q", map(sum, zip(counts[::2], counts[1::2], strict=True)))
            counts[:] = halves + array("Q", bytes(8 * (MOST // 2)))
        merged = [_merged(self._latencies[at : at + 2]) for at in range(0, MOST, 2)]
        self._latencies = merged + [None] * (MOST // 2)

    def columns(self, count: int, end_us: int, begin_us: int = 0) -> list[Column]:
        """The time from `begin_us` to `end_us` in that many columns of equal length."""
        providers = range(len(self.ok))
        columns = [Column(ok=[0 for _ in providers], bad=[0 for _ in providers]) for _ in range(count)]
        latencies: list[list[dict[int, int] | None]] = [[] for _ in range(count)]
        length_us = max(1, end_us - begin_us)
        last = min(self.most, end_us // self.width_us + 1 - self.first)
        for index in range(max(0, begin_us // self.width_us - self.first), last):
            # By the middle of the bin: its ends may lie in two columns.
            middle_us = (self.first + index) * self.width_us + self.width_us // 2
            at = min(count - 1, (middle_us - begin_us) * count // length_us)
            column = columns[at]
            column.arrived += self.arrived[index]
            column.failed += self.failed[index]
            for one in providers:
                column.ok[one] += self.ok[one][index]
                column.bad[one] += self.bad[one][index]
            latencies[at].append(self._latencies[index])
        for column, found in zip(columns, latencies, strict=True):
            column.p99_ms = _p99(_merged(found))
        return columns

    def answering(self, begin_us: int, end_us: int) -> list[int]:
        """Answers of each provider from one time to another, to the width of a bin."""
        first, last = max(0, begin_us // self.width_us), min(MOST - 1, end_us // self.width_us)
        return [sum(counts[first : last + 1]) for counts in self.ok]


def _zeros(count: int) -> array[int]:
    return array("Q", bytes(8 * count))


def _bucket(latency_ms: float) -> int:
    """Whole microseconds on a logarithmic scale; 0 for what takes no time."""
    return int(log2(max(1.0, latency_ms * 1000.0)) * _FINENESS)


def _merged(parts: list[dict[int, int] | None]) -> dict[int, int] | None:
    whole: dict[int, int] = {}
    for part in parts:
        for bucket, count in (part or {}).items():
            whole[bucket] = whole.get(bucket, 0) + count
    return whole or None


def _p99(buckets: dict[int, int] | None) -> float | None:
    """By nearest rank; the middle of the bucket, in milliseconds."""
    if buckets is None:
        return None
    rank = ceil(0.99 * sum(buckets.values()))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return 2 ** ((bucket + 0.5) / _FINENESS) / 1000 if bucket else 0.0
    return None
