"""Where something changes: a sequence cut into stretches of their own share, or of their own rate.

A stretch is cut where two or three of its parts explain it so much better than the whole that chance does not. Three,
because an outage of a few attempts in the middle of thousands is found only with both of its ends at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import log
from typing import Final

PENALTY: Final = 3.0
"""How many times the logarithm of the length the likelihood's logarithm must gain by a cut."""
BINS: Final = 60
"""In which the rate of requests is counted."""
_SHARES: Final = (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98)
"""Shares that a part may have, to look for its ends."""

Stretch = tuple[int, int]
"""From an index up to another one."""


def by_share(hits: Sequence[bool]) -> list[Stretch]:
    """Stretches within which the share of hits does not change."""
    sums = [0, *accumulate(hits)]

    def fit(begin: int, end: int) -> float:
        return _bernoulli(sums[end] - sums[begin], end - begin)

    def parts(begin: int, end: int) -> list[Stretch]:
        share = (sums[end] - sums[begin]) / (end - begin)
        return [_densest(hits, begin, end, share, one) for one in _SHARES] if 0 < share < 1 else []

    return _cut(len(hits), fit, parts)


def runs(hits: Sequence[bool]) -> list[Stretch]:
    """Stretches of equal ones."""
    edges = [0, *(index for index in range(1, len(hits)) if hits[index] != hits[index - 1]), len(hits)]
    return list(pairwise(edges)) if hits else []


def _bernoulli(hits: int, total: int) -> float:
    if hits in (0, total):
        return 0.0
    share = hits / total
    return hits * log(share) + (total - hits) * log(1.0 - share)


def _densest(hits: Sequence[bool], begin: int, end: int, share: float, other: float) -> Stretch:
    """The part that speaks most for `other` in place of `share`, in one pass (Kadane)."""
    hit, miss = log(other / share), log((1.0 - other) / (1.0 - share))
    best, found, total, since = 0.0, (begin, end), 0.0, begin
    for index in range(begin, end):
        total += hit if hits[index] else miss
        if total <= 0.0:
            total, since = 0.0, index + 1
        elif total > best:
            best, found = total, (since, index + 1)
    return found


def by_rate(times_us: Sequence[int], end_us: int) -> list[tuple[int, int, int]]:
    """Stretches (begin, end, count) in microseconds of a steady rate, but for those without an event.

    `times_us` are sorted, within [0, end_us).
    """
    edges = [*range(0, end_us, max(1_000_000, -(-end_us // BINS))), end_us]
    before = [bisect_left(times_us, edge) for edge in edges]

    def fit(begin: int, end: int) -> float:
        count, width = before[end] - before[begin], edges[end] - edges[begin]
        return count * log(count / width) if count else 0.0

    def parts(begin: int, end: int) -> list[Stretch]:
        return [(first, last) for first in range(begin, end) for last in range(first + 1, end + 1)]

    stretches = _cut(len(edges) - 1, fit, parts)
    told = [(edges[begin], edges[end], before[end] - before[begin]) for begin, end in stretches]
    return [one for one in told if one[2]]


def _cut(
    length: int, fit: Callable[[int, int], float], parts: Callable[[int, int], Sequence[Stretch]]
) -> list[Stretch]:
    """`fit` is the logarithm of a stretch's likelihood at its own best; `parts` are those that may stand out of it."""
    edges = {0, length}
    left = [(0, length)] if length else []
    while left:
        begin, end = left.pop()
        whole, best, at = fit(begin, end), PENALTY * log(length + 1), None
        for first, last in parts(begin, end):
            gain = fit(first, last) - whole
            gain += fit(begin, first) if first > begin else 0.0
            gain += fit(last, end) if last < end else 0.0
            # By more than rounding: of equals the first has the fewest parts.
            if gain > best + 1e-6:
                best, at = gain, (first, last)
        if at is not None:
            inner = sorted({begin, *at, end})
            edges.update(inner)
            left += pairwise(inner)
    return list(pairwise(sorted(edges))) if length else []
