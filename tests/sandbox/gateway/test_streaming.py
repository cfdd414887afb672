"""Streams: silent failover before the first text, the four policies after it, limits, cancellation, accounting."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from decimal import Decimal

import pytest

from providers.attempts import RetryPolicy
from providers.dialects import dialect
from providers.errors import (
    AllProvidersFailedError,
    InvalidRequestError,
    ProviderTimeoutError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from providers.transports.base import WireRequest, WireResponse
from providers.transports.canned import PiecewiseResponse
from providers.types import (
    GenerationRequest,
    StreamEvent,
    StreamFinished,
    StreamInterrupted,
    StreamRestarted,
    StreamStarted,
    TextDelta,
    UsageReported,
)
from providers.vendors.openai import OpenAIProvider
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.call import CallOptions
from sandbox.gateway.policies import StreamLimits
from tests import fake_vendor
from tests.sandbox.gateway.support import Bench, collect, text_of, virtual

DOWN = ServiceUnavailableError("down", status=503)


def policy(name: str) -> CallOptions:
    return CallOptions(stream_policy=name)  # type: ignore[arg-type]


@virtual
async def test_a_whole_stream() -> None:
    bench = Bench()
    bench.add("openai", (0.2, "one two", 0.1, "three"), model="gpt-4")
    events = await collect(bench.gateway.stream("hello"))
    assert isinstance(events[0], StreamStarted)
    assert text_of(events) == "one two three"
    last = events[-1]
    assert isinstance(last, StreamFinished)
    assert last.response is not None
    assert last.response.ttft_ms == pytest.approx(200)
    assert last.response.latency_ms == pytest.approx(300)
    assert last.response.attempts[0].ttft_ms == pytest.approx(200)
    assert bench.names().count("ChunkReceived") == 3
    assert bench.records[0].ttft_ms == pytest.approx(200)


@virtual
async def test_before_the_first_text_a_failure_fails_over_unseen() -> None:
    bench = Bench()
    bench.add("openai", (0.1, DOWN))
    bench.add("anthropic", "fine")
    events = await collect(bench.gateway.stream("hello"))
    assert text_of(events) == "fine"
    assert [type(e) for e in events] == [StreamStarted, TextDelta, StreamFinished]
    assert events[0].provider == "anthropic"  # type: ignore[union-attr]


@virtual
async def test_no_first_text_within_its_limit_leaves_the_provider() -> None:
    bench = Bench()
    slow = bench.add("openai", (11, "late"))
    bench.add("anthropic", "fine")
    events = await collect(bench.gateway.stream("hello"))
    assert text_of(events) == "fine"
    assert bench.clock.monotonic() == pytest.approx(10.0)
    assert slow.closed == 1


@virtual
async def test_a_cut_with_policy_fail_raises_with_the_partial_text_and_its_cost() -> None:
    bench = Bench()
    sick = bench.add("openai", ("one two", "<cut>"), model="gpt-4")
    bench.add("anthropic", "unused")
    events = []
    with pytest.raises(StreamInterruptedError) as caught:
        async for event in bench.gateway.stream("hello"):
            events.append(event)
    assert caught.value.partial_text == "one two"
    assert isinstance(events[-1], StreamInterrupted)
    [attempt] = caught.value.attempts
    assert attempt.outcome == "failed"
    assert attempt.cost_usd is not None
    assert attempt.cost_usd > 0
    [record] = bench.records
    assert record.waste_cost == attempt.cost_usd
    assert record.estimated_cost == Decimal(0)
    assert record.completion_tokens > 0
    assert bench.gateway.breaker("openai").snapshot().failures == 1
    assert sick.closed == 1
    assert bench.names()[-1] == "RequestFailed"


@virtual
async def test_a_cut_with_policy_restart_starts_anew_elsewhere() -> None:
    bench = Bench()
    bench.add("openai", ("one two", "<cut>"), model="gpt-4")
    bench.add("anthropic", "whole answer", model="claude-3-sonnet-20240229")
    events = await collect(bench.gateway.stream("hello", policy("restart")))
    kinds = [type(e).__name__ for e in events]
    assert kinds == [
        "StreamStarted",
        "TextDelta",
        "TextDelta",
        "StreamRestarted",
        "TextDelta",
        "TextDelta",
        "StreamFinished",
    ]
    restarted = next(e for e in events if isinstance(e, StreamRestarted))
    assert restarted.provider == "anthropic"
    response = events[-1].response  # type: ignore[union-attr]
    assert response is not None
    assert response.text == "whole answer"
    assert response.failovers == 1
    assert response.waste_usd > 0
    assert [a.outcome for a in response.attempts] == ["failed", "ok"]


@virtual
async def test_restart_with_nobody_left_raises_the_interruption_with_what_was_shown() -> None:
    bench = Bench()
    bench.add("openai", ("one two", "<cut>"))
    bench.add("anthropic", InvalidRequestError("no", status=400))
    with pytest.raises(StreamInterruptedError) as caught:
        await collect(bench.gateway.stream("hello", policy("restart")))
    assert caught.value.partial_text == "one two"
    assert len(caught.value.attempts) == 2


@virtual
async def test_continue_goes_on_from_the_partial_text_where_a_prefill_is_accepted() -> None:
    bench = Bench()
    bench.add("openai", ("one two ", "<cut>"))
    second = bench.add("anthropic", "three", prefills=True)
    events = await collect(bench.gateway.stream("hello", policy("continue")))
    assert not any(isinstance(e, StreamRestarted) for e in events)
    assert second.requests[0].chat()[-1] == {"role": "assistant", "content": "one two"}
    response = events[-1].response  # type: ignore[union-attr]
    assert response is not None
    assert response.text == text_of(events) == "one two three"


@virtual
async def test_continue_restarts_where_no_prefill_is_accepted_or_one_is_refused() -> None:
    bench = Bench()
    bench.add("openai", ("one two", "<cut>"))
    bench.add("anthropic", "anew")
    events = await collect(bench.gateway.stream("hello", policy("continue")))
    assert any(isinstance(e, StreamRestarted) for e in events)
    assert events[-1].response.text == "anew"  # type: ignore[union-attr]
    bench = Bench()
    bench.add("openai", ("one two", "<cut>"))
    second = bench.add("anthropic", InvalidRequestError("prefill is not supported", status=400), "anew", prefills=True)
    events = await collect(bench.gateway.stream("hello", policy("continue")))
    assert any(isinstance(e, StreamRestarted) for e in events)
    assert events[-1].response.text == "anew"  # type: ignore[union-attr]
    assert second.requests[1].chat()[-1]["role"] == "user"


@virtual
async def test_buffer_hides_every_failure() -> None:
    bench = Bench(retry=RetryPolicy("last_candidate", retries=0))
    bench.add("openai", ("one two", 1.0, "<cut>"), model="gpt-4")
    bench.add("anthropic", (0.5, "whole", 0.5, "answer"))
    events = await collect(bench.gateway.stream("hello", policy("buffer")))
    assert text_of(events) == "whole answer"
    response = events[-1].response  # type: ignore[union-attr]
    assert response is not None
    assert response.waste_usd > 0
    assert bench.clock.monotonic() == pytest.approx(2.0)


@virtual
async def test_buffer_gives_up_at_the_deadline_to_first_text() -> None:
    bench = Bench(deadline=15.0, retry=RetryPolicy("last_candidate", retries=0))
    bench.add("openai", (1000, "never"))
    bench.add("anthropic", (1000, "never"))
    with pytest.raises(ProviderTimeoutError):
        await collect(bench.gateway.stream("hello", policy("buffer")))
    assert bench.clock.monotonic() == pytest.approx(15.0)


@virtual
async def test_silence_is_a_failure_and_so_is_an_end_without_a_finish() -> None:
    for step in (("one", 100, "two"), ("one", "<end>")):
        bench = Bench()
        bench.add("openai", step)
        with pytest.raises(StreamInterruptedError) as caught:
            await collect(bench.gateway.stream("hello"))
        assert caught.value.partial_text == "one"
        assert bench.clock.monotonic() in (0.0, pytest.approx(15.0))


@virtual
async def test_a_stream_may_not_last_for_ever() -> None:
    bench = Bench(streaming=StreamLimits(max_stream=20.0))
    bench.add("openai", tuple(x for i in range(10) for x in (5, f"w{i}")))
    with pytest.raises(StreamInterruptedError, match="longer than 20 s"):
        await collect(bench.gateway.stream("hello"))


@virtual
async def test_the_deadline_runs_only_to_the_first_text() -> None:
    bench = Bench(deadline=12.0)
    bench.add("openai", ("go", 10, "on", 10, "and", 10, "on"))
    events = await collect(bench.gateway.stream("hello"))
    assert text_of(events) == "go on and on"
    assert bench.clock.monotonic() == pytest.approx(30.0)


@virtual
async def test_cancelling_closes_upstream_at_once_and_still_records_usage() -> None:
    bench = Bench()
    provider = bench.add("openai", ("one two three", 5, "four"), model="gpt-4")
    stream = bench.gateway.stream("hello")
    async for event in stream:
        if isinstance(event, TextDelta) and event.text.endswith("two"):
            break
    await stream.aclose()
    assert provider.closed == 1
    [record] = bench.records
    assert (record.success, record.error_type) == (False, "Cancelled")
    assert record.completion_tokens > 0
    assert record.waste_cost > 0
    assert bench.names()[-1] == "RequestCancelled"
    assert bench.gateway.breaker("openai").snapshot().failures == 0


@virtual
async def test_a_probe_succeeds_at_its_first_text_other_streams_at_their_end() -> None:
    bench = Bench(
        breaker=BreakerPolicy("consecutive", failure_threshold=1, recovery_timeout=30.0),
        retry=RetryPolicy("last_candidate", retries=0),
    )
    bench.add("openai", DOWN, ("one", 5, "two", "<cut>"), ("one", 5, "<cut>"))
    breaker = bench.gateway.breaker("openai")
    with pytest.raises(ServiceUnavailableError):
        await collect(bench.gateway.stream("hello"))
    await bench.clock.sleep(30.0)
    states = []
    with pytest.raises(StreamInterruptedError):
        async for event in bench.gateway.stream("hello"):
            states.append((type(event).__name__, breaker.state))
    assert states[1] == ("TextDelta", "closed")
    # The cut came after the probe had its verdict: too late to count.
    assert breaker.state == "closed"
    with pytest.raises(StreamInterruptedError):
        await collect(bench.gateway.stream("hello"))
    assert breaker.state == "open"


@virtual
async def test_a_stream_that_fails_everywhere_before_text_tells_all() -> None:
    bench = Bench()
    bench.add("openai", DOWN)
    bench.add("anthropic", StreamInterruptedError("cut"))
    with pytest.raises(AllProvidersFailedError):
        await collect(bench.gateway.stream("hello"))


class Reads:
    """A transport whose answer comes in these reads."""

    def __init__(self, *reads: bytes) -> None:
        self._reads = reads

    async def send(self, request: WireRequest) -> WireResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in self._reads:
                yield piece

        return PiecewiseResponse(200, {"content-type": "text/event-stream"}, pieces())

    async def close(self) -> None: ...


def in_reads(bench: Bench, *reads: bytes, cls: type[OpenAIProvider] = OpenAIProvider) -> None:
    provider = cls(model="gpt-4o-mini", api_key="k", transport=Reads(*reads), clock=bench.clock)
    bench.gateway.register("openai", provider)


@virtual
async def test_what_came_in_one_read_is_passed_on_in_one_list() -> None:
    bench = Bench()
    start, one, two, three, end = fake_vendor.stream_bytes(dialect("openai_chat"), ["one ", "two ", "three"])
    in_reads(bench, start + one, two + three, end)
    seen = [[type(event) for event in batch] async for batch in bench.gateway.stream_batches("hello")]
    # The end is a list of its own: the books are closed before it is handed out.
    assert seen == [[StreamStarted, TextDelta], [TextDelta, TextDelta], [UsageReported], [StreamFinished]]
    assert bench.names().count("ChunkReceived") == 3


@virtual
async def test_text_that_came_with_the_failure_is_shown_before_it() -> None:
    bench = Bench()
    start, one, two = fake_vendor.stream_bytes(dialect("openai_chat"), ["one ", "two"], end=False)
    in_reads(bench, start + one, two + b'data: {"error":{"message":"overloaded","code":503}}\n\n')
    events = []
    with pytest.raises(StreamInterruptedError) as caught:
        async for event in bench.gateway.stream("hello", policy("fail")):
            events.append(event)
    assert text_of(events) == caught.value.partial_text == "one two"
    assert isinstance(events[-1], StreamInterrupted)
    assert bench.records[0].waste_cost > 0


@virtual
async def test_a_provider_that_changes_its_events_is_heard_by_the_gateway() -> None:
    class Loud(OpenAIProvider):
        async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
            async for event in super().stream_attempt(request, model_id):
                if isinstance(event, TextDelta):
                    event.text = event.text.upper()
                yield event

    bench = Bench()
    in_reads(bench, b"".join(fake_vendor.stream_bytes(dialect("openai_chat"), ["one ", "two"])), cls=Loud)
    assert text_of(await collect(bench.gateway.stream("hello"))) == "ONE TWO"
