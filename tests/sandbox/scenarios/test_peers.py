"""The breakers of others against tiny models of their own, which work everything out from what has happened so far."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    ContextLengthError,
    InputError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaExhaustedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from sandbox.gateway.breaker import Transition
from sandbox.gateway.policies import PRESETS
from sandbox.scenarios.peers import PEERS, policy_named
from sandbox.scenarios.peers.litellm import Cooldown, status_of
from sandbox.scenarios.peers.resilience4j import CountedBreaker

DOWN = ServiceUnavailableError("down", status=503)


class Clock:
    def __init__(self) -> None:
        self.us = 0

    def monotonic(self) -> float:
        return self.us / 1e6


class Counted:
    """resilience4j: the results since the last change of state say all."""

    def __init__(self) -> None:
        self.state, self.since, self.results, self.let_through = "closed", 0, [], 0

    def admit(self, us: int) -> bool:
        if self.state == "open" and us > self.since + 60_000_000:
            self._to("half_open", us)
        if self.state == "half_open":
            self.let_through += 1
            if self.let_through > 10:
                self.let_through = 10
                return False
        return self.state != "open"

    def end(self, error: ProviderError | None, us: int) -> None:
        if self.state == "open":
            return
        self.results.append(error is not None)
        last = self.results[-100:]
        bad = sum(last) * 2 >= len(last)
        if self.state == "closed" and len(last) == 100 and bad:
            self._to("open", us)
        elif self.state == "half_open" and len(last) == 10:
            self._to("open" if bad else "closed", us)

    def cancel(self) -> None:
        self.let_through -= self.state == "half_open"

    def _to(self, state: str, us: int) -> None:
        self.state, self.since, self.results, self.let_through = state, us, [], 0


class Cooling:
    """LiteLLM: every success and failure there ever was, and until when it cools."""

    def __init__(self, providers: int) -> None:
        self.providers = providers
        self.good: list[int] = []
        self.bad: list[int] = []
        self.until = -1

    def admit(self, us: int) -> bool:
        return us >= self.until

    def end(self, error: ProviderError | None, us: int) -> None:
        if error is None:
            self.good.append(us)
            return
        self.bad.append(us)
        status = STATUS[type(error)]
        bad, all_ = self._minute(self.bad, us), self._minute(self.bad, us) + self._minute(self.good, us)
        cools = status in (401, 402, 404) or (status in (408, 429, 500, 503) and bad == all_ >= 1000)
        if self.providers > 1:
            cools |= status == 429 or (status in (408, 500, 503) and all_ >= 5 and bad * 2 > all_)
        pause = 5.0 if error.retry_after is None else error.retry_after
        if cools and us >= self.until and pause:
            self.until = us + round(pause * 1e6)

    def cancel(self) -> None:
        """Nobody counts it."""

    @staticmethod
    def _minute(events: list[int], us: int) -> int:
        """The events of the minute that is under way; each begins with the first event after the last one's end."""
        begin, count = -(10**12), 0
        for at in events:
            if at >= begin + 60_000_000:
                begin, count = at, 0
            count += 1
        return count if us < begin + 60_000_000 else 0


STATUS: dict[type[ProviderError], int | None] = {
    RateLimitError: 429,
    ServiceUnavailableError: 503,
    ProviderTimeoutError: 408,
    AuthenticationError: 401,
    QuotaExhaustedError: 402,
    ModelNotFoundError: 404,
    PermissionDeniedError: 403,
    InvalidRequestError: 400,
    ContextLengthError: 400,
    MalformedResponseError: 500,
    ConnectionFailedError: None,
    StreamInterruptedError: None,
}


@pytest.mark.parametrize("kind", STATUS)
def test_the_status_that_litellm_sees(kind: type[ProviderError]) -> None:
    told = {ServiceUnavailableError: 503, PermissionDeniedError: 403, InvalidRequestError: 400, ContextLengthError: 400}
    sent = kind("x", status=200 if kind is MalformedResponseError else told.get(kind))
    assert status_of(sent) == STATUS[kind]
    if STATUS[kind] is not None:
        assert status_of(kind("x", status=429)) == 429


def steps(outcomes: st.SearchStrategy[Any], counts: list[int], pauses: list[int]) -> st.SearchStrategy[list[Any]]:
    """Calls that end at once, calls that are under way for a while, pauses in microseconds."""
    one = st.one_of(
        st.tuples(st.just("call"), st.sampled_from(counts), outcomes),
        st.tuples(st.just("begin"), st.sampled_from([1, 3, 12])),
        st.tuples(st.just("end"), st.sampled_from([1, 3, 12]), outcomes),
        st.tuples(st.just("pass"), st.sampled_from(pauses)),
    )
    return st.lists(one, min_size=5, max_size=40)


