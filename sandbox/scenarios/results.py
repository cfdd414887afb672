"""What a run adds up to, counted while it goes by: a million requests take no more memory than their latencies."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate
from math import ceil
from typing import Any, Final

from providers.pricing import Catalogue
from providers.types import TokenUsage
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    BreakerChanged,
    BreakerClosed,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    CacheHit,
    Event,
    RouteChosen,
)
from sandbox.scenarios.fleet import Fleet
from sandbox.scenarios.schema import Expectation
from sandbox.usage.base import UsageRecord

METRICS: Final = (
    "availability", "requests", "succeeded", "failed", "attempts", "failovers", "retries", "cached", "blocked",
    "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms",
    "cost_usd", "baseline_cost_usd", "failover_cost_usd", "waste_usd",
)  # fmt: skip
"""What an expectation can be about, beside breakers and providers."""

BIN_BITS: Final = 14
"""Latencies are looked through in bins of about 16 ms."""

STATES: Final = {BreakerOpened: "open", BreakerHalfOpened: "half_open", BreakerClosed: "closed"}
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class TransitionSeen:
    at_us: int
    """Microseconds from the start of the run."""
    provider: str
    from_state: str
    to_state: str
    reason: str


@dataclass(slots=True)
class Watched:
    """Attempts and answers of one provider within an expectation's window."""

    expectation: Expectation
    begin_us: int
    end_us: int | None
    attempts: int = 0
    answers: int = 0

    def covers(self, provider: str, at_us: int) -> bool:
        return (
            provider == self.expectation.provider
            and self.begin_us <= at_us
            and (self.end_us is None or at_us < self.end_us)
        )


@dataclass(slots=True)
class Tally:
    """Everything counted so far; an observer of the bus (`see`) and a taker of usage records (`record`)."""

    prices: Catalogue
    start_us: int
    expectations: Sequence[Expectation] = ()
    requests: int = 0
    succeeded: int = 0
    cached: int = 0
    failovers: int = 0
    retries: int = 0
    attempts: Counter[str] = field(default_factory=Counter)
    failed_attempts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    transitions: list[TransitionSeen] = field(default_factory=list)
    cost: Decimal = _NOTHING
    waste: Decimal = _NOTHING
    baseline: Decimal = _NOTHING
    unpriced: int = 0
    """Answers whose cost, or whose cost at the first candidate, nobody knows."""
    latencies_us: array[int] = field(default_factory=lambda: array("q"))
    _first: dict[str, tuple[str, str]] = field(default_factory=dict)
    """The first candidate of each request under way: its id and its model."""
    _kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    _watched: list[Watched] = field(default_factory=list)
    _ranked: tuple[int, tuple[float | None, float | None, float | None, float | None]] = (0, (None,) * 4)
    """The percentiles, and of how many latencies they are."""

    def __post_init__(self) -> None:
        self._watched = [
            Watched(one, round((one.begin or 0.0) * 1e6), None if one.end is None else round(one.end * 1e6))
            for one in self.expectations
            if one.provider is not None
        ]

    def know(self, id: str, kind: str, model_id: str) -> None:
        """A provider of the chain, by which baselines are priced."""
        self._kinds[id] = (kind, model_id)

    # --- watching -------------------------------------------------------------------------------------------------

    def see(self, event: Event) -> None:
        """Take one event of the bus."""
        if isinstance(event, AttemptStarted):
            self.attempts[event.provider] += 1
            self.retries += event.retry > 0
            for one in self._watched:
                one.attempts += one.covers(event.provider, event.t_us - self.start_us)
        elif isinstance(event, AttemptFailed):
            self.failed_attempts[event.provider] += 1
        elif isinstance(event, RouteChosen):
            if event.candidates:
                first = event.candidates[0]
                self._first[event.request_id] = (first.provider, first.model)
        elif isinstance(event, BreakerChanged):
            state = event.state if isinstance(event, BreakerForced) else STATES[type(event)]
            self.transitions.append(
                TransitionSeen(event.t_us - self.start_us, event.provider, event.from_state, state, event.reason)
            )
        elif isinstance(event, CacheHit):
            self.cached += 1

    def record(self, record: UsageRecord) -> None:
        """Take the one record of a request that has ended."""
        self.requests += 1
        self.waste += record.waste_cost
        first = self._first.pop(record.request_id, None)
        if not record.success:
            self.errors[record.error_type or "unknown"] += 1
            return
        self.succeeded += 1
        self.latencies_us.append(round(record.latency_ms * 1000))
        self.answers[record.provider] += 1
        ended_us = record.timestamp_us - self.start_us + round(record.latency_ms * 1000)
        for one in self._watched:
            one.answers += one.covers(record.provider, ended_us)
        if record.cached:
            return
        self.failovers += first is not None and first[0] != record.provider
        baseline = self._baseline(first, record)
        if record.estimated_cost is None or baseline is None:
            self.unpriced += 1
            return
        self.cost += record.estimated_cost
        self.baseline += baseline

    def _baseline(self, first: tuple[str, str] | None, record: UsageRecord) -> Decimal | None:
        if first is None or first[0] == record.provider:
            return record.estimated_cost
        kind, model_id = self._kinds.get(first[0], (first[0], first[1]))
        return _priced(self.prices, kind, model_id, record.prompt_tokens, record.completion_tokens, self.start_us)

    # --- adding up ------------------------------------------------------------------------------------------------

    @property
    def failed(self) -> int:
        return self.requests - self.succeeded

    @property
    def availability(self) -> float:
        return self.succeeded / self.requests if self.requests else 1.0

    def metrics(self) -> dict[str, float | Decimal | None]:
        """Every metric by its name; money is Decimal, None where something is unpriced or nothing was measured."""
        if len(self.latencies_us) != self._ranked[0]:
            self._ranked = len(self.latencies_us), percentiles(self.latencies_us)
        p50, p95, p99, top = self._ranked[1]
        priced = not self.unpriced
        return {
            "availability": self.availability,
            "requests": self.requests,
            "succeeded": self.succeeded,
            "failed": self.failed,
            "attempts": self.attempts.total(),
            "failovers": self.failovers,
            "retries": self.retries,
            "cached": self.cached,
            "blocked": self.errors["BudgetExceededError"],
            "p50_latency_ms": p50,
            "p95_latency_ms": p95,
            "p99_latency_ms": p99,
            "max_latency_ms": top,
            "cost_usd": self.cost + self.waste if priced else None,
            "baseline_cost_usd": self.baseline if priced else None,
            "failover_cost_usd": self.cost - self.baseline if priced else None,
            "waste_usd": self.waste,
        }

    def watched(self, expectation: Expectation) -> Watched:
        return next(one for one in self._watched if one.expectation is expectation)


