"""What must not break a request: providers that raise anything, recorders, caches, cleanup; and who pays for what."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from providers.attempts import RetryPolicy
from providers.errors import (
    ConnectionFailedError,
    ContentFilterError,
    FixtureError,
    InputError,
    MalformedResponseError,
    ProviderTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
)
from providers.types import Completion, GenerationRequest, LLMResponse, StreamInterrupted, TokenUsage
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.call import CallOptions
from tests.sandbox.gateway.support import Bench, Scripted, answer, collect, text_of, virtual
from tests.sandbox.gateway.test_cache_and_flights import Shelf

DOWN = ServiceUnavailableError("down", status=503)
ONE_SHOT = RetryPolicy("last_candidate", retries=0)
CANARY = "sk-canary1234567890"


class Raising(Scripted):
    """A provider of a user's own, with a defect."""

    error: BaseException = KeyError("choices")

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        raise self.error


def raising(bench: Bench, error: BaseException) -> None:
    provider = Raising(bench.clock, kind="custom")
    provider.error = error
    bench.gateway.register("custom", provider)


@virtual
async def test_whatever_a_provider_raises_the_next_one_is_asked() -> None:
    for error, expected in (
        (KeyError(CANARY), MalformedResponseError),
        (ConnectionRefusedError("refused"), ConnectionFailedError),
        (RecursionError(), MalformedResponseError),
    ):
        bench = Bench(retry=ONE_SHOT)
        raising(bench, error)
        bench.add("openai", "saved")
        response = await bench.gateway.generate("hello")
        assert response.text == "saved"
        assert response.attempts[0].error_type == expected.__name__
        assert CANARY not in str(response.attempts) + str(bench.events) + str(bench.records)
        assert bench.gateway.breaker("custom").snapshot().failures == 1


@virtual
async def test_a_missing_recording_ends_the_request_and_is_named_in_its_story() -> None:
    bench = Bench()
    raising(bench, FixtureError("no recording matches"))
    bench.add("openai")
    with pytest.raises(FixtureError):
        await bench.gateway.generate("hello")
    [record] = bench.records
    assert record.error_type == "FixtureError"
    assert [a.error_type for a in record.story["attempts"]] == ["FixtureError"]


@virtual
async def test_a_recorder_that_raises_costs_nobody_the_answer() -> None:
    bench = Bench()

    def broken(record: object) -> None:
        raise RuntimeError("disk on fire")

    bench.gateway._ledger._record = broken
    bench.add("openai", "fine")
    assert (await bench.gateway.generate("hello")).text == "fine"
    assert bench.names().count("RequestCompleted") == 1
    assert "RequestFailed" not in bench.names()
    assert "ComponentFailed" in bench.names()


@virtual
async def test_any_failure_of_a_cache_is_passed_over() -> None:
    class Odd(Shelf):
        async def get(self, key: str) -> bytes | None:
            raise RuntimeError("odd")

        async def set(self, key: str, value: bytes, *, ttl: float) -> None:
            raise RuntimeError("odd")

    bench = Bench(cache=Odd())
    bench.add("openai", "fine")
    for _ in range(2):
        assert (await bench.gateway.generate("hello")).text == "fine"
    assert bench.names().count("ComponentFailed") == 1


@virtual
async def test_a_time_to_live_of_zero_is_not_the_default() -> None:
    kept: list[float] = []

    class Noting(Shelf):
        async def set(self, key: str, value: bytes, *, ttl: float) -> None:
            kept.append(ttl)

    bench = Bench(cache=Noting())
    bench.add("openai")
    await bench.gateway.generate("hello", CallOptions(cache_ttl=0.0))
    assert kept == [0.0]


@virtual
async def test_candidates_passed_over_do_not_count_as_asked() -> None:
    bench = Bench(max_candidates=2, retry=ONE_SHOT, breaker=BreakerPolicy("consecutive", failure_threshold=1))
    for name in ("a", "b", "c", "d"):
        bench.add(name, "ok" if name == "d" else DOWN)
    with pytest.raises(ServiceUnavailableError):
        await bench.gateway.generate("one")
    # a and b are open now: c and d may be asked, and no more than two.
    response = await bench.gateway.generate("two")
    assert [(r.provider, r.outcome) for r in response.attempts] == [
        ("a", "skipped"),
        ("b", "skipped"),
        ("c", "failed"),
        ("d", "ok"),
    ]


@virtual
async def test_a_withheld_answer_fails_over_in_streams_too() -> None:
    withheld = Completion(finish_reason="content_filter", stop="content_filter", usage=TokenUsage(100, 50))
    for policy in ("fail", "buffer"):
        bench = Bench(failover_on_content_filter=True)

        class Withholding(Scripted):
            async def stream_attempt(self, request: GenerationRequest, model_id: str) -> Any:
                from providers.types import StreamFinished, StreamStarted

                yield StreamStarted("openai", model_id)
                yield StreamFinished(withheld)

        bench.gateway.register("openai", Withholding(bench.clock, kind="openai", model="gpt-4"))
        bench.add("anthropic", "fine")
        events = await collect(bench.gateway.stream("hello", CallOptions(stream_policy=policy)))  # type: ignore[arg-type]
        assert text_of(events) == "fine"
        response = events[-1].response  # type: ignore[union-attr]
        assert response is not None
        assert response.attempts[0].error_type == ContentFilterError.__name__
        assert response.waste_usd == Decimal("0.006")


