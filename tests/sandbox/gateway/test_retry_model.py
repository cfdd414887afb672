"""The retry loop against a second one, written from its rules alone, in integer microseconds and without a clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis import example, given, settings
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
from tests.sandbox.gateway.support import virtual

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
            kind = "timeout" if world.attempt_timeout <= left else "deadline"
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


class Fraction01:
    """Draws that always give the same fraction of the range."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction

    def random(self) -> float:
        return self._fraction

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self._fraction


class Watch:
    """Notes what the loop tells its observer and answers from the world."""

    def __init__(self, world: World, clock: VirtualClock, began: int) -> None:
        self._world = world
        self._clock = clock
        self._began = began
        self.told = Told()
        self._started = 0

    def now(self) -> int:
        return self._clock.time_us() - self._began

    def before(self, retry: int) -> None:
        assert retry == len(self.told.waits) == len(self.told.attempts)
        if not self.admits():
            raise CircuitBreakerOpenError("refused")
        self._started = self.now()

    def _ended(self, how: str) -> None:
        self.told.attempts.append((self._started, self.now(), how))

    def succeeded(self, retry: int) -> None:
        self._ended("ok")

    def failed(self, error: ProviderError, retry: int, *, by_deadline: bool) -> None:
        kind = next(name for name, cls in ERRORS.items() if type(error) is cls)
        self._ended("deadline" if by_deadline else kind)

    def ended(self, error: BaseException, retry: int) -> None:
        self._ended("cancelled")

    def others(self) -> int:
        return self._world.others(self.now())

    def admits(self) -> bool:
        return self.now() < self._world.refuses_from

    def retrying(self, error: ProviderError, delay: float, retry: int) -> None:
        self.told.waits.append(round(delay * SECOND))


async def real_loop(policy: RetryPolicy, world: World, jitter: float, clock: VirtualClock) -> Told:
    watch = Watch(world, clock, clock.time_us())
    tried = 0

    async def call() -> str:
        nonlocal tried
        takes, kind, retry_after = world.step(tried)
        tried += 1
        await clock.sleep(takes / SECOND)
        if kind == "ok":
            return "answer"
        raise ERRORS[kind]("failed", retry_after=None if retry_after is None else retry_after / SECOND)

    told = watch.told
    try:
        await attempt_with_retries(
            call,
            policy=policy,
            clock=clock,
            draws=Fraction01(jitter),
            deadline=Deadline(clock, world.deadline / SECOND),
            attempt_timeout=world.attempt_timeout / SECOND,
            observer=watch,
        )
    except CircuitBreakerOpenError:
        told.ended_in = "refused"
    except ProviderError as error:
        told.ended_in = told.attempts[-1][2]
        raised = next(name for name, cls in ERRORS.items() if type(error) is cls)
        if raised != told.ended_in.replace("deadline", "timeout"):
            told.ended_in = f"{raised} raised after {told.ended_in}"
    else:
        told.ended_in = "ok"
    told.ended_at = watch.now()
    return told


POLICIES = st.builds(
    RetryPolicy,
    when=st.sampled_from(["always", "last_candidate"]),
    retries=st.integers(0, 5),
    base_delay=st.sampled_from([0.1, 1.0, 1.5]),
    factor=st.sampled_from([1.0, 2.0, 3.0]),
    max_delay=st.sampled_from([0.5, 4.0, 8.0]),
    jitter=st.sampled_from(["none", "none", "full"]),
    max_retry_after=st.sampled_from([0.0, 2.0, 5.0]),
)
MOMENTS = st.sampled_from([0, 1, 50_000, 100_000, 700_001, 1_000_000, 2_300_000, 5_000_000, 11_100_000, 10**9])
STEPS = st.tuples(
    st.sampled_from([0, 0, 1, 100_000, 333_333, 1_000_000, 2_999_999, 3_000_001, 40_000_000]),
    st.sampled_from([*RETRIED, *RETRIED, *RETRIED, "authentication", "invalid", "ok"]),
    st.sampled_from([None, None, 0, 1, 700_000, 2_000_000, 2_000_001, 5_000_000, 60_000_000]),
)
WORLDS = st.builds(
    World,
    script=st.lists(STEPS, min_size=1, max_size=6).map(tuple),
    deadline=st.sampled_from([1_000_000, 6_100_000, 8_000_000, 16_300_000, 60_000_000, 600_000_000]),
    attempt_timeout=st.sampled_from([3_000_000, 30_000_000]),
    others_until=st.lists(MOMENTS, max_size=3).map(tuple),
    refuses_from=st.sampled_from([1, 1_050_000, 10**9, 10**9, 10**9]),
)


