"""Rows of the benchmark table, and timing that interleaves ours with its floor, so that both meet the same machine."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Row:
    """One line: figures in `unit`; `bound` is what the target allows of `compared` (ratio, or ours itself)."""

    work: str
    ours: float
    unit: str
    target: str
    met: bool
    floor: float | None = None
    floor_name: str = ""
    peer: str = ""

    @property
    def ratio(self) -> float | None:
        return None if not self.floor else self.ours / self.floor


def ratio_row(
    work: str,
    ours: float,
    floor: float,
    unit: str,
    floor_name: str,
    limit: float,
    peer: str = "",
    *,
    more: bool = False,
) -> Row:
    """A target on the ratio to the floor: at most `limit`, or with `more` at least."""
    ratio = ours / floor
    met = ratio >= limit if more else ratio <= limit
    return Row(work, ours, unit, f"{'≥' if more else '≤'} {limit:g}×", met, floor, floor_name, peer)


def bound_row(
    work: str,
    ours: float,
    limit: float,
    unit: str,
    peer: str = "",
    *,
    more: bool = False,
    floor: float | None = None,
    floor_name: str = "",
) -> Row:
    """A target on the figure itself."""
    met = ours >= limit if more else ours <= limit
    return Row(work, ours, unit, f"{'≥' if more else '≤'} {limit:g} {unit}", met, floor, floor_name, peer)


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| work | ours | floor | ratio | target | met | peers, measured elsewhere |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        floor = "–" if row.floor is None else f"{_number(row.floor)} {row.unit} ({row.floor_name})"
        ratio = "–" if row.ratio is None else f"{row.ratio:.2f}×"
        met = "yes" if row.met else "**no**"
        cells = (row.work, f"{_number(row.ours)} {row.unit}", floor, ratio, row.target, met, row.peer or "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def timed(calls: dict[str, Callable[[], object]], *, number: int, rounds: int = 7) -> dict[str, float]:
    """Median over rounds of microseconds per call; the contenders take turns within each round."""
    seen: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            started = time.perf_counter()
            for _ in range(number):
                call()
            seen[name].append((time.perf_counter() - started) / number * 1e6)
    return {name: statistics.median(values) for name, values in seen.items()}


async def timed_async(
    calls: dict[str, Callable[[], Awaitable[object]]], *, number: int, rounds: int = 5, cpu: bool = True, warm: int = 20
) -> dict[str, float]:
    """As `timed`, for coroutines: microseconds of this process's CPU time (or wall time) per call."""
    clock = time.process_time if cpu else time.perf_counter
    for call in calls.values():
        for _ in range(warm):
            await call()
    seen: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            gc.collect()
            started = clock()
            for _ in range(number):
                await call()
            seen[name].append((clock() - started) / number * 1e6)
    return {name: statistics.median(values) for name, values in seen.items()}
