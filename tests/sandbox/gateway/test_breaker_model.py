"""The breaker against a second one, written from its rules alone: it keeps every result and recounts them each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

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
        if self.state in ("closed", "forced_closed", "disabled"):
            return True
        if self.state == "open":
            return self.now >= self.until
        if self.state == "half_open":
            return len(self.probes_out) < self.policy.half_open_permits
        return False

    def retry_after(self) -> int | None:
        if self.state == "open":
            return max(0, self.until - self.now)
        return 0 if self.state == "half_open" else None

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
        lasts = (
            Fraction(str(policy.recovery_timeout)) * Fraction(str(policy.backoff_multiplier)) ** self.opened_in_a_row
        )
        # The cap bounds the growth; a longer base is what was asked for.
        lasts = min(lasts, max(Fraction(str(policy.max_recovery_timeout)), Fraction(str(policy.recovery_timeout))))
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
        retry_after = retry_after if outcome == "failure" else None
        if permit.generation != self.generation:
            if self.state == "open" and retry_after is not None:
                self.until = max(self.until, self.now + micros(retry_after))
            return
        slow = self.policy.slow_call_seconds is not None and seconds >= self.policy.slow_call_seconds
        if self.state == "half_open":
            self.probes_out = [p for p in self.probes_out if p is not permit]
            if outcome == "failure" or (outcome == "success" and slow):
                self.open(retry_after)
            elif outcome == "success":
                self.probes_succeeded += 1
                if self.probes_succeeded >= self.policy.success_threshold:
                    self.move("closed")
        elif self.state == "closed" and outcome != "neutral":
            self.results.append(Result(self.now, outcome == "failure", slow))
            if self.should_open():
                self.open(retry_after)

    def by_hand(self, action: str) -> None:
        to = {"force_open": "forced_open", "force_close": "forced_closed", "disable": "disabled", "reset": "closed"}
        self.move("disabled" if action == "reset" and self.policy.mode == "off" else to[action])


class SetClock:
    """A clock that a test moves; seconds are the nearest float to a whole number of microseconds."""

    def __init__(self) -> None:
        self.now_us = 0

    def monotonic(self) -> float:
        return self.now_us / SECOND


def micros_or_none(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)


class Pair:
    """The breaker and its model, driven together and compared after every step."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self.clock = SetClock()
        self.changes: list[Transition] = []
        self.real = CircuitBreaker(policy, self.clock, self.changes.append)  # type: ignore[arg-type]
        self.naive = NaiveBreaker(policy, state="disabled" if policy.mode == "off" else "closed")
        self.calls: list[tuple[int, Permit]] = []
        self.compare()

    def compare(self) -> None:
        real, naive = self.real, self.naive
        assert real.state == naive.state
        assert real.would_admit() == naive.would_admit()
        assert micros_or_none(real.retry_after()) == naive.retry_after()
        assert [(c.from_state, c.to_state, micros_or_none(c.until)) for c in self.changes] == naive.transitions
        if naive.state == "closed":
            assert real.snapshot().failures == naive.failures()

    def advance(self, us: int) -> None:
        self.naive.now += us
        self.clock.now_us += us

    def advance_to_boundary(self, which: int, offset: int) -> None:
        """To a moment at which an answer may change, or a microsecond beside it."""
        naive = self.naive
        moments = {r.at + micros(naive.policy.window) for r in naive.results} | {naive.until}
        coming = sorted(m + offset for m in moments if m + offset > naive.now)
        if coming:
            self.advance(coming[which % len(coming)] - naive.now)

    def admit(self) -> None:
        real, naive = self.real.admit(), self.naive.admit()
        assert (real is None) == (naive is None)
        if real is not None and naive is not None:
            self.calls.append((real, naive))

    def finish(self, which: int, outcome: str, seconds: float, retry_after: float | None) -> None:
        if not self.calls:
            return
        real, naive = self.calls.pop(which % len(self.calls))
        if outcome == "success":
            self.real.success(real, seconds)
        elif outcome == "failure":
            self.real.failure(real, seconds, retry_after=retry_after)
        else:
            self.real.neutral(real)
        self.naive.finish(naive, outcome, seconds, retry_after)

    def call(self, outcome: str, seconds: float, retry_after: float | None) -> None:
        """A call that nothing overlaps."""
        before = len(self.calls)
        self.admit()
        if len(self.calls) > before:
            self.compare()
            self.finish(before, outcome, seconds, retry_after)

    def advance_to_probe(self, offset: int) -> None:
        if self.naive.state == "open" and self.naive.until + offset > self.naive.now:
            self.advance(self.naive.until + offset - self.naive.now)

    def by_hand(self, action: str) -> None:
        getattr(self.real, action)()
        self.naive.by_hand(action)

    def run(self, steps: list[tuple[Any, ...]]) -> None:
        for name, *arguments in steps:
            getattr(self, name)(*arguments)
            self.compare()


