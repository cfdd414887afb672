"""Draws that nothing else running can change: each is a pure function of what it is for."""

from __future__ import annotations

from hashlib import blake2b
from math import exp, log
from statistics import NormalDist
from typing import Final

_Z99: Final = 2.3263
"""The 99th percentile of a standard normal distribution, as the scenario format fixes it."""
_STANDARD: Final = NormalDist()
_SCALE: Final = 2.0**-64


def draw(seed: int, purpose: str, provider: str, request: int, attempt: int) -> float:
    """A number in [0, 1)."""
    key = f"{seed}|{purpose}|{provider}|{request}|{attempt}".encode()
    value = int.from_bytes(blake2b(key).digest()[:8], "big") * _SCALE
    # The largest values round up to 1 as a float.
    return min(value, 1.0 - 2**-53)


def lognormal(p50: float, p99: float, unit: float) -> float:
    """The value at quantile `unit` of the log-normal distribution with these percentiles; same unit as `p50`."""
    if p99 == p50:
        return p50
    # At 0 the quantile is minus infinity; the smallest draw is nearly there.
    z = _STANDARD.inv_cdf(max(unit, 2.0**-64))
    return p50 * exp(log(p99 / p50) / _Z99 * z)


class SeededDraws:
    """The gateway's own source of draws (jitter, random routing): a sequence that depends on the seed alone."""

    __slots__ = ("_count", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0

    def random(self) -> float:
        self._count += 1
        return draw(self._seed, "gateway", "", self._count, 0)

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.random()
