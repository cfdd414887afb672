"""The circuit breaker of one provider: a state machine on an injected clock, with no I/O and no tasks.

The semantics of modes, permits and generations are the project's own; resilience4j and Polly are the naming reference.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from providers.clock import Clock
from providers.errors import ProviderError

State = Literal["closed", "open", "half_open", "forced_open", "forced_closed", "disabled"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how it recovers. Times are seconds."""

    mode: Literal["off", "consecutive", "window", "rate"] = "window"
    failure_threshold: int = 5
    """Failures in a row (`consecutive`) or within the window (`window`)."""
    window: float = 60.0
    failure_rate: float = 0.5
    """Share of calls in the window that opens it, in mode `rate`."""
    minimum_calls: int = 10
    """Calls in the window before a rate means anything."""
    recovery_timeout: float = 30.0
    backoff_multiplier: float = 1.0
    """The open time grows by this for each re-open in a row."""
    max_recovery_timeout: float = 300.0
    half_open_permits: int = 1
    success_threshold: int = 1
    slow_call_seconds: float | None = None
    slow_call_rate: float = 1.0


def _moment(seconds: float) -> float:
    """A point in time rounded to the microsecond, so that a sum of floats meets the clock's own reading exactly."""
    return round(seconds, 6)


class Transition(NamedTuple):
    from_state: State
    to_state: State
    reason: str
    until: float | None
    """Monotonic seconds of the next probe, for an open breaker."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a person wants to see of a breaker."""

    state: State
    failures: int
    """Failures that count now: in a row, or within the window."""
    threshold: int
    retry_after: float | None
    """Seconds to the next probe, for an open breaker."""


OnChange = Callable[[Transition], None]


class Breaker(Protocol):
    """What the gateway asks of any breaker. A permit of `admit` goes back with the one result of its call."""

    state: State
    generation: int
    """The permit that a call admitted now would have."""

    def admit(self) -> int | None:
        """A permit for one call, or None: refused."""
        ...

    def would_admit(self) -> bool:
        """What `admit` would say, without taking a permit."""
        ...

    def retry_after(self) -> float | None:
        """Seconds until a call may go; 0: now, or when others have ended; None: closed, or held open by hand."""
        ...

    def success(self, permit: int, seconds: float = 0.0) -> None: ...

    def failed(self, permit: int, error: ProviderError, seconds: float = 0.0) -> None:
        """The call ended in this error; what that means for the provider's health is the breaker's to judge."""
        ...

    def neutral(self, permit: int) -> None:
        """The call was broken off, which says nothing of the provider."""
        ...

    def snapshot(self) -> Snapshot: ...

    def force_open(self) -> None: ...

    def force_close(self) -> None: ...

    def disable(self) -> None: ...

    def reset(self) -> None: ...


BreakerModel = Callable[[Clock, OnChange, Callable[[], int]], Breaker]
"""Makes a breaker of one kind from a clock, who is told of changes, and how many providers there are."""


