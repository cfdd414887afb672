"""The AWS adapter beyond its documents' examples, on both sides: failover, breakers, tenants, streams, regions."""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from providers.errors import InputError, ProviderError, StreamInterruptedError
from providers.types import Completion, GenerationRequest
from sandbox import AWSLLMAdapter
from tests.fake_clock import MovedClock
from tests.redis_server import PASSWORD, RedisServer
from tests.sandbox.compat.conftest import AWS_SECRET, TABLE
from tests.sandbox.server.support import Rig

WHERE = ("us-east-1", None, TABLE)


async def ask(service: AWSLLMAdapter, prompt: str = "Why do fuses blow?", **more: Any) -> dict[str, Any]:
    return await service.generate_completion(prompt, **{"agent_id": "a", "tenant_id": "t", "model": "gpt-4", **more})


# --- both sides -----------------------------------------------------------------------------------------------------


async def test_openai_answers_at_once_when_bedrock_fails(side: str, vendors: Rig) -> None:
    async with AWSLLMAdapter(*WHERE) as service:
        await vendors.provoke("bedrock", "503")
        answers = [await ask(service, f"question {number}") for number in range(4)]
        assert {answer["provider"] for answer in answers} == {"openai"}
        calls = [entry["provider"] for entry in await vendors.journal()]
        assert calls == ["bedrock", "openai"] * 3 + ["openai"], "no retry, and after three failures no call at all"
        health = service.get_health_status()
        assert health["status"] == "degraded"
        assert health["providers"]["bedrock"] | {"last_error": None} == {
            "available": False, "circuit_breaker_state": "open", "model": "claude-haiku-4-5", "last_error": None,
        }  # fmt: skip
        service.bedrock_circuit_breaker.force_close()
        await vendors.ask("/__wiretap/reset", {})
        assert (await ask(service, "and now?"))["provider"] == "bedrock"
        stats = await service.get_usage_stats(tenant_id="t")
        assert stats["provider_breakdown"] == {"openai": 4, "bedrock": 1}


async def test_thresholds_can_be_set(side: str, vendors: Rig) -> None:
    more = {"bedrock_failure_threshold": 1, "openai_failure_threshold": 2, "circuit_breaker_timeout": 7.0}
    async with AWSLLMAdapter(*WHERE, **more) as service:  # type: ignore[arg-type]
        await vendors.provoke("bedrock", "503")
        await vendors.provoke("openai", "503")
        for _ in range(2):
            with pytest.raises(ProviderError):
                await ask(service)
        assert service.bedrock_circuit_breaker.state == "open"
        assert service.openai_circuit_breaker.state == "open"
        assert 6 < (service.openai_circuit_breaker.retry_after() or 0) <= 7
        assert service.get_health_status()["status"] == "unhealthy"
        stats = await service.get_usage_stats(agent_id="a")
        assert (stats["failed_requests"], stats["success_rate"]) == (2, 0.0)


async def test_tenants_share_no_answer_and_a_time_to_live_is_kept(side: str) -> None:
    clock = MovedClock()
    async with AWSLLMAdapter("us-east-1", "cache.example", TABLE, clock=clock) as service:
        first = await ask(service, tenant_id="acme", cache_ttl=60)
        other = await ask(service, tenant_id="zen")
        again = await ask(service, tenant_id="acme")
        assert [one["cached"] for one in (first, other, again)] == [False, False, True]
        assert (again["content"], again["estimated_cost"]) == (first["content"], 0)
        clock.ahead += 61
        assert not (await ask(service, tenant_id="acme"))["cached"]
        assert not (await ask(service, tenant_id="acme", use_cache=False))["cached"]
        health = service.get_health_status()["cache"]
        assert (health["enabled"], health["hits"], health["misses"]) == (True, 1, 3)
        stats = await service.get_usage_stats(tenant_id="acme", time_range="7d")
        assert (stats["total_requests"], stats["cached_requests"], stats["cache_hit_rate"]) == (4, 1, 25.0)


async def test_bedrock_streams_and_openai_takes_over_before_the_first_word(side: str, vendors: Rig) -> None:
    async with AWSLLMAdapter(*WHERE) as service:
        pieces = [piece async for piece in service.generate_streaming_completion("Tell a story", "a", "t", "gpt-4")]
        assert len(pieces) > 5
        await vendors.provoke("bedrock", "503")
        told = [piece async for piece in service.generate_streaming_completion("Tell a story", "a", "t", "gpt-4")]
        assert len(told) > 5
        assert [entry["provider"] for entry in await vendors.journal()] == ["bedrock", "bedrock", "openai"]
        await vendors.provoke("openai", "stream_cut:4")
        with pytest.raises(StreamInterruptedError) as cut:
            async for _ in service.generate_streaming_completion("Another story", "a", "t", "gpt-4"):
                pass
        assert cut.value.partial_text
        stats = await service.get_usage_stats(tenant_id="t")
        assert (stats["total_requests"], stats["failed_requests"]) == (3, 1)


async def test_a_reader_that_leaves_a_stream_is_on_the_books(side: str) -> None:
    async with AWSLLMAdapter(*WHERE) as service:
        stream = service.generate_streaming_completion("Tell a story", "a", "t")
        assert await anext(aiter(stream))
        await stream.aclose()  # type: ignore[attr-defined]
        assert (await service.get_usage_stats(tenant_id="t"))["total_requests"] == 1


