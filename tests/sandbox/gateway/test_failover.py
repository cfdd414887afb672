"""What a request goes through: retries, failover, breakers, the final error, in exact virtual time."""

from __future__ import annotations

import gc
import weakref

import pytest

from providers.attempts import RetryPolicy
from providers.errors import (
    AllProvidersFailedError,
    AuthenticationError,
    CircuitBreakerOpenError,
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServiceUnavailableError,
)
from providers.types import GenerationRequest
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.policies import PRESETS
from tests.sandbox.gateway import support
from tests.sandbox.gateway.support import Bench, fresh, virtual

DOWN = ServiceUnavailableError("down", status=503)


@virtual
async def test_the_first_candidate_answers() -> None:
    bench = Bench()
    bench.add("openai", (0.8, "hi"))
    bench.add("anthropic")
    response = await bench.gateway.generate("hello")
    assert (response.text, response.provider, response.failovers) == ("hi", "openai", 0)
    assert response.latency_ms == pytest.approx(800)
    assert [(a.provider, a.outcome, a.retry) for a in response.attempts] == [("openai", "ok", 0)]
    assert bench.names() == [
        "RequestReceived",
        "RouteChosen",
        "AttemptStarted",
        "AttemptSucceeded",
        "CostComputed",
        "UsageRecorded",
        "RequestCompleted",
    ]


@virtual
async def test_a_503_is_retried_once_after_50_ms_then_the_next_provider_answers() -> None:
    bench = Bench()
    openai = bench.add("openai", DOWN)
    bench.add("anthropic", "saved")
    response = await bench.gateway.generate("hello")
    assert (response.text, response.provider, response.failovers) == ("saved", "anthropic", 1)
    assert openai.times == [0.0, pytest.approx(0.05)]
    assert [(a.provider, a.outcome, a.error_type, a.status, a.retry) for a in response.attempts] == [
        ("openai", "failed", "ServiceUnavailableError", 503, 0),
        ("openai", "failed", "ServiceUnavailableError", 503, 1),
        ("anthropic", "ok", None, None, 0),
    ]
    assert "FallbackTaken" in bench.names()
    assert bench.clock.monotonic() == pytest.approx(0.05)


@virtual
async def test_failures_that_were_overcome_leave_nothing_to_the_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.add("openai", DOWN)
    bench.add("anthropic", DOWN, "saved")
    met: list[weakref.ref[ProviderError]] = []

    def noted(error: ProviderError) -> ProviderError:
        raised = fresh(error)
        met.append(weakref.ref(raised))
        return raised

    monkeypatch.setattr(support, "fresh", noted)
    gc.disable()
    try:
        assert (await bench.gateway.generate("hello")).text == "saved"
        assert [one() for one in met] == [None, None, None]
    finally:
        gc.enable()


@virtual
async def test_the_last_candidate_backs_off_1_2_4_and_then_the_class_is_raised_with_its_attempts() -> None:
    bench = Bench()
    only = bench.add("openai", DOWN)
    with pytest.raises(ServiceUnavailableError) as caught:
        await bench.gateway.generate("hello")
    assert only.times == pytest.approx([0.0, 1.0, 3.0, 7.0])
    assert len(caught.value.attempts) == 4
    assert caught.value.status == 503
    [record] = bench.records
    assert (record.success, record.error_type, record.attempts) == (False, "ServiceUnavailableError", 4)


@virtual
async def test_different_failures_end_in_one_error_that_names_them() -> None:
    bench = Bench()
    bench.add("openai", ProviderTimeoutError("slow"))
    bench.add("anthropic", ModelNotFoundError("gone", status=404))
    with pytest.raises(AllProvidersFailedError, match="openai ProviderTimeoutError, anthropic ModelNotFoundError 404"):
        await bench.gateway.generate("hello")


@virtual
async def test_a_timeout_is_not_repeated_while_others_are_available() -> None:
    bench = Bench(attempt_timeout=30.0)
    silent = bench.add("openai", (1000, "never"))
    bench.add("anthropic", "here")
    response = await bench.gateway.generate("hello")
    assert silent.times == [0.0]
    assert response.provider == "anthropic"
    assert bench.clock.monotonic() == pytest.approx(30.0)


@virtual
async def test_a_short_retry_after_is_waited_for_once_a_long_one_is_not() -> None:
    bench = Bench()
    short = bench.add("openai", RateLimitError("busy", status=429, retry_after=2.0))
    bench.add("anthropic", RateLimitError("busy", status=429, retry_after=6.0))
    bench.add("deepseek", "ok", model="deepseek-chat")
    response = await bench.gateway.generate("hello")
    assert short.times == [0.0, 2.0]
    assert [a.provider for a in response.attempts] == ["openai", "openai", "anthropic", "deepseek"]
    assert response.failovers == 2


@virtual
async def test_a_429_without_retry_after_fails_over_at_once() -> None:
    bench = Bench()
    bench.add("openai", RateLimitError("busy", status=429))
    bench.add("anthropic", "ok")
    response = await bench.gateway.generate("hello")
    assert [a.provider for a in response.attempts] == ["openai", "anthropic"]
    assert bench.clock.monotonic() == 0.0