class CircuitBreaker:
    """Ask `admit`, then report `success`, `failure` or `neutral` with the permit it gave.

    A permit is the generation that admitted the call: a result of an older generation is too late to count.
    """

    __slots__ = (
        "_calls",
        "_clock",
        "_failed_in_window",
        "_failures",
        "_in_row",
        "_in_use",
        "_monotonic",
        "_on_change",
        "_reopens",
        "_slow_in_window",
        "_successes",
        "_track_calls",
        "_until",
        "generation",
        "policy",
        "state",
    )

    def __init__(self, policy: BreakerPolicy, clock: Clock, on_change: OnChange | None = None) -> None:
        self.policy = policy
        self._clock = clock
        self._monotonic = clock.monotonic
        self._on_change = on_change
        self.state: State = "disabled" if policy.mode == "off" else "closed"
        self.generation = 0
        self._until = 0.0
        self._reopens = 0
        self._in_use = 0
        self._successes = 0
        self._track_calls = policy.mode == "rate" or policy.slow_call_seconds is not None
        self._clear()

    def _clear(self) -> None:
        self._in_row = 0
        # When each failure stops counting. More than `failure_threshold` are never needed, so the memory is bounded.
        self._failures: deque[float] = deque(maxlen=max(1, self.policy.failure_threshold))
        self._calls: deque[tuple[float, bool, bool]] = deque()
        self._failed_in_window = 0
        self._slow_in_window = 0

    # --- admission ------------------------------------------------------------------------------------------------

    def admit(self) -> int | None:
        """A permit for one call, or None: refused. May turn an open breaker half open."""
        state = self.state
        if state == "closed" or state == "disabled" or state == "forced_closed":
            return self.generation
        if state == "open" and self._monotonic() >= self._until:
            self._change("half_open", "recovery time passed")
            state = "half_open"
        if state == "half_open" and self._in_use < self.policy.half_open_permits:
            self._in_use += 1
            return self.generation
        return None

    def would_admit(self) -> bool:
        """What `admit` would say, without taking a permit."""
        state = self.state
        if state == "open":
            return self._monotonic() >= self._until
        if state == "half_open":
            return self._in_use < self.policy.half_open_permits
        return state != "forced_open"

    def retry_after(self) -> float | None:
        """Seconds until a probe may go; 0: now, or when the one under way ends; None: closed, or held open by hand."""
        if self.state == "open":
            return max(0.0, self._until - self._monotonic())
        return 0.0 if self.state == "half_open" else None

    # --- results --------------------------------------------------------------------------------------------------

    def success(self, permit: int, seconds: float = 0.0) -> None:
        """The call succeeded after `seconds` (time to first text for streams)."""
        if permit != self.generation:
            return
        state = self.state
        if state == "closed":
            self._in_row = 0
            if self._track_calls:
                self._count_call(False, seconds)
        elif state == "half_open":
            self._in_use -= 1
            limit = self.policy.slow_call_seconds
            if limit is not None and seconds >= limit:
                self._reopen(f"a probe took {seconds:.3g} s", None)
                return
            self._successes += 1
            if self._successes >= self.policy.success_threshold:
                self._reopens = 0
                self._change("closed", "probe succeeded")

    def failed(self, permit: int, error: ProviderError, seconds: float = 0.0) -> None:
        """The call ended in this error: by its class a failure, or neutral."""
        if error.recovery.breaker == "neutral":
            self.neutral(permit)
        else:
            self.failure(permit, seconds, retry_after=error.retry_after)

    def failure(self, permit: int, seconds: float = 0.0, *, retry_after: float | None = None) -> None:
        """The call failed; `retry_after` is what the provider asked for, in seconds."""
        if permit != self.generation:
            if self.state == "open" and retry_after is not None:
                # Too late to count, but the provider's own word on when to come back only ever moves that moment later.
                self._until = max(self._until, _moment(self._monotonic() + retry_after))
            return
        state = self.state
        if state == "half_open":
            self._in_use -= 1
            self._reopen("probe failed", retry_after)
        elif state == "closed":
            policy = self.policy
            now = self._monotonic()
            if policy.mode == "consecutive":
                self._in_row += 1
                if self._in_row >= policy.failure_threshold:
                    self._open(f"{self._in_row} failures in a row", retry_after)
                    return
            elif policy.mode == "window":
                failures = self._failures
                failures.append(_moment(now + policy.window))
                if len(failures) == failures.maxlen and now < failures[0]:
                    self._open(f"{len(failures)} failures within {policy.window:g} s", retry_after)
                    return
            if self._track_calls:
                self._count_call(True, seconds, retry_after)

    def neutral(self, permit: int) -> None:
        """The call says nothing about the provider's health; a half-open permit is given back."""
        if permit == self.generation and self.state == "half_open":
            self._in_use -= 1

    def _count_call(self, failed: bool, seconds: float, retry_after: float | None = None) -> None:
        policy = self.policy
        now = self._monotonic()
        slow = policy.slow_call_seconds is not None and seconds >= policy.slow_call_seconds
        calls = self._calls
        calls.append((_moment(now + policy.window), failed, slow))
        self._failed_in_window += failed
        self._slow_in_window += slow
        self._forget_old(now)
        total = len(calls)
        if total < policy.minimum_calls:
            return
        if policy.mode == "rate" and self._failed_in_window and self._failed_in_window / total >= policy.failure_rate:
            self._open(f"{self._failed_in_window} of {total} calls failed within {policy.window:g} s", retry_after)
        elif self._slow_in_window and self._slow_in_window / total >= policy.slow_call_rate:
            self._open(f"{self._slow_in_window} of {total} calls were slow within {policy.window:g} s", retry_after)

    def _forget_old(self, now: float) -> None:
        calls = self._calls
        while calls and now >= calls[0][0]:
            _, failed, slow = calls.popleft()
            self._failed_in_window -= failed
            self._slow_in_window -= slow

    # --- transitions ----------------------------------------------------------------------------------------------

    def _open(self, reason: str, retry_after: float | None) -> None:
        policy = self.policy
        # The exponent is bounded because a float power overflows long after the cap is reached.
        growth = policy.backoff_multiplier ** min(self._reopens, 64)
        pause = min(policy.recovery_timeout * growth, max(policy.max_recovery_timeout, policy.recovery_timeout))
        self._until = _moment(self._monotonic() + max(pause, retry_after or 0.0))
        self._change("open", reason)

    def _reopen(self, reason: str, retry_after: float | None) -> None:
        self._reopens += 1
        self._open(reason, retry_after)

    def _change(self, state: State, reason: str) -> None:
        before, self.state = self.state, state
        self.generation += 1
        self._in_use = 0
        self._successes = 0
        self._clear()
        if self._on_change is not None:
            self._on_change(Transition(before, state, reason, self._until if state == "open" else None))

    def take_over(self, state: State, generation: int, until: float, *, in_use: int) -> None:
        """Go on from where another breaker stands, with nothing counted and nobody told."""
        self.state, self.generation, self._until, self._in_use = state, generation, until, in_use

    # --- by hand --------------------------------------------------------------------------------------------------

    def force_open(self) -> None:
        """Refuse everything until `reset`."""
        self._change("forced_open", "forced open by hand")

    def force_close(self) -> None:
        """Admit everything until `reset`, whatever the results."""
        self._change("forced_closed", "forced closed by hand")

    def disable(self) -> None:
        """Admit everything and count nothing until `reset`."""
        self._change("disabled", "disabled by hand")

    def reset(self) -> None:
        """Closed, with nothing counted."""
        self._reopens = 0
        self._change("disabled" if self.policy.mode == "off" else "closed", "reset by hand")

    def snapshot(self) -> Snapshot:
        policy = self.policy
        now = self._monotonic()
        if policy.mode == "consecutive":
            failures, threshold = self._in_row, policy.failure_threshold
        elif policy.mode == "window":
            failures = sum(1 for until in self._failures if now < until)
            threshold = policy.failure_threshold
        else:
            self._forget_old(now)
            failures, threshold = self._failed_in_window, policy.minimum_calls
        return Snapshot(self.state, failures, threshold, self.retry_after() if self.state == "open" else None)
