"""Counts what happens, for `/metrics`: an observer of the bus that adds to a few dictionaries.

The names of providers, models and errors are labels. Callers can make up models, so that each kind of label has a
bound; beyond it everything counts as `other`. Nobody's name, prompt or key is a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from sandbox.core.events import (
    AttemptFailed,
    AttemptSucceeded,
    CacheHit,
    Event,
    FallbackTaken,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RetryScheduled,
)

MAX_LABELS: Final = 200
"""Different labels of one kind."""
OTHER: Final = "other"
BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Durations:
    """A histogram: how many took no longer than each of `BUCKETS_S`."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus has it: each bucket with what is in those before it."""
        told, sum_ = [], 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.counts, strict=True):
            sum_ += count
            told.append((bound, float(sum_)))
        return told


class Meters:
    """Since the server started. Money is exact until it is told."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        """By outcome: answered, cached, failed, cancelled."""
        self.errors: Counter[str] = Counter()
        """Failed requests by error."""
        self.attempts: Counter[tuple[str, str]] = Counter()
        """By provider, and `ok` or the error."""
        self.retries: Counter[str] = Counter()
        self.failovers: Counter[tuple[str, str]] = Counter()
        """By the provider that was left, and the one that was gone to."""
        self.tokens: Counter[tuple[str, str, str]] = Counter()
        """By provider, model, and `input` or `output`."""
        self.cost_usd: dict[tuple[str, str], Decimal] = {}
        """Of answers, by provider and model."""
        self.unpriced: Counter[tuple[str, str]] = Counter()
        self.waste_usd = Decimal(0)
        self.saved_usd = Decimal(0)
        self.refusals: Counter[str] = Counter()
        """Requests that were not looked at: access, rate_limit."""
        self.duration: dict[str, Durations] = {}
        """Of requests, by outcome."""
        self.attempt_duration: dict[str, Durations] = {}
        """Of attempts that succeeded, by provider; of streams, to the first text."""
        self._known: dict[str, set[str]] = {kind: set() for kind in ("provider", "model", "error")}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RequestCompleted: self._completed,
            RequestFailed: self._failed,
            RequestCancelled: self._cancelled,
            AttemptSucceeded: self._succeeded,
            AttemptFailed: self._broke,
            RetryScheduled: self._retried,
            FallbackTaken: self._moved,
            CacheHit: self._hit,
        }

    def __call__(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def refused(self, why: str) -> None:
        self.refusals[why] += 1

    # --- events -----------------------------------------------------------------------------------------------------

    def _completed(self, event: RequestCompleted) -> None:
        outcome = "cached" if event.cached else "answered"
        self._ended(outcome, event.latency_ms)
        self.waste_usd += event.waste_usd
        if event.cached:
            return
        served = self._label("provider", event.provider), self._label("model", event.model)
        self.tokens[(*served, "input")] += event.input_tokens
        self.tokens[(*served, "output")] += event.output_tokens
        if event.cost_usd is None:
            self.unpriced[served] += 1
        else:
            self.cost_usd[served] = self.cost_usd.get(served, Decimal(0)) + event.cost_usd

    def _failed(self, event: RequestFailed) -> None:
        self._ended("failed", event.latency_ms)
        self.waste_usd += event.waste_usd
        self.errors[self._label("error", event.error_type)] += 1

    def _cancelled(self, event: RequestCancelled) -> None:
        self._ended("cancelled", event.latency_ms)
        self.waste_usd += event.waste_usd

    def _ended(self, outcome: str, latency_ms: float) -> None:
        self.requests[outcome] += 1
        _durations(self.duration, outcome).add(latency_ms / 1000)

    def _succeeded(self, event: AttemptSucceeded) -> None:
        provider = self._label("provider", event.provider)
        self.attempts[provider, "ok"] += 1
        took_ms = event.latency_ms if event.ttft_ms is None else event.ttft_ms
        _durations(self.attempt_duration, provider).add(took_ms / 1000)

    def _broke(self, event: AttemptFailed) -> None:
        self.attempts[self._label("provider", event.provider), self._label("error", event.error_type)] += 1

    def _retried(self, event: RetryScheduled) -> None:
        self.retries[self._label("provider", event.provider)] += 1

    def _moved(self, event: FallbackTaken) -> None:
        self.failovers[self._label("provider", event.from_provider), self._label("provider", event.to_provider)] += 1

    def _hit(self, event: CacheHit) -> None:
        self.saved_usd += event.saved_usd or 0

    def _label(self, kind: str, value: str) -> str:
        known = self._known[kind]
        if value in known:
            return value
        if len(known) >= MAX_LABELS:
            return OTHER
        known.add(value)
        return value


def _durations(kept: dict[str, Durations], key: str) -> Durations:
    found = kept.get(key)
    if found is None:
        found = kept[key] = Durations()
    return found
