"""The story is a pure fold: told step by step, from a trace, from any beginning, it never stumbles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InvalidRequestError,
    ProviderError,
    RateLimitError,
    ServiceUnavailableError,
)
from providers.types import GenerationRequest
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    BreakerOpened,
    CacheHit,
    ChunkReceived,
    Event,
    RequestCancelled,
    RequestCompleted,
    RequestReceived,
    StreamRestartedElsewhere,
)
from sandbox.core.trace import decode, encode
from sandbox.core.virtual import run_virtual
from sandbox.gateway.call import CallOptions
from sandbox.gateway.policies import StreamLimits
from sandbox.tui.story import Attempt, BreakerMove, Disabled, RequestStory, Restart, Skip, Wait, fold
from tests.sandbox.gateway.support import Bench

DOWN = ServiceUnavailableError("overloaded", status=503)


def told(scripts: dict[str, list[Any]], *, requests: int = 1, **policy: Any) -> list[list[Event]]:
    """The events of streamed requests over scripted providers, one list for each request."""

    async def main() -> list[list[Event]]:
        bench = Bench(**policy)
        for id, steps in scripts.items():
            bench.add(id, *steps)
        stories = []
        for number in range(requests):
            bench.events.clear()
            try:
                async for _ in bench.gateway.stream(
                    GenerationRequest(prompt="hello"), CallOptions(request_id=f"r{number}")
                ):
                    pass
            except ProviderError:
                pass
            stories.append(list(bench.events))
        return stories

    return run_virtual(main())


def test_a_failover_with_a_retry() -> None:
    (events,) = told({"bedrock": [DOWN], "openai": ["hello there"]})
    story = fold(events)
    assert story.status == "done"
    assert story.text == "hello there"
    assert (story.provider, story.failovers) == ("openai", 1)
    first, pause, second, third = story.steps
    assert isinstance(first, Attempt)
    assert (first.number, first.outcome, first.status, first.error_type) == (
        1,
        "failed",
        503,
        "ServiceUnavailableError",
    )
    assert isinstance(pause, Wait)
    assert pause.delay_s == 0.05
    assert isinstance(second, Attempt)
    assert (second.number, second.retry) == (2, 1)
    assert isinstance(third, Attempt)
    assert (third.number, third.provider, third.outcome) == (3, "openai", "ok")
    assert story.priced
    assert story.cost_usd is not None
    assert [one.provider for one in story.plan] == ["bedrock", "openai"]
    assert story.span_us(0) == round(story.latency_ms * 1000)  # type: ignore[operator]


def test_the_breaker_belongs_to_the_request_that_was_under_way() -> None:
    stories = [fold(events) for events in told({"one": [DOWN], "two": ["ok"]}, requests=4)]
    moves = [step for step in stories[2].steps if isinstance(step, BreakerMove)]
    assert [(move.provider, move.state) for move in moves] == [("one", "open")]
    assert moves[0].until_us is not None
    skip = stories[3].steps[0]
    assert isinstance(skip, Skip)
    assert (skip.reason, skip.provider) == ("breaker_open", "one")
    assert skip.retry_after_s == pytest.approx(30, abs=0.2)


def test_a_refused_key_disables_its_provider() -> None:
    (events,) = told({"one": [AuthenticationError("no such key", status=401)], "two": ["ok"]})
    gone = [step for step in fold(events).steps if isinstance(step, Disabled)]
    assert [(one.provider, one.model, one.reason) for one in gone] == [("one", None, "no such key")]


def test_discarded_text_is_gone() -> None:
    (events,) = told({"one": [("part", "<cut>")], "two": ["all of it"]}, streaming=StreamLimits(policy="restart"))
    story = fold(events)
    restarts = [step for step in story.steps if isinstance(step, Restart)]
    assert [(one.from_provider, one.to_provider) for one in restarts] == [("one", "two")]
    assert (story.text, story.replaced) == ("all of it", 1)


def test_kept_text_goes_on() -> None:
    base = (1_000_000, "r")
    story = fold(
        [
            RequestReceived(*base, "t", "a", None, "mock", True, 60.0),
            ChunkReceived(1_100_000, "r", "one", "first "),
            StreamRestartedElsewhere(1_200_000, "r", "one", "two", "StreamInterruptedError", 6),
            ChunkReceived(1_300_000, "r", "two", "second"),
        ]
    )
    assert story.text == "first second"
    assert story.ttft_ms == 100.0


def test_cancelled_attempts_say_so() -> None:
    story = fold(
        [
            RequestReceived(1, "r", "t", "a", "gpt-4", "mock", True, 60.0),
            AttemptStarted(2, "r", "one", "gpt-4", 0, 0, "closed"),
            ChunkReceived(3, "r", "one", "some"),
            RequestCancelled(1_000_003, "r", 1000.0, 4),
        ]
    )
    assert (story.status, story.attempts[0].outcome, story.text) == ("cancelled", "cancelled", "some")
    assert story.running is None


def test_a_cached_answer_has_no_attempts_and_shows_what_it_saved() -> None:
    story = fold(
        [
            RequestReceived(1, "r", "t", "a", None, "mock", True, 60.0),
            CacheHit(2, "r", "one", "gpt-4", Decimal("0.01"), False),
            ChunkReceived(3, "r", "one", "kept"),
            RequestCompleted(4, "r", "one", "gpt-4", "stop", 3, 5, False, Decimal(0), Decimal(0), 0.5, 0.5, 0, True),
        ]
    )
    assert story.cached
    assert story.saved_usd == Decimal("0.01")
    assert story.attempts == []
    assert story.tokens_per_second is None


def test_other_requests_and_later_breakers_are_left_alone() -> None:
    story = RequestStory("mine")
    assert not story.apply(RequestReceived(1, "other", "t", "a", None, "mock", True, 60.0))
    assert not story.apply(BreakerOpened(1, "", "one", "closed", "5 failures", 9))
    assert story.apply(RequestReceived(2, "mine", "t", "a", None, "mock", True, 60.0))
    assert story.apply(RequestCancelled(3, "mine", 1.0, 0))
    assert not story.apply(BreakerOpened(4, "", "one", "closed", "5 failures", 9))


def test_a_trace_folds_to_the_same_story() -> None:
    for events in told({"one": [DOWN, RateLimitError("slow", status=429)], "two": ["fine"]}, requests=3):
        assert fold(decode(encode(event)) for event in events) == fold(events)


def test_a_story_that_begins_in_the_middle() -> None:
    story = fold([AttemptFailed(5_000_000, "r", "one", "gpt-4", 2, "ConnectionFailedError", "reset", None, 100.0)])
    (attempt,) = story.attempts
    assert (attempt.number, attempt.outcome, attempt.started_us) == (3, "failed", 4_900_000)


STEPS = st.sampled_from(
    [
        "an answer of some words",
        ("half", "<cut>"),
        DOWN,
        RateLimitError("slow down", status=429, retry_after=1.0),
        ConnectionFailedError("reset"),
        AuthenticationError("bad key", status=401),
        InvalidRequestError("no", status=400),
        (20.0, "late"),
    ]
)


@given(
    scripts=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(STEPS, min_size=1, max_size=4), min_size=1),
    policy=st.sampled_from(["fail", "restart", "continue", "buffer"]),
    data=st.data(),
)
def test_any_beginning_of_any_request_is_a_story(scripts: dict[str, list[Any]], policy: Any, data: Any) -> None:
    (events,) = told(scripts, streaming=StreamLimits(policy=policy))
    end = data.draw(st.integers(0, len(events)))
    story = fold(events[:end])
    assert story.status in ("waiting", "writing", "done", "failed")
    assert [attempt.number for attempt in story.attempts] == list(range(1, len(story.attempts) + 1))
    assert len([one for one in story.attempts if one.outcome == "running"]) <= 1
    whole = fold(events)
    assert whole.ended
    assert whole.running is None
    if end == len(events):
        assert story == whole


@given(data=st.data())
def test_events_in_any_order_raise_nothing(data: Any) -> None:
    (events,) = told({"a": [DOWN, ("half", "<cut>")], "b": ["fine"]}, streaming=StreamLimits(policy="restart"))
    story = fold(data.draw(st.permutations(events)))
    assert story.span_us(0) >= 0
    assert story.text is not None
