"""Client-side limits against a bucket that is recomputed from every take since its beginning, in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import RateLimitError
from providers.types import GenerationRequest
from sandbox.core.events import CandidateSkipped
from sandbox.gateway.limits import RateLimits, TokenBucket
from sandbox.gateway.router import foreseen_tokens
from tests.sandbox.gateway.support import Bench, virtual

MINUTE = 60_000_000


class SetClock:
    def __init__(self, now_us: int = 0) -> None:
        self.now_us = now_us

    def monotonic(self) -> float:
        return self.now_us / 1e6


class NaiveBucket:
    """Full at its beginning, `per_minute` more in each minute up to full again; times are microseconds."""

    def __init__(self, per_minute: int, began: int) -> None:
        self.per_minute = per_minute
        self.history: list[tuple[int, int]] = [(began, 0)]

    def level(self, now: int) -> Fraction:
        level, before = Fraction(self.per_minute), self.history[0][0]
        for at, amount in [*self.history, (now, 0)]:
            level = min(Fraction(self.per_minute), level + Fraction((at - before) * self.per_minute, MINUTE)) - amount
            before = at
        return level

    def wait(self, amount: int, now: int) -> Fraction:
        """Microseconds."""
        missing = min(amount, self.per_minute) - self.level(now)
        return max(Fraction(0), missing * MINUTE / self.per_minute)


STEPS = st.lists(
    st.tuples(st.sampled_from([0, 1, 20_000, 999_999, 7_500_000, MINUTE, 10 * MINUTE]), st.integers(-300, 1500)),
    max_size=25,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([1, 3, 7, 60, 1000, 90_000]), STEPS, st.integers(0, 10**12))
def test_the_bucket_waits_as_long_as_the_naive_one(per_minute: int, steps: list[tuple[int, int]], began: int) -> None:
    """A negative take is a correction: less was used than foreseen."""
    clock = SetClock(began)
    bucket, naive = TokenBucket(per_minute, clock), NaiveBucket(per_minute, began)  # type: ignore[arg-type]
    for gap, amount in steps:
        clock.now_us += gap
        for asked in (1, abs(amount), 10 * per_minute):
            expected = naive.wait(asked, clock.now_us)
            # Less than a microsecond of a billion is the rounding of its floats.
            assert bucket.wait(asked) * 1e6 == pytest.approx(float(expected), rel=1e-9, abs=2)
        bucket.take(amount)
        naive.history.append((clock.now_us, amount))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 100), st.lists(st.integers(1, 100), min_size=1, max_size=40), st.integers(0, 10**9))
def test_who_waits_as_told_is_admitted_and_never_too_much(per_minute: int, amounts: list[int], began: int) -> None:
    """After the wait nothing is missing. In any stretch no more goes than a full bucket and what is refilled."""
    clock, taken = SetClock(began), list[tuple[int, int]]()
    bucket = TokenBucket(per_minute, clock)  # type: ignore[arg-type]
    for amount in (min(a, per_minute) for a in amounts):
        clock.now_us += ceil(bucket.wait(amount) * 1e6)
        assert bucket.wait(amount) == 0.0
        bucket.take(amount)
        taken.append((clock.now_us, amount))
    for first, (start, _) in enumerate(taken):
        for last in range(first, len(taken)):
            went = sum(amount for _, amount in taken[first : last + 1])
            allowed = per_minute + Fraction((taken[last][0] - start) * per_minute, MINUTE)
            assert went <= allowed + Fraction(1, 1000)


def test_either_limit_holds_alone_and_both_together() -> None:
    """6 a minute is one in 10 s; 600 tokens a minute are 10 in a second. 590 taken by the first leave 10: a second
    question of 100 tokens waits 9 s, a seventh of 1 token waits for a request instead."""
    clock = SetClock()
    neither, requests = RateLimits(None, None, clock), RateLimits(6, None, clock)  # type: ignore[arg-type]
    both = RateLimits(6, 600, clock)  # type: ignore[arg-type]
    for limits in (neither, requests, both):
        limits.take(590)
    assert (neither.wait(10**9), requests.wait(10**9)) == (0.0, 0.0)
    assert both.wait(10) == 0.0
    assert both.wait(100) == pytest.approx(9.0)
    for _ in range(5):
        requests.take(1)
        both.take(1)
    assert requests.wait(1) == pytest.approx(10.0)
    assert both.wait(1) == pytest.approx(10.0)


def test_what_was_really_used_corrects_what_was_foreseen() -> None:
    """600 tokens a minute: foreseen 100, used 400. 200 are left, so 300 more wait for 100, which are 10 s."""
    clock = SetClock()
    limits = RateLimits(None, 600, clock)  # type: ignore[arg-type]
    limits.take(100)
    limits.settle(100, 400)
    assert limits.wait(300) == pytest.approx(10.0)
    limits.settle(400, 0)
    assert limits.wait(600) == 0.0


@virtual
async def test_an_exhausted_provider_is_skipped_as_throttled_and_the_next_answers() -> None:
    """2 a minute: the third question goes to the next, and says that the first has one again in 30 s."""
    bench = Bench()
    limited = bench.add("openai", requests_per_minute=2)
    bench.add("anthropic")
    seen = [(await bench.gateway.generate(f"question {n}")).provider for n in range(3)]
    assert seen == ["openai", "openai", "anthropic"]
    [skipped] = [e for e in bench.events if isinstance(e, CandidateSkipped)]
    assert (skipped.provider, skipped.reason) == ("openai", "throttled")
    assert skipped.retry_after_s == pytest.approx(30.0)
    await bench.clock.sleep(30.0)
    assert (await bench.gateway.generate("later")).provider == "openai"
    assert len(limited.times) == 3


@virtual
async def test_when_all_are_exhausted_the_soonest_is_named() -> None:
    """1 a minute and 2 a minute, both used up at 0 s: at 10 s they have one again in 50 s and in 20 s."""
    bench = Bench()
    bench.add("openai", requests_per_minute=1)
    bench.add("anthropic", requests_per_minute=2)
    for n in range(3):
        await bench.gateway.generate(f"question {n}")
    await bench.clock.sleep(10.0)
    with pytest.raises(RateLimitError) as caught:
        await bench.gateway.generate("one more")
    assert caught.value.retry_after == pytest.approx(20.0)
    assert [row.error_type for row in caught.value.attempts] == ["throttled", "throttled"]


@virtual
async def test_a_long_question_is_foreseen() -> None:
    """The limit is the size of one question: it goes once, and again after a minute."""
    request = GenerationRequest(prompt="a question " * 50)
    bench = Bench()
    bench.add("openai", tokens_per_minute=foreseen_tokens(request))
    bench.add("anthropic")
    assert (await bench.gateway.generate(request)).provider == "openai"
    assert (await bench.gateway.generate(request)).provider == "anthropic"


@virtual
async def test_tokens_of_the_answer_count_too() -> None:
    """200 tokens a minute. Each answer was 100 in and 50 out, whatever was foreseen: 50 are left after the first, and
    after the second, for which a small question has room, -100. The third has to wait for more than 100: 30 s."""
    bench = Bench()
    bench.add("openai", tokens_per_minute=200)
    bench.add("anthropic")
    seen = [(await bench.gateway.generate(f"q{n}")).provider for n in range(3)]
    assert seen == ["openai", "openai", "anthropic"]
    [skipped] = [e for e in bench.events if isinstance(e, CandidateSkipped)]
    assert skipped.retry_after_s == pytest.approx((100 + foreseen_tokens(GenerationRequest(prompt="q2"))) * 0.3)
