"""`LLMRouter` in virtual time: what its strategies do under load, its metrics, and its background checks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.clock import seeded
from providers.errors import AuthenticationError, CircuitBreakerOpenError, InputError, ServiceUnavailableError
from providers.types import GenerationRequest, LLMResponse
from sandbox import LLMRouter, RoutingStrategy
from sandbox.core.virtual import VirtualClock, run_virtual
from tests.sandbox.gateway.support import Scripted, virtual

FEW = settings(max_examples=25, deadline=None)
LOAD = 300


def router_of(strategy: str = "priority", seed: int = 1, **options: Any) -> LLMRouter:
    loop: Any = asyncio.get_running_loop()
    return LLMRouter(strategy, clock=VirtualClock(loop), draws=seeded(seed), **options)


def add(router: LLMRouter, name: str, *steps: Any, **options: Any) -> Scripted:
    given = {key: options.pop(key) for key in ("priority", "weight") if key in options}
    provider = Scripted(router.gateway.clock, *steps, kind=options.pop("kind", "openai"), **options)
    router.register_provider(name, provider, **given)
    return provider


async def load(router: LLMRouter, requests: int = LOAD, gap: float = 0.0) -> Counter[str]:
    """So many requests at once, or one after the other with a pause between their beginnings; who answered them."""

    async def one(delay: float) -> LLMResponse:
        await router.gateway.clock.sleep(delay)
        return await router.generate("hello")

    responses = await asyncio.gather(*(one(number * gap) for number in range(requests)))
    return Counter(response.provider for response in responses)


def played(main: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await main()

    run_virtual(run())


@FEW
@given(st.integers(2, 5), st.integers(1, 60), st.lists(st.floats(0.01, 5.0), min_size=5, max_size=5))
def test_round_robin_is_fair_however_many_are_under_way(providers: int, rounds: int, latencies: list[float]) -> None:
    async def main() -> None:
        router = router_of("round_robin")
        for number in range(providers):
            add(router, f"p{number}", (latencies[number], "hi"))
        # Slow and fast ones alike: a turn is taken when a request begins, not when it ends.
        answered = await load(router, providers * rounds)
        assert set(answered.values()) == {rounds}
        await router.close()

    played(main)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 9), min_size=2, max_size=4))
def test_weighted_shares_come_near_the_weights(seed: int, weights: list[int]) -> None:
    async def main() -> None:
        router = router_of("weighted", seed)
        for number, weight in enumerate(weights):
            add(router, f"p{number}", weight=weight)
        answered = await load(router, 600)
        for number, weight in enumerate(weights):
            expected = 600 * weight / sum(weights)
            # Five standard deviations of a binomial.
            spread = 5 * (600 * (weight / sum(weights)) * (1 - weight / sum(weights))) ** 0.5
            assert abs(answered[f"p{number}"] - expected) <= spread
        await router.close()

    played(main)


@FEW
@given(st.integers(0, 10_000))
def test_random_reaches_all_and_repeats_by_its_seed(seed: int) -> None:
    async def main() -> None:
        order = []
        for _ in range(2):
            router = router_of("random", seed)
            for name in "abc":
                add(router, name)
            order.append([(await router.generate("hello")).provider for _ in range(60)])
            await router.close()
        assert order[0] == order[1]
        assert set(order[0]) == set("abc")

    played(main)


@virtual
async def test_least_latency_moves_when_the_fastest_gets_slow() -> None:
    router = router_of("least_latency")
    fast, slow = add(router, "fast", (0.1, "hi")), add(router, "slow", (0.5, "hi"))
    await load(router, 20, gap=1.0)
    assert (len(fast.times), len(slow.times)) == (19, 1), "each is tried once, then the faster one is asked"
    fast.steps = [(2.0, "hi")]
    answered = await load(router, 20, gap=3.0)
    assert answered["slow"] > 15
    metrics = router.get_metrics()["providers"]
    assert metrics["slow"]["avg_latency_ms"] == pytest.approx(500.0)
    await router.close()


@FEW
@given(st.integers(0, 20_000), st.integers(1, 4_000))
def test_least_cost_asks_the_cheapest_for_this_request(prompt: int, answer: int) -> None:
    """Two models of which one is cheaper to read and the other to write: which wins depends on the request."""

    async def main() -> None:
        router = router_of("least_cost")
        models = ("gpt-4", "gpt-4-turbo", "gpt-3.5-turbo")
        for model in models:
            add(router, model, model=model)
        request = GenerationRequest(prompt="word " * prompt or "word", max_tokens=answer)
        plan = router.gateway.plan(request)
        costs = [router.gateway.router.estimate(request, one) for one in plan.candidates]
        assert costs == sorted(costs, key=lambda cost: cost or Decimal("Infinity"))
        response = await router.generate(request)
        assert response.provider == plan.candidates[0].deployment.id
        await router.close()

    played(main)


@pytest.mark.parametrize("strategy", list(RoutingStrategy))
@virtual
async def test_no_strategy_loses_a_request_while_one_provider_fails(strategy: RoutingStrategy) -> None:
    router = router_of(strategy, circuit_breaker_threshold=2)
    add(router, "sick", (0.01, ServiceUnavailableError("down")), priority=1)
    for name in ("well", "hale"):
        add(router, name, (0.1, "hi"), priority=2)
    answered = await load(router, 120, gap=0.2)
    assert sum(answered.values()) == 120
    assert "sick" not in answered
    metrics = router.get_metrics()
    assert metrics["global"]["total_requests"] == metrics["global"]["successful_requests"] == 120
    assert metrics["global"]["failed_requests"] == 0
    sick = metrics["providers"]["sick"]
    if sick["total_requests"]:
        assert sick["success_rate"] == 0.0
        assert metrics["global"]["failover_count"] >= 1
    await router.close()


@virtual
async def test_metrics_have_every_field_and_add_up() -> None:
    router = router_of(max_retries=2)
    add(router, "first", ServiceUnavailableError("down"), priority=1)
    add(router, "second", (0.2, "hi"), priority=2, model="gpt-3.5-turbo")
    add(router, "third", priority=3)
    await router.generate("hello")
    metrics = router.get_metrics()
    assert metrics["global"] == {
        "total_requests": 1,
        "successful_requests": 1,
        "failed_requests": 0,
        "failover_count": 1,
        # 100 tokens in, 50 out, at the prices of 2024.
        "total_cost_usd": Decimal("0.000125"),
    }
    assert metrics["providers"]["second"] == {
        "total_requests": 1,
        "successful_requests": 1,
        "failed_requests": 0,
        "success_rate": 100.0,
        "avg_latency_ms": pytest.approx(200.0),
        "total_tokens": 150,
        "total_cost_usd": Decimal("0.000125"),
        "circuit_breaker_state": "closed",
    }
    first = metrics["providers"]["first"]
    assert (first["total_requests"], first["success_rate"], first["circuit_breaker_state"]) == (5, 0.0, "open")
    assert metrics["providers"]["third"]["total_requests"] == 0
    await router.close()


@virtual
async def test_max_retries_bounds_the_providers_of_one_request() -> None:
    router = router_of(max_retries=2)
    down = [add(router, name, ServiceUnavailableError("down"), priority=n) for n, name in enumerate("abc")]
    with pytest.raises(ServiceUnavailableError):
        await router.generate("hello")
    assert [bool(one.times) for one in down] == [True, True, False]
    assert router.get_metrics()["global"]["failed_requests"] == 1
    await router.close()


@virtual
async def test_breakers_open_recover_and_can_be_off() -> None:
    router = router_of(circuit_breaker_threshold=5, circuit_breaker_timeout=60.0)
    only = add(router, "only", ServiceUnavailableError("down"))
    with pytest.raises(ServiceUnavailableError):
        await router.generate("hello")
    assert router.circuit_breaker("only").state == "open"
    with pytest.raises(CircuitBreakerOpenError) as refused:
        await router.generate("hello")
    assert 0 < (refused.value.retry_after or 0) <= 60
    only.steps = ["well again"]
    await router.gateway.clock.sleep(60)
    assert (await router.generate("hello")).text == "well again"
    assert router.circuit_breaker("only").state == "closed"
    await router.close()
    router = router_of(enable_circuit_breaker=False)
    only = add(router, "only", ServiceUnavailableError("down"))
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError):
            await router.generate("hello")
    assert len(only.times) == 15
    await router.close()


@virtual
async def test_monitoring_in_the_background() -> None:
    router = router_of(health_check_interval=30.0)
    good, bad = add(router, "good"), add(router, "bad", AuthenticationError("wrong key"))
    await router.start_health_monitoring()
    await router.gateway.clock.sleep(100)
    assert len(good.times) == 4
    assert len(bad.times) == 1, "what has no valid key is left alone for five minutes"
    assert {(await router.generate("hello")).provider for _ in range(3)} == {"good"}
    bad.steps = ["hi"]
    assert (await router.health_check_all())["bad"].is_healthy, "by hand it is asked at once, and comes back"
    assert router.gateway.registry.get("bad").disabled("gpt-4") is None
    assert router.health_history.window("good", 120).checks.calls == 5
    assert router.health_history.window("good", 120).traffic.calls == 3
    await router.stop_health_monitoring()
    await router.gateway.clock.sleep(100)
    assert len(good.times) == 8
    await router.close()
    await router.close()


@virtual
async def test_a_name_is_taken_once() -> None:
    router = router_of()
    add(router, "a")
    with pytest.raises(InputError, match="'a' is registered already"):
        add(router, "a")
    await router.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"health_check_interval": "often"}, "health_check_interval is 'often'; it must be a number"),
        ({"circuit_breaker_threshold": 0}, "circuit_breaker_threshold is 0; it must be a whole number from 1"),
        ({"circuit_breaker_timeout": -1}, "circuit_breaker_timeout is -1; it must be a number from 0"),
        ({"max_retries": 0}, "max_retries is 0; it must be a whole number from 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        LLMRouter(**arguments)
