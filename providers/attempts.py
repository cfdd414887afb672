"""The one retry loop: a provider by itself and the gateway both use it.

Policy, clock, draws and what to do around each attempt come in from outside; nothing here knows a breaker or a chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from providers.clock import Clock, Randomness
from providers.errors import (
    ConnectionFailedError,
    InputError,
    MalformedResponseError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)

T = TypeVar("T")

QUICK_RETRY_DELAY = 0.05
"""Seconds before the one quick retry while another candidate is available."""
CANDIDATE_RESERVE = 5.0
"""Seconds that a backoff must leave for each candidate still available."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently one provider is asked again. Times are seconds."""

    when: Literal["always", "last_candidate"] = "always"
    """`always`: use up the retries before moving on. `last_candidate`: one quick retry while others are available."""
    retries: int = 3
    base_delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 8.0
    jitter: Literal["none", "full"] = "none"
    max_retry_after: float = 5.0
    """A longer Retry-After is not waited for."""

    def backoff(self, retry: int, draws: Randomness) -> float:
        """Seconds before retry number `retry` (0 is the first)."""
        # The exponent is bounded because a float power overflows; any real policy has reached its cap by then.
        delay = min(self.max_delay, self.base_delay * self.factor ** min(retry, 64))
        return draws.uniform(0.0, delay) if self.jitter == "full" else delay

    def delay(
        self, error: ProviderError, retry: int, *, others: int, remaining: float, draws: Randomness
    ) -> float | None:
        """Seconds to wait before asking the same provider again, or None to stop asking it.

        `retry`: retries made already. `others`: candidates available after this one. `remaining`: of the deadline.
        """
        if not error.recovery.same_provider or retry >= self.retries:
            return None
        wanted = error.retry_after
        if wanted is not None and wanted > self.max_retry_after:
            return None
        if others and self.when == "last_candidate":
            if retry or isinstance(error, ProviderTimeoutError):
                return None
            if isinstance(error, RateLimitError):
                if wanted is None:
                    return None
                delay = wanted
            else:
                delay = max(QUICK_RETRY_DELAY, wanted or 0.0)
        else:
            delay = max(self.backoff(retry, draws), wanted or 0.0)
        if delay > remaining - CANDIDATE_RESERVE * others or delay >= remaining:
            return None
        return delay


NO_RETRY = RetryPolicy(retries=0)


class Deadline:
    """A point in a clock's time that nothing may outlive, to the microsecond.

    Sums of floats are rounded, else whether a wait still fits would depend on what the clock said at the beginning.
    """

    __slots__ = ("_clock", "ends_at", "seconds")

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self.seconds = seconds
        self.ends_at = round(clock.monotonic() + seconds, 6)

    def remaining(self) -> float:
        """Seconds left; 0 or less when it has passed."""
        return round(self.ends_at - self._clock.monotonic(), 6)

    def passed(self) -> ProviderTimeoutError:
        """What a request ends in that it has outlived."""
        return ProviderTimeoutError(f"the request's deadline of {self.seconds:g} s passed")

    def renew(self, *, until: float) -> None:
        """Begin anew, to end no later than `until` (monotonic seconds)."""
        self.ends_at = min(round(self._clock.monotonic() + self.seconds, 6), until)


class AttemptObserver(Protocol):
    """What happens around the attempts on one candidate. Every method is called from the loop, in order."""

    def before(self, retry: int) -> None:
        """About to try. Raise a ProviderError to refuse: the loop then ends with the last real error, or this one."""
        ...

    def succeeded(self, retry: int) -> None: ...

    def failed(self, error: ProviderError, retry: int, *, by_deadline: bool) -> None:
        """An attempt failed; `by_deadline`: the request's own deadline ended it, which is nobody's fault."""
        ...

    def ended(self, error: BaseException, retry: int) -> None:
        """An attempt ended in what ends the request too: the caller went away, or a recording is missing."""
        ...

    def others(self) -> int:
        """Candidates that could still be asked after this one, now."""
        ...

    def admits(self) -> bool:
        """Whether another attempt would be let through now; waiting for one that would not is time lost."""
        ...

    def retrying(self, error: ProviderError, delay: float, retry: int) -> None:
        """Will try again after `delay` seconds; `retry` counts from 1."""
        ...


class Unobserved:
    """For a provider used by itself."""

    def before(self, retry: int) -> None: ...

    def succeeded(self, retry: int) -> None: ...

    def failed(self, error: ProviderError, retry: int, *, by_deadline: bool) -> None: ...

    def ended(self, error: BaseException, retry: int) -> None: ...

    def others(self) -> int:
        return 0

    def admits(self) -> bool:
        return True

    def retrying(self, error: ProviderError, delay: float, retry: int) -> None: ...


async def attempt_with_retries(
    call: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy,
    clock: Clock,
    draws: Randomness,
    deadline: Deadline,
    attempt_timeout: float | None,
    observer: AttemptObserver,
) -> T:
    """Call until it succeeds or the policy says stop; raises the last ProviderError.

    Each call is bounded by `attempt_timeout` seconds and by what is left of the deadline, whichever ends first. None:
    the call keeps both limits itself, and raises TimeoutError when the deadline has ended it.
    """
    retry = 0
    last: ProviderError | None = None
    while True:
        try:
            observer.before(retry)
        except ProviderError as refusal:
            raise last or refusal from None
        remaining = deadline.remaining()
        by_deadline = attempt_timeout is not None and remaining < attempt_timeout
        timer = clock.timeout(max(0.0, remaining) if by_deadline else attempt_timeout)
        try:
            async with timer:
                result = await call()
        except ProviderError as error:
            failure: ProviderError = error
            by_deadline = False
        except TimeoutError:
            if timer.expired() and not by_deadline:
                failure = ProviderTimeoutError(f"no answer within {attempt_timeout:g} s")
            elif timer.expired() or deadline.remaining() <= 0:
                failure, by_deadline = deadline.passed(), True
            else:
                failure, by_deadline = ProviderTimeoutError("the provider's own time limit passed"), False
        except OSError as error:
            failure, by_deadline = ConnectionFailedError(f"{type(error).__name__}: {error}"), False
            failure.__cause__ = error
        except (InputError, asyncio.CancelledError, GeneratorExit) as error:
            observer.ended(error, retry)
            raise
        except Exception as error:
            # A provider of the user's own may raise anything: then its answer could not be made sense of.
            failure, by_deadline = MalformedResponseError(f"the provider raised {type(error).__name__}: {error}"), False
            failure.__cause__ = error
        else:
            observer.succeeded(retry)
            return result
        observer.failed(failure, retry, by_deadline=by_deadline)
        last = failure
        if by_deadline or not failure.recovery.same_provider or retry >= policy.retries:
            raise failure
        delay = policy.delay(failure, retry, others=observer.others(), remaining=deadline.remaining(), draws=draws)
        if delay is None or not observer.admits():
            raise failure
        retry += 1
        # With its traceback it would hold this frame, which holds it: a cycle that only the collector takes apart.
        failure.__traceback__ = None
        observer.retrying(failure, delay, retry)
        await clock.sleep(delay)
