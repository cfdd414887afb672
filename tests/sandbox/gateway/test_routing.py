"""Plans: who serves the asked model, who stands in, in which order, and why."""

from __future__ import annotations

import pytest

from providers.clock import SYSTEM_CLOCK
from providers.errors import InputError, RateLimitError
from providers.types import GenerationRequest
from sandbox.cache.memory import MemoryCacheStore
from sandbox.gateway.call import CallOptions
from sandbox.gateway.policies import PRESETS, preset
from sandbox.gateway.strategies import RoutingStrategy
from tests.sandbox.gateway.support import Bench, virtual


def order_of(bench: Bench, request: GenerationRequest | str = "x", **options: object) -> list[str]:
    return [c.deployment.id for c in bench.gateway.plan(request, CallOptions(**options)).candidates]  # type: ignore[arg-type]


@virtual
async def test_priority_then_order_of_registration() -> None:
    bench = Bench()
    for name, priority in (("c", 100), ("a", 1), ("b", 100)):
        bench.add(name, priority=priority)
    assert order_of(bench) == ["a", "c", "b"]
    assert order_of(bench, provider="b") == ["b", "a", "c"]


@virtual
async def test_candidates_that_serve_the_model_come_first_others_answer_with_their_tiers_equivalent() -> None:
    bench = Bench()
    bench.add("anthropic", model="claude-3-haiku")
    bench.add("openai", model="gpt-4")
    plan = bench.gateway.plan(GenerationRequest(prompt="x", model="gpt-4-turbo"))
    assert [(c.deployment.id, c.model, c.exact) for c in plan.candidates] == [
        ("openai", "gpt-4-turbo", True),
        ("anthropic", "claude-3-sonnet", False),
    ]
    assert plan.candidates[1].why == "medium like gpt-4-turbo"


@virtual
async def test_happyos_keeps_its_order_and_has_its_own_equivalents() -> None:
    bench = Bench(PRESETS["happyos"])
    bench.add("bedrock", model="claude-3-sonnet")
    bench.add("openai", model="gpt-4")
    plan = bench.gateway.plan(GenerationRequest(prompt="x", model="gpt-4"))
    assert [(c.deployment.id, c.model) for c in plan.candidates] == [
        ("bedrock", "claude-3-sonnet"),
        ("openai", "gpt-4"),
    ]


@virtual
async def test_least_cost_estimates_this_request_unpriced_last() -> None:
    bench = Bench(strategy="least_cost")
    bench.add("unknown", model="never-heard-of")
    bench.add("openai", model="gpt-4")
    bench.add("anthropic", model="claude-3-haiku-20240307")
    assert order_of(bench) == ["anthropic", "openai", "unknown"]


@virtual
async def test_least_latency_tries_the_untried_first_then_the_fastest() -> None:
    bench = Bench(strategy="least_latency")
    for name, seconds in (("a", 0.9), ("b", 0.1), ("c", 0.5)):
        bench.add(name, (seconds, "x"))
    seen = [(await bench.gateway.generate("x")).provider for _ in range(4)]
    assert seen == ["a", "b", "c", "b"]
    assert order_of(bench) == ["b", "c", "a"]


@virtual
async def test_round_robin_takes_turns_and_looking_takes_none() -> None:
    bench = Bench(strategy="round_robin")
    for name in "abc":
        bench.add(name)
    order_of(bench)
    assert [(await bench.gateway.generate("x")).provider for _ in range(4)] == ["a", "b", "c", "a"]


@virtual
async def test_random_and_weighted_are_seeded_and_fair() -> None:
    for strategy, expected in (("random", (1000, 1000)), ("weighted", (1500, 500))):
        counts = {"a": 0, "b": 0}
        bench = Bench(strategy=strategy)
        bench.add("a", weight=3.0)
        bench.add("b", weight=1.0)
        for _ in range(2000):
            counts[order_of(bench)[0]] += 1
        assert counts["a"] == pytest.approx(expected[0], rel=0.1)
        again = Bench(strategy=strategy)
        again.add("a", weight=3.0)
        again.add("b", weight=1.0)
        assert [order_of(again)[0] for _ in range(2000)].count("a") == counts["a"]


@virtual
async def test_a_weight_of_zero_goes_last() -> None:
    bench = Bench(strategy="weighted")
    bench.add("a", weight=0.0)
    bench.add("b", weight=1.0)
    assert all(order_of(bench) == ["b", "a"] for _ in range(50))


@virtual
async def test_unknown_names_are_refused_with_the_nearest() -> None:
    bench = Bench()
    bench.add("openai")
    with pytest.raises(InputError, match="unknown model 'claude-3-sonet': did you mean 'claude-3-sonnet'"):
        bench.gateway.plan(GenerationRequest(prompt="x", model="claude-3-sonet"))
    with pytest.raises(InputError, match="unknown provider 'opena': did you mean 'openai'"):
        bench.gateway.plan("x", CallOptions(provider="opena"))
    with pytest.raises(InputError, match="unknown strategy 'leastcost': did you mean 'least_cost'"):
        RoutingStrategy.of("leastcost")
    with pytest.raises(InputError, match="unknown preset 'hapyos': did you mean 'happyos'"):
        preset("hapyos")
    with pytest.raises(InputError, match="registered already"):
        bench.add("openai")


@virtual
async def test_a_plan_over_a_thousand_providers_is_bounded_where_it_is_told() -> None:
    bench = Bench(strategy="round_robin")
    for i in range(1000):
        bench.add(f"p{i}")
    response = await bench.gateway.generate("x")
    assert response.provider == "p0"
    chosen = next(e for e in bench.events if type(e).__name__ == "RouteChosen")
    assert len(chosen.candidates) == 20  # type: ignore[attr-defined]
    assert len(bench.records[0].story["plan"]) == 20


@virtual
async def test_a_pinned_provider_is_asked_alone() -> None:
    bench = Bench()
    bench.add("openai", RateLimitError("slow down", status=429))
    bench.add("anthropic", "here", model="claude-3-sonnet")
    options = CallOptions(provider="openai", pinned=True)
    assert order_of(bench, provider="openai", pinned=True) == ["openai"]
    with pytest.raises(RateLimitError):
        await bench.gateway.generate("hi", options)
    assert {event.provider for event in bench.events if hasattr(event, "provider")} == {"openai"}
    assert (await bench.gateway.generate("hi", CallOptions(provider="openai"))).provider == "anthropic"


@virtual
async def test_what_a_pinned_provider_answered_is_not_kept_for_the_chain() -> None:
    bench = Bench(cache=MemoryCacheStore(SYSTEM_CLOCK))
    bench.add("openai", "one", "two")
    await bench.gateway.generate("hi", CallOptions(provider="openai"))
    pinned = await bench.gateway.generate("hi", CallOptions(provider="openai", pinned=True))
    assert (pinned.text, pinned.cached) == ("two", False)
    assert (await bench.gateway.generate("hi", CallOptions(provider="openai", pinned=True))).cached
