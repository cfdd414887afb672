"""When requests arrive: every stream by itself, and all of them in one order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple

from sandbox.scenarios.draws import draw
from sandbox.scenarios.schema import TrafficPart


class Arrival(NamedTuple):
    at_us: int
    stream: int
    """Which stream of the file, counted from 0: ties go in their order."""
    number: int
    """Which request of that stream, counted from 0."""


def arrivals(streams: Sequence[TrafficPart], duration: float, seed: int) -> Iterator[Arrival]:
    """All requests in the order in which they arrive; drawn one by one, so that a million take no memory."""
    return heapq.merge(*(_stream(index, one, duration, seed) for index, one in enumerate(streams)))


def expected(streams: Sequence[TrafficPart], duration: float) -> float:
    """How many requests will come, on average."""
    return sum(((duration if one.end is None else one.end) - one.begin) * one.rate for one in streams)


def _stream(index: int, stream: TrafficPart, duration: float, seed: int) -> Iterator[Arrival]:
    begin = round(stream.begin * 1e6)
    end = round((duration if stream.end is None else stream.end) * 1e6)
    number, at = 0, begin
    passed = 0.0
    while True:
        if stream.arrival == "poisson":
            passed += -log(1.0 - draw(seed, "arrival", str(index), number, 0)) / stream.rate
            at = begin + int(passed * 1e6)
        if at >= end:
            return
        yield Arrival(at, index, number)
        number += 1
        if stream.arrival == "uniform":
            at = begin + _uniform(number, stream.rate)


def _uniform(number: int, rate: float) -> int:
    """floor(number · 10⁶ / rate), exact for every rate that a float holds."""
    top, bottom = rate.as_integer_ratio()
    return number * 1_000_000 * bottom // top