@virtual
async def test_a_bad_key_takes_the_provider_out_until_it_is_retested_after_five_minutes() -> None:
    bench = Bench()
    bench.add("openai", AuthenticationError("bad key", status=401), "fixed")
    bench.add("anthropic", "ok")
    first = await bench.gateway.generate("one")
    second = await bench.gateway.generate("two")
    assert [(a.provider, a.outcome) for a in first.attempts] == [("openai", "failed"), ("anthropic", "ok")]
    assert [(a.provider, a.outcome, a.error_type) for a in second.attempts] == [
        ("openai", "skipped", "disabled"),
        ("anthropic", "ok", None),
    ]
    assert bench.gateway.breaker("openai").state == "closed"
    assert bench.gateway.health()[0].disabled == "bad key"
    await bench.clock.sleep(299.0)
    assert (await bench.gateway.generate("three")).provider == "anthropic"
    await bench.clock.sleep(1.0)
    assert (await bench.gateway.generate("four")).text == "fixed"


@virtual
async def test_every_provider_disabled_raises_the_class_that_disabled_them() -> None:
    bench = Bench()
    bench.add("openai", AuthenticationError("bad key", status=401))
    for _ in range(2):
        with pytest.raises(AuthenticationError, match="bad key"):
            await bench.gateway.generate("hello")
    bench.gateway.enable("openai")
    assert bench.gateway.health()[0].disabled is None


@virtual
async def test_a_forbidden_model_disables_only_that_model() -> None:
    bench = Bench()
    openai = bench.add("openai", PermissionDeniedError("no", status=403), "other model")
    bench.add("anthropic", "ok")
    await bench.gateway.generate(GenerationRequest(prompt="x", model="gpt-4"))
    response = await bench.gateway.generate(GenerationRequest(prompt="x", model="gpt-4-turbo"))
    assert response.provider == "openai"
    assert len(openai.times) == 2


@virtual
async def test_an_invalid_request_ends_at_once() -> None:
    bench = Bench()
    bench.add("openai", InvalidRequestError("bad", status=400))
    other = bench.add("anthropic")
    with pytest.raises(InvalidRequestError):
        await bench.gateway.generate("hello")
    assert other.times == []


@virtual
async def test_a_content_filter_fails_over_only_when_the_policy_says_so() -> None:
    for option, expected in ((False, None), (True, "anthropic")):
        bench = Bench(failover_on_content_filter=option)
        bench.add("openai", ContentFilterError("no", status=400))
        bench.add("anthropic", "ok")
        if expected is None:
            with pytest.raises(ContentFilterError):
                await bench.gateway.generate("hello")
        else:
            assert (await bench.gateway.generate("hello")).provider == expected


@virtual
async def test_a_prompt_too_long_goes_only_to_a_larger_window() -> None:
    bench = Bench()
    bench.add("openai", ContextLengthError("too long", status=400), model="gpt-4")  # 8,192 tokens
    small = bench.add("deepseek", model="unknown-model")
    large = bench.add("anthropic", "ok", model="claude-3-sonnet-20240229")  # 200,000 tokens
    response = await bench.gateway.generate("hello")
    assert response.provider == "anthropic"
    assert small.times == []
    assert large.times == [0.0]
    assert ("deepseek", "skipped", "window") in [(a.provider, a.outcome, a.error_type) for a in response.attempts]


@virtual
async def test_a_vendor_s_own_tool_goes_only_to_whom_can_run_it() -> None:
    bench = Bench(retry=RetryPolicy("last_candidate", retries=2))
    lacking = bench.add("openai", model="gpt-4")
    able = bench.add("anthropic", DOWN, DOWN, "ok")
    other = bench.add("deepseek", model="deepseek-chat")
    for one in (lacking, other):
        one.cannot = lambda request, model_id, id=one.kind: f"{id} cannot run 'web_search'"  # type: ignore[method-assign]
    asked = GenerationRequest(prompt="hello", tools=[{"type": "web_search_20250305", "name": "web_search"}])
    response = await bench.gateway.generate(asked)
    assert (response.provider, lacking.times, other.times) == ("anthropic", [], [])
    skipped = response.attempts[0]
    assert (skipped.provider, skipped.outcome, skipped.error_type) == ("openai", "skipped", "tools")
    assert skipped.error_message == "openai cannot run 'web_search'"
    # The one behind it counts for nobody to fail over to, so that this one has all its retries.
    assert len(able.times) == 3
    assert (await bench.gateway.generate(GenerationRequest(prompt="hello"))).provider == "openai"


@virtual
async def test_a_tool_that_nobody_can_run_ends_the_request_in_one_sentence() -> None:
    bench = Bench()
    for id in ("openai", "anthropic", "deepseek"):
        one = bench.add(id)
        one.cannot = lambda request, model_id, id=id: f"{id} cannot run 'web_search'"  # type: ignore[method-assign]
    asked = GenerationRequest(prompt="hello", tools=[{"type": "web_search"}])
    with pytest.raises(InvalidRequestError) as raised:
        await bench.gateway.generate(asked)
    assert raised.value.message == "openai cannot run 'web_search'; nor can the other 2 candidates"
    assert not raised.value.retryable
    assert [a.error_type for a in raised.value.attempts] == ["tools"] * 3
    bench.gateway.breaker("deepseek").force_open()
    del bench.gateway.registry.get("deepseek").provider.cannot
    with pytest.raises(CircuitBreakerOpenError):
        await bench.gateway.generate(asked)