CANCELLED = "cancelled"


def drive(breaker: Any, model: Any, clock: Clock, taken: list[Any]) -> None:
    """The same calls to both; they must let through the same ones, and say so before."""
    under_way = 0

    def begin() -> bool:
        would = breaker.would_admit()
        admitted = breaker.admit() is not None
        assert would == admitted == model.admit(clock.us)
        return admitted

    def end(outcome: ProviderError | str | None) -> None:
        if isinstance(outcome, ProviderError):
            breaker.failed(0, outcome)
            model.end(outcome, clock.us)
        elif outcome == CANCELLED:
            breaker.neutral(0)
            model.cancel()
        else:
            breaker.success(0)
            model.end(None, clock.us)

    for what, amount, *rest in taken:
        if what == "pass":
            clock.us += amount
            continue
        for _ in range(amount):
            if what == "begin":
                under_way += begin()
            elif what == "end":
                if under_way:
                    under_way -= 1
                    end(rest[0])
            elif begin():
                end(rest[0])


@given(steps(st.sampled_from([None, DOWN, DOWN, CANCELLED]), [1, 5, 10, 49, 50, 100], [1, 59_999_999, 60_000_000]))
@settings(max_examples=400, deadline=None)
def test_resilience4j_is_its_model(taken: list[Any]) -> None:
    clock, changes = Clock(), []
    breaker = CountedBreaker(clock, changes.append, lambda: 2)  # type: ignore[arg-type]
    model = Counted()
    drive(breaker, model, clock, taken)
    assert breaker.state == model.state
    _are_consistent(changes)


errors = st.builds(
    lambda kind, wait: kind("x", status=STATUS[kind], retry_after=wait),
    st.sampled_from([k for k in STATUS if k is not StreamInterruptedError]),
    st.sampled_from([None, None, 0.0, 3.0, 90.0]),
)


@given(
    steps(
        st.one_of(st.just(None), st.just(DOWN), errors, st.just(CANCELLED)),
        [1, 2, 3, 999, 1000],
        [1, 3_000_000, 4_999_999, 5_000_000, 30_000_000, 59_999_999, 60_000_000],
    ),
    st.sampled_from([1, 2]),
)
@settings(max_examples=400, deadline=None)
def test_litellm_is_its_model(taken: list[Any], providers: int) -> None:
    clock, changes = Clock(), []
    breaker = Cooldown(clock, changes.append, lambda: providers)  # type: ignore[arg-type]
    model = Cooling(providers)
    drive(breaker, model, clock, taken)
    assert breaker.would_admit() == model.admit(clock.us)
    _are_consistent(changes)


def _are_consistent(changes: list[Transition]) -> None:
    """Each change begins where the one before it ended, and only an open breaker says until when."""
    for before, after in pairwise(changes):
        assert before.to_state == after.from_state
    assert all((change.until is not None) == (change.to_state == "open") for change in changes)


# --- worked examples of single rules --------------------------------------------------------------------------------


def counted() -> tuple[CountedBreaker, Clock, list[Transition]]:
    clock, changes = Clock(), []
    return CountedBreaker(clock, changes.append, lambda: 2), clock, changes  # type: ignore[arg-type]


def test_fifty_of_a_hundred_open_and_ninety_nine_do_not() -> None:
    breaker, _, _ = counted()
    for _ in range(99):
        breaker.failed(0, DOWN)
    assert breaker.state == "closed"
    breaker.success(0)  # 99 of 100: also a success can be the one that completes the window
    assert breaker.state == "open"


def test_the_window_is_of_calls_and_not_of_time() -> None:
    """50 failures and, a day later, 50 successes: with the last of them half of a hundred calls have failed."""
    breaker, clock, _ = counted()
    for _ in range(50):
        breaker.failed(0, DOWN)
    clock.us += 86_400_000_000
    for _ in range(49):
        breaker.success(0)
    assert breaker.state == "closed"
    breaker.success(0)
    assert breaker.state == "open"