TWO_SILENT = World(((10**9, "ok", None),), 30_000_000, 30_000_000, (), 10**12)
"""The second of two silent providers at the usual limits: its own timeout and the deadline fall together."""
LAST_MOMENT = World(((0, "unavailable", None),), 6_000_000, 3_000_000, (10**9,), 10**12)
"""A wait of 1 s leaves the other candidate exactly its 5 s."""


@settings(max_examples=1000, deadline=None, derandomize=True)
@example(RetryPolicy(), TWO_SILENT, 0.0, 100_000)
@example(RetryPolicy(), TWO_SILENT, 0.0, 7_123_457)
@example(RetryPolicy(), LAST_MOMENT, 0.0, 100_000)
@example(RetryPolicy(), LAST_MOMENT, 0.0, 7_123_457)
@given(POLICIES, WORLDS, st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0, 100_000, 7_123_457]))
def test_the_loop_does_what_the_model_does(policy: RetryPolicy, world: World, jitter: float, offset: int) -> None:
    """`offset`: what the clock says when the loop begins must not matter."""
    expected = naive_loop(policy, world, Fraction(jitter))

    @virtual
    async def compare() -> None:
        clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
        await clock.sleep(offset / SECOND)
        told = await real_loop(policy, world, jitter, clock)
        assert told == expected
        assert len(told.attempts) <= policy.retries + 1
        assert all(end <= world.deadline for _, end, _ in told.attempts)
        assert told.ended_at <= world.deadline

    compare()


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    POLICIES,
    st.sampled_from(sorted(ERRORS)),
    st.sampled_from([None, 0, 1, 49_999, 50_001, 1_999_999, 2_000_000, 2_000_001, 5_000_000, 5_000_001]),
    st.integers(0, 6),
    st.integers(0, 4),
    st.integers(0, 30_000_000),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_each_delay_is_the_models(
    policy: RetryPolicy, kind: str, retry_after: int | None, retry: int, others: int, remaining: int, jitter: float
) -> None:
    error = ERRORS[kind]("failed", retry_after=None if retry_after is None else retry_after / SECOND)
    delay = policy.delay(error, retry, others=others, remaining=remaining / SECOND, draws=Fraction01(jitter))
    expected = naive_delay(policy, kind, retry_after, retry, others, remaining, Fraction(jitter))
    assert (None if delay is None else round(delay * SECOND)) == expected


@pytest.mark.parametrize("seed", [1, 2, "scenario"])
def test_full_jitter_is_seeded_and_stays_within_the_backoff(seed: int | str) -> None:
    policy = RetryPolicy(retries=50, jitter="full")
    first, second = seeded(seed), seeded(seed)
    waits = [policy.backoff(retry, first) for retry in range(50)]
    assert waits == [policy.backoff(retry, second) for retry in range(50)]
    assert all(0 <= wait <= min(8, 2**retry) for retry, wait in enumerate(waits))
    assert len(set(waits)) == 50
    assert max(waits) > 6
    assert min(waits[3:]) < 2


def test_backoffs_double_to_their_cap_however_often() -> None:
    policy = RetryPolicy(retries=10_000)
    assert [policy.backoff(retry, seeded(1)) for retry in (0, 1, 2, 3, 4, 9_999)] == [1, 2, 4, 8, 8, 8]


@virtual
async def test_going_away_is_told_once_during_an_attempt_and_not_during_a_wait() -> None:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    failing = World(((1_000_000, "unavailable", None),), 60_000_000, 30_000_000, (), 10**12)
    for leave_at, attempts in ((0.5, ["cancelled"]), (1.5, ["unavailable"]), (2.5, ["unavailable", "cancelled"])):
        watch = Watch(failing, clock, clock.time_us())

        async def call() -> str:
            await clock.sleep(1.0)
            raise ServiceUnavailableError("down")

        loop = attempt_with_retries(
            call,
            policy=RetryPolicy(),
            clock=clock,
            draws=seeded(1),
            deadline=Deadline(clock, 60.0),
            attempt_timeout=30.0,
            observer=watch,
        )
        task = asyncio.ensure_future(loop)
        await clock.sleep(leave_at)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [how for _, _, how in watch.told.attempts] == attempts


@virtual
async def test_a_providers_own_time_limit_is_its_failure_and_not_the_deadlines() -> None:
    clock = VirtualClock(asyncio.get_running_loop())  # type: ignore[arg-type]
    watch = Watch(World((), 60_000_000, 30_000_000, (), 10**12), clock, clock.time_us())

    async def call() -> str:
        raise TimeoutError

    with pytest.raises(ProviderTimeoutError, match="the provider's own time limit"):
        await attempt_with_retries(
            call,
            policy=RetryPolicy(retries=1),
            clock=clock,
            draws=seeded(1),
            deadline=Deadline(clock, 60.0),
            attempt_timeout=30.0,
            observer=watch,
        )
    assert watch.told.attempts == [(0, 0, "timeout"), (1_000_000, 1_000_000, "timeout")]
