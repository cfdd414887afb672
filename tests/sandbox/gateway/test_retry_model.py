"""The retry loop against a second one, written from its rules alone, in integer microseconds and without a clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.attempts import Deadline, RetryPolicy, attempt_with_retries
from providers.clock import seeded
from providers.errors import (
    AuthenticationError,
    CircuitBreakerOpenError,
    ConnectionFailedError,
    InvalidRequestError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from sandbox.core.virtual import VirtualClock
from tests.sandbox.gateway.support import fresh, virtual

SECOND = 1_000_000
RETRIED = ("rate limit", "timeout", "connection", "unavailable", "malformed", "early cut")
ERRORS: dict[str, type[ProviderError]] = {
    "rate limit": RateLimitError,
    "timeout": ProviderTimeoutError,
    "connection": ConnectionFailedError,
    "unavailable": ServiceUnavailableError,
    "malformed": MalformedResponseError,
    "early cut": StreamInterruptedError,
    "authentication": AuthenticationError,
    "invalid": InvalidRequestError,
}


def micros(seconds: float) -> int:
    return round(Fraction(str(seconds)) * SECOND)


def naive_delay(
    policy: RetryPolicy, kind: str, retry_after: int | None, retry: int, others: int, remaining: int, jitter: Fraction
) -> int | None:
    """Microseconds before the same provider is asked again, or None: not again. `jitter` is the draw, from 0 to 1."""
    if kind not in RETRIED or retry >= policy.retries:
        return None
    if retry_after is not None and retry_after > micros(policy.max_retry_after):
        return None
    if policy.when == "last_candidate" and others > 0:
        if retry >= 1 or kind == "timeout" or (kind == "rate limit" and retry_after is None):
            return None
        wait = 0 if kind == "rate limit" else 50_000
    else:
        wait = micros(policy.base_delay)
        for _ in range(retry):
            wait = round(wait * Fraction(str(policy.factor)))
        wait = min(wait, micros(policy.max_delay))
        if policy.jitter == "full":
            wait = round(wait * jitter)
    wait = max(wait, retry_after or 0)
    left = remaining - wait
    if left <= 0 or left < others * 5 * SECOND:
        return None
    return wait


@dataclass
class Told:
    """What a loop did: each attempt's start and end, how each ended, the waits, and how all of it ended."""

    attempts: list[tuple[int, int, str]] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)
    ended_at: int = 0
    ended_in: str = ""


@dataclass(frozen=True)
class World:
    """What the loop meets. Times are microseconds from its beginning; the last step of the script repeats."""

    script: tuple[tuple[int, str, int | None], ...]
    deadline: int
    attempt_timeout: int
    others_until: tuple[int, ...]
    """The moment at which each other candidate stops being available."""
    refuses_from: int
    """The moment from which this provider's own breaker refuses."""

    def others(self, now: int) -> int:
        return sum(now < end for end in self.others_until)

    def step(self, retry: int) -> tuple[int, str, int | None]:
        return self.script[min(retry, len(self.script) - 1)]


def naive_loop(policy: RetryPolicy, world: World, jitter: Fraction) -> Told:
    told, now, retry = Told(), 0, 0
    ending = "refused"
    while now < world.refuses_from:
        left = world.deadline - now
        takes, kind, retry_after = world.step(retry)
        if takes < min(world.attempt_timeout, left):
            end = now + takes
        else:
            end, retry_after = now + min(world.attempt_timeout, left), None
            kind = "timeout" if world.attempt_timeout < left else "deadline"
        told.attempts.append((now, end, kind))
        now, ending = end, kind
        if kind in ("ok", "deadline"):
            break
        wait = naive_delay(policy, kind, retry_after, retry, world.others(now), world.deadline - now, jitter)
        if wait is None or now >= world.refuses_from:
            break
        told.waits.append(wait)
        now += wait
        retry += 1
    told.ended_at, told.ended_in = now, ending
    return told