def test_ten_probes_are_judged_together() -> None:
    breaker, clock, changes = counted()
    for _ in range(100):
        breaker.failed(0, DOWN)
    clock.us = 60_000_000
    assert breaker.retry_after() == 0.0
    assert breaker.admit() is None  # strictly after
    clock.us += 1
    assert [breaker.admit() for _ in range(11)] == [0] * 10 + [None]
    assert breaker.retry_after() == 0.0
    for _ in range(6):
        breaker.success(0)
    for _ in range(3):
        breaker.failed(0, DOWN)
    assert breaker.state == "half_open"
    breaker.failed(0, DOWN)  # 4 of 10
    assert [(c.to_state, c.reason) for c in changes] == [
        ("open", "100 of 100 calls failed"),
        ("half_open", "wait passed"),
        ("closed", "4 of 10 calls failed"),
    ]
    assert breaker.snapshot().failures == 0


def test_five_of_ten_probes_open_again() -> None:
    breaker, clock, changes = counted()
    for _ in range(100):
        breaker.failed(0, DOWN)
    clock.us = 60_000_001
    assert breaker.admit() == 0
    for number in range(10):
        breaker.success(0) if number % 2 else breaker.failed(0, DOWN)
    assert changes[-1] == Transition("half_open", "open", "5 of 10 calls failed", 120.000001)
    assert breaker.snapshot().retry_after == 60.0


def cooldown(providers: int = 2) -> tuple[Cooldown, Clock, list[Transition]]:
    clock, changes = Clock(), []
    return Cooldown(clock, changes.append, lambda: providers), clock, changes  # type: ignore[arg-type]


def test_one_429_cools_for_five_seconds_or_as_long_as_it_says() -> None:
    breaker, clock, changes = cooldown()
    breaker.failed(0, RateLimitError("slow down", status=429))
    assert (breaker.state, breaker.retry_after()) == ("open", 5.0)
    breaker.failed(0, RateLimitError("slow down", status=429, retry_after=600.0))
    assert breaker.retry_after() == 5.0  # the first one's end stays
    clock.us = 5_000_000
    assert breaker.admit() == 0
    breaker.failed(0, RateLimitError("slow down", status=429, retry_after=600.0))
    assert breaker.snapshot().retry_after == 600.0
    assert [c.to_state for c in changes] == ["open", "closed", "open"]


def test_no_429_cools_a_provider_that_is_alone() -> None:
    breaker, _, _ = cooldown(providers=1)
    breaker.failed(0, RateLimitError("slow down", status=429))
    assert breaker.admit() == 0
    breaker.failed(0, AuthenticationError("no", status=401))
    assert breaker.admit() is None


def test_three_of_five_cool_and_two_of_four_do_not() -> None:
    breaker, _, changes = cooldown()
    for _ in range(2):
        breaker.success(0)
        breaker.failed(0, DOWN)
    assert breaker.state == "closed"
    breaker.failed(0, DOWN)
    assert changes[-1].reason == "3 of 5 calls failed within a minute"


def test_the_two_counters_are_forgotten_apart() -> None:
    """Four successes at 0 s are gone at 60 s; four failures at 59 s live until 119 s: the fifth makes it 5 of 5."""
    breaker, clock, changes = cooldown()
    for _ in range(4):
        breaker.success(0)
    clock.us = 59_000_000
    for _ in range(4):
        breaker.failed(0, DOWN)
    assert breaker.state == "closed"  # 4 of 8
    clock.us = 60_000_000
    breaker.failed(0, DOWN)
    assert changes[-1].reason == "5 of 5 calls failed within a minute"


def test_a_dead_host_never_cools() -> None:
    breaker, _, _ = cooldown()
    for _ in range(2_000):
        breaker.failed(0, ConnectionFailedError("refused"))
    assert breaker.state == "closed"
    breaker.failed(0, DOWN)  # but what is lost counts, once something else fails
    assert breaker.state == "open"


@pytest.mark.parametrize("peer", PEERS)
def test_by_hand(peer: str) -> None:
    made = PEERS[peer].new_breaker("any", Clock(), lambda change: None, lambda: 2)  # type: ignore[arg-type]
    made.force_open()
    assert (made.admit(), made.would_admit(), made.retry_after()) == (None, False, None)
    made.force_close()
    for _ in range(200):
        made.failed(0, DOWN)
    assert (made.admit(), made.state) == (0, "forced_closed")
    made.disable()
    assert (made.admit(), made.state) == (0, "disabled")
    made.reset()
    assert (made.state, made.snapshot().failures) == ("closed", 0)


def test_peers_are_no_presets_of_gateways() -> None:
    assert not set(PEERS) & set(PRESETS)
    assert policy_named("happyos") is PRESETS["happyos"]
    assert policy_named("litellm").name == "litellm"
    with pytest.raises(InputError, match="unknown preset 'litelm': did you mean 'litellm'"):
        policy_named("litelm")