@virtual
async def test_a_providers_own_price_counts() -> None:
    class Priced(Scripted):
        async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
            found = answer("x", "own-model")
            assert found.usage is not None
            found.usage.total_cost_usd = Decimal("0.02")
            return found

    bench = Bench()
    bench.gateway.register("mine", Priced(bench.clock, kind="custom", model="own-model"))
    response = await bench.gateway.generate("hello")
    assert response.cost_usd == bench.records[0].estimated_cost == Decimal("0.02")


async def test_a_cost_on_a_custom_response_is_kept() -> None:
    from providers.base import BaseLLMProvider

    class Mine(BaseLLMProvider):
        async def _make_request(self, request: GenerationRequest) -> LLMResponse:
            return LLMResponse("hi", "mine", "m", "m", cost_usd=Decimal("0.5"))

    assert (await Mine().generate("hello")).cost_usd == Decimal("0.5")


@virtual
async def test_retries_keep_to_the_client_side_limit() -> None:
    bench = Bench()
    openai = bench.add("openai", DOWN, requests_per_minute=2)
    with pytest.raises(ServiceUnavailableError):
        await bench.gateway.generate("hello")
    assert len(openai.times) == 2
    with pytest.raises(RateLimitError):
        await bench.gateway.generate("hello")


@virtual
async def test_strategies_and_policies_by_name_are_checked() -> None:
    bench = Bench()
    bench.add("openai", model="gpt-4")
    bench.add("anthropic", model="claude-3-haiku-20240307")
    plan = bench.gateway.plan("x", CallOptions(strategy="least_cost"))  # type: ignore[arg-type]
    assert [c.deployment.id for c in plan.candidates] == ["anthropic", "openai"]
    with pytest.raises(InputError, match="unknown strategy"):
        bench.gateway.plan("x", CallOptions(strategy="bogus"))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown stream policy 'bogus'"):
        await collect(bench.gateway.stream("x", CallOptions(stream_policy="bogus")))  # type: ignore[arg-type]


@virtual
async def test_nobody_depends_on_a_call_with_a_deadline_of_its_own() -> None:
    bench = Bench(cache=Shelf())
    bench.add("openai", (10.0, "slow"))
    hasty = asyncio.create_task(bench.gateway.generate(GenerationRequest(prompt="hello", timeout=1.0)))
    await bench.clock.sleep(0.5)
    patient = asyncio.create_task(bench.gateway.generate("hello"))
    with pytest.raises(ProviderTimeoutError):
        await hasty
    assert (await patient).text == "slow"


@virtual
async def test_an_interruption_is_booked_although_the_reader_leaves_at_once() -> None:
    bench = Bench()
    bench.add("openai", ("one two", "<cut>"))
    stream = bench.gateway.stream("hello")
    async for event in stream:
        if isinstance(event, StreamInterrupted):
            break
    await stream.aclose()
    assert [r.error_type for r in bench.records] == ["StreamInterruptedError"]


@virtual
async def test_a_continued_answer_is_billed_for_its_own_part() -> None:
    class Uncounted(Scripted):
        async def stream_attempt(self, request: GenerationRequest, model_id: str) -> Any:
            from providers.types import StreamFinished, StreamStarted, TextDelta

            yield StreamStarted("anthropic", model_id)
            yield TextDelta(" tail")
            yield StreamFinished(Completion(text=" tail", finish_reason="stop", model=model_id))

    bench = Bench()
    bench.add("openai", ("word " * 200, "<cut>"))
    bench.gateway.register("anthropic", Uncounted(bench.clock, kind="anthropic", prefills=True))
    events = await collect(bench.gateway.stream("hello", CallOptions(stream_policy="continue")))
    response = events[-1].response  # type: ignore[union-attr]
    assert response is not None
    assert response.text.endswith("tail")
    assert response.usage.output_tokens < 10


@virtual
async def test_each_model_has_turns_of_its_own() -> None:
    bench = Bench(strategy="round_robin")
    for name in ("a", "b"):
        bench.add(name)
    asked = []
    for _ in range(2):
        for model in ("claude-3-haiku", "claude-3-opus"):
            asked.append((await bench.gateway.generate(GenerationRequest(prompt="x", model=model))).provider)
    assert asked == ["a", "a", "b", "b"]


@virtual
async def test_a_provider_that_fails_to_close_keeps_none_open() -> None:
    bench = Bench()
    closed: list[str] = []
    for name in ("a", "b"):
        provider = bench.add(name)

        async def close(name: str = name) -> None:
            closed.append(name)
            if name == "a":
                raise RuntimeError("stuck")

        provider.close = close  # type: ignore[method-assign]
    await bench.gateway.close()
    assert closed == ["a", "b"]


@virtual
async def test_a_provider_keeps_its_own_shorter_time_limit() -> None:
    bench = Bench()
    hasty = bench.add("openai", (1000, "never"))
    hasty.timeout = 5.0
    bench.add("anthropic", "fine")
    assert (await bench.gateway.generate("hello")).provider == "anthropic"
    assert bench.clock.monotonic() == pytest.approx(5.0)