@pytest.mark.parametrize(
    ("model", "id", "operation"),
    [
        ("claude-3-sonnet", "anthropic.claude-3-sonnet-20240229-v1:0", "converse"),
        ("claude-3-haiku", "anthropic.claude-3-haiku-20240307-v1:0", "converse"),
        ("claude-3-opus", "anthropic.claude-3-opus-20240229-v1:0", "converse"),
        ("claude-3.5-sonnet", "anthropic.claude-3-5-sonnet-20240620-v1:0", "converse"),
        ("claude-2", "anthropic.claude-v2", "converse"),
        ("claude-2.1", "anthropic.claude-v2:1", "converse"),
        ("titan-text-express", "amazon.titan-text-express-v1", "invoke"),
        ("jurassic-2-mid", "ai21.j2-mid-v1", "invoke"),
    ],
)
async def test_the_models_of_bedrock(
    live: Rig, tmp_path: Path, monkeypatch: Any, model: str, id: str, operation: str
) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    async with AWSLLMAdapter(*WHERE) as service:
        answer = await ask(service, model=model)
    assert (answer["provider"], answer["model"]) == ("bedrock", id)
    # Jurassic-2 is in no list of prices any more, so it is unpriced and not free.
    assert answer["estimated_cost"] is None if model.startswith("jurassic") else answer["estimated_cost"] > Decimal(0)
    [entry] = await live.journal()
    assert entry["path"].rpartition("/")[2] == operation


@pytest.mark.parametrize("model", ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"])
async def test_json_can_be_read_from_either_vendor(live: Rig, tmp_path: Path, monkeypatch: Any, model: str) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    async with AWSLLMAdapter(*WHERE) as service:
        sent: list[GenerationRequest] = []
        attempt = service.openai_provider.attempt

        async def heard(request: GenerationRequest, model_id: str) -> Completion:
            sent.append(request)
            return await attempt(request, model_id)

        monkeypatch.setattr(service.openai_provider, "attempt", heard)
        for provider in ("bedrock", "openai"):
            answer = await ask(service, model=model, response_format="json", use_cache=False)
            assert (answer["provider"], type(json.loads(answer["content"]))) == (provider, dict)
            await live.provoke("bedrock", "503")
        assert "JSON" in str(sent[0].chat()), "OpenAI refuses JSON mode where no message has the word"
        plain = await ask(service, model=model, response_format="text")
        assert not plain["content"].startswith("{")


async def test_a_second_region_comes_before_another_vendor(live: Rig, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SANDBOX_PROVIDERS__BEDROCK-EU__KIND", "bedrock")
    monkeypatch.setenv("SANDBOX_PROVIDERS__BEDROCK-EU__REGION", "eu-central-1")
    async with AWSLLMAdapter(*WHERE) as service:
        gateway = service.runtime.gateway
        assert [one.id for one in gateway.registry] == ["bedrock", "bedrock-eu", "openai"]
        assert [gateway.breaker(id).policy.failure_threshold for id in ("bedrock", "bedrock-eu", "openai")] == [3, 3, 5]  # type: ignore[attr-defined]
        assert gateway.registry.get("bedrock-eu").provider.region == "eu-central-1"  # type: ignore[attr-defined]
        gateway.breaker("bedrock").force_open()
        assert (await ask(service))["provider"] == "bedrock-eu"


# --- without a credential, with a wrong word ------------------------------------------------------------------------


async def test_it_says_what_is_missing(tmp_path: Path) -> None:
    environ = {"SANDBOX_DATA_DIR": str(tmp_path), "HOME": str(tmp_path)}
    async with AWSLLMAdapter(*WHERE, environ=environ) as service:
        assert not service.bedrock_provider.is_available()
        assert not service.openai_provider.is_available()
        assert service.get_health_status()["status"] == "unhealthy"
    async with AWSLLMAdapter(*WHERE, environ=environ, mock_mode=True) as service:
        assert service.bedrock_provider.is_available()
        with pytest.raises(InputError, match="time_range"):
            await service.get_usage_stats(time_range="soon")


# --- AWS alone ------------------------------------------------------------------------------------------------------


async def test_one_line_says_which_side_it_is(side: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "sandbox"):
        async with AWSLLMAdapter(*WHERE):
            pass
    lines = [record.getMessage() for record in caplog.records if "backend" in record.getMessage()]
    assert lines == [
        "backend local: cache disk, usage records sqlite" if side == "local"
        else "backend aws: cache redis, usage records dynamodb"
    ]  # fmt: skip


async def test_redis_and_dynamodb_in_trouble_fail_no_request_and_slow_none(
    aws: RedisServer, tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture, start_redis: Any
) -> None:
    server = start_redis(password=PASSWORD)
    monkeypatch.setenv("SANDBOX_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SANDBOX_CACHE__ENDPOINT_URL", f"redis://127.0.0.1:{server.port}")
    monkeypatch.setenv("SANDBOX_CACHE__PASSWORD", PASSWORD)
    monkeypatch.setenv("SANDBOX_CACHE__TIMEOUT", "50ms")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9")
    async with AWSLLMAdapter(*WHERE) as service:
        await ask(service)
        server.kill()
        answers = [await ask(service, f"question {number}") for number in range(5)]
        assert all(answer["content"] for answer in answers)
        assert max(answer["latency_ms"] for answer in answers[1:]) < 1000
        health = service.get_health_status()
        assert health["usage"]["pending"] == 6
    for text in (caplog.text, json.dumps(health, default=str)):
        assert PASSWORD not in text
        assert AWS_SECRET not in text
        assert "sk-canary" not in text