@virtual
async def test_the_breaker_opens_refuses_probes_and_closes() -> None:
    bench = Bench(
        breaker=BreakerPolicy("consecutive", failure_threshold=3, recovery_timeout=30.0),
        retry=RetryPolicy("last_candidate", retries=0),
    )
    openai = bench.add("openai", DOWN, DOWN, DOWN, "back")
    bench.add("anthropic", "ok")
    for _ in range(4):
        await bench.gateway.generate("hello")
    assert len(openai.times) == 3
    assert bench.gateway.breaker("openai").state == "open"
    await bench.clock.sleep(30.0)
    assert (await bench.gateway.generate("hello")).text == "back"
    assert bench.gateway.breaker("openai").state == "closed"
    transitions = [n for n in bench.names() if n.startswith("Breaker")]
    assert transitions == ["BreakerOpened", "BreakerHalfOpened", "BreakerClosed"]


@virtual
async def test_when_the_breaker_opens_between_retries_the_retrying_stops() -> None:
    bench = Bench(breaker=BreakerPolicy("consecutive", failure_threshold=2), retry=RetryPolicy("always", retries=4))
    openai = bench.add("openai", DOWN)
    bench.add("anthropic", "ok")
    response = await bench.gateway.generate("hello")
    assert openai.times == [0.0, 1.0]
    assert response.provider == "anthropic"


@virtual
async def test_every_candidate_refusing_names_the_next_probe() -> None:
    bench = Bench(breaker=BreakerPolicy("consecutive", failure_threshold=1, recovery_timeout=30.0))
    bench.add("openai", DOWN)
    bench.add("anthropic", DOWN)
    with pytest.raises(ServiceUnavailableError):
        await bench.gateway.generate("hello")
    await bench.clock.sleep(10.0)
    with pytest.raises(CircuitBreakerOpenError) as caught:
        await bench.gateway.generate("hello")
    # openai opened at 0 s, anthropic at 0 s: its first failure opens it, so nothing was waited for in between.
    assert caught.value.retry_after == pytest.approx(20.0)
    assert [a.outcome for a in caught.value.attempts] == ["skipped", "skipped"]


@virtual
async def test_one_deadline_bounds_everything() -> None:
    bench = Bench(deadline=45.0, attempt_timeout=30.0)
    bench.add("openai", (1000, "never"))
    late = bench.add("anthropic", (1000, "never"))
    with pytest.raises(ProviderTimeoutError) as caught:
        await bench.gateway.generate("hello")
    assert bench.clock.monotonic() == pytest.approx(45.0)
    assert late.times == [30.0]
    assert [a.latency_ms for a in caught.value.attempts] == pytest.approx([30_000, 15_000])
    # The deadline is nobody's fault: only the attempt's own timeout counts against a provider.
    assert bench.gateway.breaker("openai").snapshot().failures == 1
    assert bench.gateway.breaker("anthropic").snapshot().failures == 0


@virtual
async def test_a_backoff_that_would_starve_the_others_is_skipped() -> None:
    bench = Bench(deadline=6.5, retry=RetryPolicy("always", retries=4))
    openai = bench.add("openai", DOWN)
    bench.add("anthropic", "ok")
    response = await bench.gateway.generate("hello")
    # 1 s leaves 5.5 s for the other candidate; 2 s more would leave 3.5 s, less than its 5 s.
    assert openai.times == [0.0, 1.0]
    assert response.provider == "anthropic"


@virtual
async def test_client_side_limits_pass_a_provider_over() -> None:
    bench = Bench()
    bench.add("openai", requests_per_minute=2)
    bench.add("anthropic")
    seen = [(await bench.gateway.generate(f"q{i}")).provider for i in range(3)]
    assert seen == ["openai", "openai", "anthropic"]
    await bench.clock.sleep(30.0)
    assert (await bench.gateway.generate("later")).provider == "openai"


@virtual
async def test_presets_differ_as_their_table_says() -> None:
    """happyos falls over at once and opens after 3; greenlang asks three times four retries of 1-2-4-8 s."""
    bench = Bench(PRESETS["happyos"])
    bedrock = bench.add("bedrock", DOWN, model="claude-3-sonnet")
    bench.add("openai", "ok")
    for _ in range(4):
        assert (await bench.gateway.generate("x")).provider == "openai"
    assert bedrock.times == [0.0, 0.0, 0.0]
    bench = Bench(PRESETS["greenlang"], deadline=600.0, breaker=BreakerPolicy("consecutive", failure_threshold=50))
    sick = bench.add("openai", DOWN)
    bench.add("anthropic", "ok")
    start = bench.clock.monotonic()
    await bench.gateway.generate("x")
    assert [t - start for t in sick.times] == pytest.approx([0.0, 1.0, 3.0, 7.0, 15.0])