@lru_cache(4096)
def _priced(prices: Catalogue, kind: str, model: str, given: int, written: int, at_us: int) -> Decimal | None:
    price = prices.price(kind, model, TokenUsage(given, written), at=at_us)
    return None if price is None else price.total


def percentiles(latencies_us: Sequence[int]) -> tuple[float | None, float | None, float | None, float | None]:
    """Median, 95th, 99th and the largest, in milliseconds, by nearest rank; None where nothing succeeded."""
    total = len(latencies_us)
    if not total:
        return None, None, None, None
    # By bins first, of which three are sorted then: a list of a million numbers takes forty megabytes.
    counts = sorted(Counter(value >> BIN_BITS for value in latencies_us).items())
    upto = list(accumulate(count for _, count in counts))

    def ranked(share: float) -> float:
        rank = max(0, ceil(share * total) - 1)
        place = bisect_right(upto, rank)
        bin, count = counts[place]
        inside = sorted(value for value in latencies_us if value >> BIN_BITS == bin)
        return inside[rank - upto[place] + count] / 1000

    return ranked(0.50), ranked(0.95), ranked(0.99), max(latencies_us) / 1000


@dataclass(frozen=True, slots=True)
class Result:
    """One run, added up."""

    scenario: str
    seed: int
    preset: str
    virtual_seconds: float
    wall_seconds: float
    metrics: dict[str, float | Decimal | None]
    attempts_by_provider: dict[str, int]
    failed_attempts_by_provider: dict[str, int]
    answers_by_provider: dict[str, int]
    transitions: tuple[TransitionSeen, ...]
    errors_by_type: dict[str, int]
    expectations: tuple[dict[str, Any], ...]
    trace_sha256: str
    cut: int = 0
    """Requests that were still under way at the bound after the end, and were cut off."""
    fidelity: str = "provider"
    """provider or wire."""
    fleet: Fleet | None = None
    """What it was like for several gateways, where there were."""

    @property
    def ok(self) -> bool:
        """Whether every expectation holds."""
        return all(one["ok"] for one in self.expectations)

    def check(self) -> Result:
        """Itself. Raises AssertionError, with what really was, for expectations that do not hold."""
        from sandbox.scenarios.telling import actual_text, expected_text

        failed = [one for one in self.expectations if not one["ok"]]
        if failed:
            told = "".join(f"\n  ✗ {expected_text(one)}: {actual_text(one['actual'])}" for one in failed)
            raise AssertionError(
                f"scenario {self.scenario}, seed {self.seed}, preset {self.preset}: "
                f"{len(failed)} of {len(self.expectations)} expectations do not hold{told}"
            )
        return self

    def as_dict(self) -> dict[str, Any]:
        """What `replay --json` prints."""
        numbers = self.metrics
        return {
            "scenario": self.scenario,
            "seed": self.seed,
            "preset": self.preset,
            "fidelity": self.fidelity,
            "virtual_seconds": self.virtual_seconds,
            "wall_seconds": round(self.wall_seconds, 3),
            **{name: numbers[name] for name in ("requests", "succeeded", "failed", "availability", "attempts")},
            "attempts_by_provider": self.attempts_by_provider,
            "failed_attempts_by_provider": self.failed_attempts_by_provider,
            "answers_by_provider": self.answers_by_provider,
            "failovers": numbers["failovers"],
            "retries": numbers["retries"],
            "cached": numbers["cached"],
            "cut": self.cut,
            "breaker_transitions": [
                {
                    "at": one.at_us / 1e6,
                    "provider": one.provider,
                    "from": one.from_state,
                    "to": one.to_state,
                    "reason": one.reason,
                }
                for one in self.transitions
            ],
            "latency_ms": {
                "p50": numbers["p50_latency_ms"],
                "p95": numbers["p95_latency_ms"],
                "p99": numbers["p99_latency_ms"],
                "max": numbers["max_latency_ms"],
            },
            **{
                name: None if numbers[name] is None else f"{numbers[name]:f}"
                for name in ("cost_usd", "baseline_cost_usd", "failover_cost_usd", "waste_usd")
            },
            "errors_by_type": self.errors_by_type,
            "expectations": list(self.expectations),
            "fleet": None if self.fleet is None else self.fleet.as_dict(),
            "trace_sha256": self.trace_sha256,
        }
