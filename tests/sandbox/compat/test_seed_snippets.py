"""Every example of the router and factory documents that needs only providers, router and factory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers import AnthropicProvider, OpenAIProvider
from providers.errors import (
    AuthenticationError,
    InvalidRequestError,
    ProviderError,
    RateLimitError,
    ServiceUnavailableError,
)
from sandbox import LLMProviderFactory, LLMRouter, RoutingStrategy
from tests.fake_clock import FakeClock
from tests.sandbox.compat.snippets import needs_seeds, run, snippets
from tests.sandbox.gateway.support import Scripted

pytestmark = needs_seeds


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_MODE", "mock")


@pytest.fixture
async def factory() -> AsyncIterator[LLMProviderFactory]:
    async with LLMProviderFactory() as made:
        yield made


async def test_a_single_provider() -> None:
    printed = await run(snippets("003")[0], {"__name__": "example"})
    assert printed.startswith("Response: ")
    cost = float(printed.split("Cost: $")[1])
    assert 0 < cost < 0.01


async def test_failover_over_several_providers() -> None:
    printed = await run(snippets("003")[1], {"__name__": "example"})
    assert "Provider used: openai" in printed, "gpt-3.5-turbo is the cheaper one"
    assert "Failovers: 0" in printed


async def test_router_configuration_and_strategies() -> None:
    blocks = snippets("003")
    names: dict[str, Any] = {"LLMRouter": LLMRouter, "RoutingStrategy": RoutingStrategy}
    names |= {"provider1": AnthropicProvider(), "provider2": OpenAIProvider()}
    for index, strategy in (
        (4, "least_cost"),
        (8, "least_cost"),
        (9, "least_latency"),
        (10, "round_robin"),
        (11, "random"),
    ):
        await run(blocks[index], names)
        assert names["router"].gateway.router.strategy == strategy
    await run(blocks[7], names)
    assert [one.id for one in names["router"].gateway.registry] == ["anthropic", "openai"]
    for index in (19, 20, 23):
        await run(blocks[index], names)
    await names["router"].close()


async def test_provider_configuration() -> None:
    names: dict[str, Any] = {"AnthropicProvider": AnthropicProvider, "OpenAIProvider": OpenAIProvider}
    await run(snippets("003")[6], names)
    assert names["provider"].model_id == "gpt-4-turbo-preview"
    assert names["provider"].retry_policy.max_delay == 8.0
    await run(snippets("003")[25], names)


async def test_metrics_health_and_errors() -> None:
    blocks = snippets("003")
    router = LLMRouter()
    router.register_provider("anthropic", AnthropicProvider(), priority=1)
    router.register_provider("openai", OpenAIProvider(), priority=2)
    await router.generate("hello")
    names: dict[str, Any] = {"router": router, "request": "hello"}
    printed = await run(blocks[16], names)
    assert "Total requests: 1" in printed
    assert "Success rate: 100.0%" in printed
    assert "Circuit breaker: closed" in printed
    printed = await run(blocks[17].replace("# ... do work ...", ""), names)
    assert "anthropic: healthy" in printed
    await run(blocks[18], names)
    assert names["response"].text
    await router.close()


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (RateLimitError("slow down", retry_after=7.0), "Rate limit exceeded. Retry after 7.0s"),
        (AuthenticationError("wrong key"), "Authentication failed: "),
        (ServiceUnavailableError("down"), "(retryable: True)"),
        (InvalidRequestError("no"), "(retryable: False)"),
    ],
)
async def test_every_error_reaches_its_handler(error: ProviderError, printed: str) -> None:
    clock = FakeClock()
    router = LLMRouter(clock=clock, circuit_breaker_threshold=100)
    router.register_provider("only", Scripted(clock, error))
    assert printed in await run(snippets("003")[18], {"router": router, "request": "hello"})
    await router.close()


async def test_an_open_breaker_reaches_its_handler() -> None:
    clock = FakeClock()
    router = LLMRouter(clock=clock, circuit_breaker_threshold=1, circuit_breaker_timeout=60.0)
    router.register_provider("only", Scripted(clock, ServiceUnavailableError("down")))
    names = {"router": router, "request": "hello"}
    await run(snippets("003")[18], names)
    assert await run(snippets("003")[18], names) == "Circuit breaker open. Retry after 60.0s\n"
    await router.close()


async def test_the_factory_answers() -> None:
    printed = await run(snippets("004")[0], {"__name__": "example"})
    assert "Provider: azure_openai" in printed
    assert "Tokens: " in printed


async def test_the_factory_chats_prefers_and_reports(factory: LLMProviderFactory) -> None:
    blocks = snippets("004")
    names: dict[str, Any] = {"factory": factory}
    await run(blocks[1], names)
    assert names["response"].text
    await run(blocks[2], names)
    assert names["response"].provider == "anthropic"
    printed = await run(blocks[3], names)
    assert "azure_openai:" in printed
    assert "Success Rate: 100.0%" in printed


async def test_the_factory_takes_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_MODE", "live")
    names: dict[str, Any] = {"LLMProviderFactory": LLMProviderFactory}
    await run(snippets("004")[4], names)
    assert names["factory"].providers == ["openai", "ollama"]
    await names["factory"].close()


async def test_direct_access_and_mock_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = snippets("004")
    names: dict[str, Any] = {}
    await run(blocks[5], names)
    assert names["provider"].timeout == 120.0
    monkeypatch.delenv("SANDBOX_MODE")
    await run(blocks[6], names)
    assert names["response"].text
    # The shape that the document promises.
    assert {"text", "tokens_used", "cost_usd", "model", "provider", "latency_ms", "metadata"} <= set(
        dir(names["response"])
    )
