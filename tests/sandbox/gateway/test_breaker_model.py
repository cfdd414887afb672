"""The breaker against a second one, written from its rules alone: it keeps every result and recounts them each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.gateway.breaker import BreakerPolicy, CircuitBreaker, Transition

SECOND = 1_000_000


def micros(seconds: float) -> int:
    return round(Fraction(str(seconds)) * SECOND)


@dataclass
class Result:
    at: int
    failed: bool
    slow: bool


@dataclass
class Permit:
    generation: int


@dataclass
class NaiveBreaker:
    """Times are integer microseconds. Nothing is ever pruned or counted ahead."""

    policy: BreakerPolicy
    now: int = 0
    state: str = "closed"
    generation: int = 0
    results: list[Result] = field(default_factory=list)
    """Since the counts were last cleared."""
    probes_out: list[Permit] = field(default_factory=list)
    probes_succeeded: int = 0
    until: int = 0
    opened_in_a_row: int = 0
    transitions: list[tuple[str, str, int | None]] = field(default_factory=list)

    # --- what is true now, from the whole list

    def in_window(self) -> list[Result]:
        return [r for r in self.results if self.now - r.at < micros(self.policy.window)]

    def failures(self) -> int:
        if self.policy.mode == "consecutive":
            run = 0
            for result in self.results:
                run = run + 1 if result.failed else 0
            return run
        return sum(r.failed for r in self.in_window())

    def should_open(self) -> bool:
        policy, recent = self.policy, self.in_window()
        if policy.slow_call_seconds is not None and len(recent) >= policy.minimum_calls:
            slow = sum(r.slow for r in recent)
            if Fraction(slow, len(recent)) >= Fraction(str(policy.slow_call_rate)):
                return True
        if policy.mode == "rate":
            if len(recent) < policy.minimum_calls:
                return False
            return Fraction(self.failures(), len(recent)) >= Fraction(str(policy.failure_rate))
        return self.failures() >= policy.failure_threshold

    def would_admit(self) -> bool:
        if self.policy.mode == "off" or self.state in ("closed", "forced_closed", "disabled"):
            return True
        if self.state == "open":
            return self.now >= self.until
        if self.state == "half_open":
            return len(self.probes_out) < self.policy.half_open_permits
        return False

    def retry_after(self) -> int | None:
        if self.state == "open" and self.now < self.until:
            return self.until - self.now
        if self.state == "half_open" and not self.would_admit():
            return 0
        return None

    # --- what can happen

    def move(self, state: str) -> None:
        self.transitions.append((self.state, state, self.until if state == "open" else None))
        self.state = state
        self.generation += 1
        self.probes_out = []
        self.probes_succeeded = 0
        if state != "open":
            self.results = []
        if state not in ("open", "half_open"):
            self.opened_in_a_row = 0

    def open(self, retry_after: float | None) -> None:
        policy = self.policy
        lasts = Fraction(str(policy.recovery_timeout)) * Fraction(str(policy.backoff_multiplier)) ** self.opened_in_a_row
        lasts = min(lasts, Fraction(str(policy.max_recovery_timeout)))
        self.until = self.now + max(round(lasts * SECOND), micros(retry_after or 0.0))
        self.opened_in_a_row += 1
        self.move("open")

    def admit(self) -> Permit | None:
        if not self.would_admit():
            return None
        if self.state == "open":
            self.move("half_open")
        permit = Permit(self.generation)
        if self.state == "half_open":
            self.probes_out.append(permit)
        return permit

    def finish(self, permit: Permit, outcome: str, seconds: float, retry_after: float | None) -> None:
        if permit.generation != self.generation or self.policy.mode == "off":
            return
        if self.state == "half_open":
            self.probes_out = [p for p in self.probes_out if p is not permit]
            if outcome == "failure":
                self.open(retry_after)
            elif outcome == "success":
                self.probes_succeeded += 1
                if self.probes_succeeded >= self.policy.success_threshold:
                    self.move("closed")
        elif self.state == "closed" and outcome != "neutral":
            slow = self.policy.slow_call_seconds is not None and seconds > self.policy.slow_call_seconds
            self.results.append(Result(self.now, outcome == "failure", slow))
            if self.should_open():
                self.open(retry_after)

    def by_hand(self, state: str) -> None:
        self.move(state)
        self.results = []
