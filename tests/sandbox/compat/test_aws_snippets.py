"""Every example of the two documents about the AWS adapter, on this machine and against AWS's emulators."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from sandbox import AWSLLMAdapter, LLMCostCalculator
from tests.sandbox.compat.snippets import needs_seeds, run, snippets

pytestmark = needs_seeds

BACKENDS = {"local": ("disk", "sqlite"), "aws": ("redis", "dynamodb")}


@pytest.fixture
async def named(side: str) -> Any:
    """What the first example leaves behind, and what it printed."""
    names: dict[str, Any] = {}
    names["printed"] = await run(snippets("000")[0], names)
    yield names
    await names["llm_service"].close()


async def test_the_first_example_and_those_that_go_on_from_it(side: str, named: dict[str, Any]) -> None:
    blocks = snippets("000")
    service = named["llm_service"]
    assert isinstance(service, AWSLLMAdapter)
    assert tuple(service.runtime.backends.values()) == BACKENDS[side]
    assert service.runtime.notes == []
    printed = named["printed"]
    assert "Provider: bedrock" in printed
    assert "Cached: False" in printed
    assert float(printed.split("Cost: $")[1].split()[0]) > 0
    assert json.loads(printed.split("Response: ")[1].splitlines()[0]), "asked for JSON"

    told = await run(blocks[1], named)
    assert len(told.split()) > 5

    stats = await run(blocks[2], named)
    assert "Total requests: 2" in stats, "the answer and the stream"
    assert "Cache hit rate: 0.0%" in stats

    health = await run(blocks[3], named)
    assert health.splitlines() == [
        "Service status: healthy", "Bedrock available: True", "OpenAI available: True", "Cache enabled: True",
    ]  # fmt: skip
    assert await run(blocks[8], named) == "", "Bedrock is available, so there is nothing to tell"
    cost = await run(blocks[9], named | {"LLMCostCalculator": LLMCostCalculator, **_AVERAGES})
    assert float(cost.split("$")[1]) > 0
    assert "breaker: closed" in await run(blocks[10], named)
    assert service.bedrock_circuit_breaker.state == "forced_closed"

    await service.close()
    later: dict[str, Any] = {}
    again = await run(blocks[0], later)
    await later["llm_service"].close()
    assert "Cached: True" in again, "the cache outlives the adapter on both sides"


_AVERAGES = {"avg_prompt_tokens": 100, "avg_completion_tokens": 50}


async def test_the_adapter_without_a_redis_endpoint(side: str) -> None:
    names: dict[str, Any] = {"AWSLLMAdapter": AWSLLMAdapter}
    await run(snippets("000")[7], names)
    async with names["llm_service"] as service:
        assert service.get_health_status()["usage"]["backend"] == BACKENDS[side][1]


async def test_the_answers_have_the_documents_shapes(side: str, named: dict[str, Any]) -> None:
    blocks = snippets("001")
    service: AWSLLMAdapter = named["llm_service"]
    answer = await service.generate_completion("Say something.", "agent_1", "tenant_1", "claude-3-sonnet")
    promised = ast.literal_eval(blocks[0])
    assert promised.keys() <= answer.keys()
    assert answer["model"] == promised["model"]
    assert answer["finish_reason"] == promised["finish_reason"]
    assert answer["tokens"] == answer["prompt_tokens"] + answer["completion_tokens"]
    text = await run(blocks[1], named)
    assert text
    stats = await service.get_usage_stats(agent_id="agent_1", tenant_id="tenant_1", time_range="24h")
    promised = ast.literal_eval(blocks[2])
    assert promised.keys() <= stats.keys()
    assert (stats["total_requests"], stats["success_rate"]) == (2, 100.0)
    assert stats["provider_breakdown"] == {"bedrock": 2}


async def test_the_calculator(side: str) -> None:
    names: dict[str, Any] = {}
    printed = [await run(block, names) for block in snippets("000")[4:7]]
    assert printed[0] == "Cost: $0.006000\n"
    assert "Cheapest: claude-3-haiku at $0.00008" in printed[1]
    assert "Monthly cost: $180.00" in printed[2]