POLICIES = st.builds(
    BreakerPolicy,
    mode=st.sampled_from(["consecutive", "window", "rate"]),
    failure_threshold=st.integers(1, 4),
    window=st.sampled_from([0.000003, 1.1, 10.0, 60.0]),
    failure_rate=st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.0]),
    minimum_calls=st.integers(1, 5),
    recovery_timeout=st.sampled_from([0.512, 30.0]),
    backoff_multiplier=st.sampled_from([1.0, 1.5, 2.0]),
    max_recovery_timeout=st.sampled_from([0.3, 45.0, 300.0]),
    half_open_permits=st.integers(1, 3),
    success_threshold=st.integers(1, 3),
    slow_call_seconds=st.sampled_from([None, None, 2.0]),
    slow_call_rate=st.sampled_from([0.3, 0.7, 1.0]),
)
RETRY_AFTERS = st.sampled_from([None, None, 0.0, 0.7, 29.999999, 100.0])
OUTCOMES = (
    st.sampled_from(["success", "failure", "failure", "neutral"]),
    st.sampled_from([0.0, 1.999999, 2.0, 5.0]),
    RETRY_AFTERS,
)
STEP = st.one_of(
    st.just(("admit",)),
    st.tuples(st.just("finish"), st.integers(0, 7), *OUTCOMES),
    st.tuples(st.just("call"), *OUTCOMES),
    st.tuples(st.just("call"), st.just("failure"), st.just(0.0), RETRY_AFTERS),
    st.tuples(st.just("advance"), st.sampled_from([0, 1, 2, 99_999, 100_000, 999_999, 1_300_000, 60_000_000])),
    st.tuples(st.just("advance_to_boundary"), st.integers(0, 7), st.sampled_from([-1, 0, 0, 1])),
    st.tuples(st.just("advance_to_probe"), st.sampled_from([-1, 0, 0, 1])),
)
STEPS = st.lists(STEP, min_size=50, max_size=100)
HANDS = st.tuples(st.just("by_hand"), st.sampled_from(["force_open", "force_close", "disable", "reset", "reset"]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(POLICIES, STEPS)
def test_every_step_agrees_with_the_model(policy: BreakerPolicy, steps: list[tuple[Any, ...]]) -> None:
    Pair(policy).run(steps)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(POLICIES, STEPS, st.lists(st.tuples(st.integers(0, 80), HANDS), min_size=1, max_size=6))
def test_so_it_does_when_hands_interfere(
    policy: BreakerPolicy, steps: list[tuple[Any, ...]], hands: list[tuple[int, tuple[Any, ...]]]
) -> None:
    for place, hand in hands:
        steps = [*steps[:place], hand, *steps[place:]]
    Pair(policy).run(steps)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(STEPS)
def test_switched_off_it_admits_everything_and_never_changes(steps: list[tuple[Any, ...]]) -> None:
    pair = Pair(BreakerPolicy("off", failure_threshold=1))
    pair.run([step for step in steps if step[0] != "by_hand"])
    assert pair.changes == []
