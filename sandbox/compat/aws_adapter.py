"""`AWSLLMAdapter`: the interface of the HappyOS documents, thin over the runtime.

The same program runs on this machine (diskcache and SQLite) and on AWS (ElastiCache and DynamoDB); what differs is one
argument or one setting.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal

from providers.base import BaseLLMProvider
from providers.clock import SYSTEM_CLOCK, Clock
from providers.pricing import seed_prices
from providers.types import GenerationRequest, LLMResponse, TextDelta
from sandbox.costs.statistics import UsageStats, usage_stats
from sandbox.gateway.breaker import Breaker, BreakerPolicy
from sandbox.gateway.call import CallOptions
from sandbox.gateway.configured import configured_policy
from sandbox.gateway.policies import Policy
from sandbox.runtime import Runtime
from sandbox.settings import Settings, load
from sandbox.usage.base import UsageUnavailable

logger = logging.getLogger(__name__)

Backend = Literal["local", "aws"]

_ASK_FOR_JSON = "Answer in JSON."
"""OpenAI refuses its JSON mode where no message has the word."""


class AWSLLMAdapter:
    """Bedrock first, OpenAI at once when it fails; answers cached for each tenant, every request recorded.

    Live, unless `mock_mode` or SANDBOX_MODE says otherwise. Everything that is not an argument comes from the settings.
    Priced by the list of 2024, and today's for models it does not have.
    """

    def __init__(
        self,
        region_name: str | None = None,
        elasticache_endpoint: str | None = None,
        dynamodb_table_name: str | None = None,
        backend: Backend | None = None,
        *,
        bedrock_failure_threshold: int | None = None,
        openai_failure_threshold: int | None = None,
        circuit_breaker_timeout: float | None = None,
        mock_mode: bool = False,
        clock: Clock = SYSTEM_CLOCK,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`backend`: `aws` for ElastiCache and DynamoDB; unset: what the settings say, which is this machine.

        On AWS there is no cache without an endpoint, given here or in the settings; theirs goes before, as for all of
        AWS, so that an emulator can stand in for what a program names. The thresholds are failures in a
        row (3 for Bedrock, 5 for OpenAI), the timeout is seconds until the next try (30). `environ`: in place of the
        process's environment. Raises ConfigError for what cannot work.
        """
        environ = os.environ if environ is None else environ
        flags: dict[str, Any] = {
            "mode": "mock" if mock_mode else environ.get("SANDBOX_MODE") or "live",
            "preset": "happyos",
            "backend": backend,
            "aws.region": region_name,
            "usage.table": dynamodb_table_name,
        }
        settings = load(flags=flags, environ=environ).settings
        if settings.cache.endpoint_url is None and elasticache_endpoint is not None:
            settings = load(flags={**flags, "cache.endpoint_url": elasticache_endpoint}, environ=environ).settings
        if settings.cache.backend == "redis" and settings.cache.endpoint_url is None:
            settings = settings.model_copy(update={"cache": settings.cache.model_copy(update={"backend": "off"})})
        settings = settings.model_copy(update={"chain": _chain(settings)})
        policy = _with_breakers(
            configured_policy(settings),
            settings,
            {"bedrock": bedrock_failure_threshold, "openai": openai_failure_threshold},
            circuit_breaker_timeout,
        )
        self.settings = settings
        self.cache_hits = 0
        self.cache_misses = 0
        self._clock = clock
        self._runtime = Runtime.of(settings, clock=clock, prices=seed_prices(), policy=policy)
        logger.info("backend %s: cache %s, usage records %s", self.backend, *self._runtime.backends.values())

    # --- answers --------------------------------------------------------------------------------------------------

    async def generate_completion(
        self,
        prompt: str,
        agent_id: str = "default",
        tenant_id: str = "default",
        model: str | None = "gpt-4",
        temperature: float | None = 0.3,
        max_tokens: int | None = 500,
        response_format: str | Mapping[str, Any] | None = None,
        *,
        cache_ttl: float | None = None,
        use_cache: bool = True,
        **more: Any,
    ) -> dict[str, Any]:
        """The answer: content, model, tokens, provider, cached, estimated_cost (USD; None is unpriced), …

        `response_format`: `json`, `text`, or OpenAI's own form. `cache_ttl`: seconds to keep the answer; unset: an
        hour, or what the settings say. `more` are fields of GenerationRequest. Raises ProviderError.
        """
        request = _request(prompt, agent_id, tenant_id, model, temperature, max_tokens, response_format, more)
        options = CallOptions(no_cache=not use_cache, cache_ttl=cache_ttl)
        response = await self._runtime.gateway.generate(request, options)
        if response.cached:
            self.cache_hits += 1
        elif use_cache:
            self.cache_misses += 1
        return _as_dict(response)

    async def generate_streaming_completion(
        self,
        prompt: str,
        agent_id: str = "default",
        tenant_id: str = "default",
        model: str | None = "gpt-4",
        temperature: float | None = 0.3,
        max_tokens: int | None = 500,
        response_format: str | Mapping[str, Any] | None = None,
        **more: Any,
    ) -> AsyncIterator[str]:
        """The answer's text as it is written, from Bedrock or, where it fails before its first word, from OpenAI.

        Never cached. Text once given cannot be taken back, so a stream that breaks off raises StreamInterruptedError.
        """
        request = _request(prompt, agent_id, tenant_id, model, temperature, max_tokens, response_format, more)
        options = CallOptions(no_cache=True, restarts=False)
        async with aclosing(self._runtime.gateway.stream(request, options)) as events:
            async for event in events:
                if isinstance(event, TextDelta) and event.text:
                    yield event.text

    # --- what happened --------------------------------------------------------------------------------------------

    async def get_usage_stats(
        self, agent_id: str | None = None, tenant_id: str | None = None, time_range: str = "24h"
    ) -> UsageStats:
        """Sums over the requests of the last `24h`, `7d`, `30d`, …; rates are 0 to 100, costs USD.

        Raises UsageUnavailable where the records cannot be read, InputError for a time range that is none.
        """
        usage = self._runtime.usage
        if usage is None:
            raise UsageUnavailable("; ".join(self._runtime.notes) or "usage is not recorded")
        return await usage_stats(
            usage,
            clock=self._clock,
            mode=self.settings.booked,
            tenant_id=tenant_id,
            agent_id=agent_id,
            time_range=time_range,
        )

    def get_health_status(self) -> dict[str, Any]:
        """How it stands, asking nobody: `healthy`, `degraded` (someone cannot be asked now) or `unhealthy` (nobody)."""
        providers = {
            one.id: {
                "available": one.provider.is_available() and one.available(one.provider.model_id),
                "circuit_breaker_state": one.breaker.state,
                "model": one.model,
                "last_error": one.metrics.last_error,
            }
            for one in self._runtime.gateway.registry
        }
        able = [provider["available"] for provider in providers.values()]
        backends = self._runtime.backends
        usage = self._runtime.usage
        return {
            "status": "healthy" if all(able) else "degraded" if any(able) else "unhealthy",
            "backend": self.backend,
            "mode": self._runtime.mode,
            "providers": providers,
            "cache": {
                "enabled": backends["cache"] != "off",
                "backend": backends["cache"],
                "hits": self.cache_hits,
                "misses": self.cache_misses,
            },
            "usage": {
                "enabled": usage is not None,
                "backend": backends["usage"],
                "pending": 0 if usage is None else usage.pending,
                "problem": None if usage is None else usage.problem,
            },
            "notes": list(self._runtime.notes),
        }

    # --- parts ----------------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Backend:
        return self.settings.backend

    @property
    def runtime(self) -> Runtime:
        """The engine under it, for everything that this interface has no word for."""
        return self._runtime

    @property
    def bedrock_provider(self) -> BaseLLMProvider:
        return self._runtime.gateway.registry.get("bedrock").provider

    @property
    def openai_provider(self) -> BaseLLMProvider:
        return self._runtime.gateway.registry.get("openai").provider

    @property
    def bedrock_circuit_breaker(self) -> Breaker:
        """To force or to reset by hand."""
        return self._runtime.gateway.breaker("bedrock")

    @property
    def openai_circuit_breaker(self) -> Breaker:
        return self._runtime.gateway.breaker("openai")

    async def flush(self) -> None:
        """Return when every record so far is in its store. Raises UsageUnavailable where that cannot be."""
        if self._runtime.usage is not None:
            await self._runtime.usage.flush()

    async def close(self) -> None:
        """Commit the records and close everything; safe to call twice."""
        await self._runtime.close()

    async def __aenter__(self) -> AWSLLMAdapter:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _chain(settings: Settings) -> list[str]:
    """Every region of Bedrock that the settings declare, in their order, then OpenAI; or the settings' own chain."""
    regions = _bedrocks(settings, settings.providers)
    if settings.chain is not None and _bedrocks(settings, settings.chain):
        return settings.chain
    return [*regions, "openai"]


def _bedrocks(settings: Settings, ids: Iterable[str]) -> list[str]:
    return [id for id in ids if (one := settings.providers.get(id)) and one.kind == "bedrock" and one.enabled]


def _with_breakers(
    policy: Policy, settings: Settings, thresholds: Mapping[str, int | None], timeout: float | None
) -> Policy:
    """The breakers by the kind of the provider, so that each region of Bedrock has one like the first."""

    def breaker(id: str) -> BreakerPolicy:
        kind = settings.providers[id].kind if id in settings.providers else id
        one = policy.breaker_for(kind or id)
        threshold = thresholds.get(kind or id)
        return replace(
            one,
            failure_threshold=one.failure_threshold if threshold is None else threshold,
            recovery_timeout=one.recovery_timeout if timeout is None else timeout,
        )

    return replace(policy, breakers={id: breaker(id) for id in policy.chain})


def _request(
    prompt: str,
    agent_id: str,
    tenant_id: str,
    model: str | None,
    temperature: float | None,
    max_tokens: int | None,
    response_format: str | Mapping[str, Any] | None,
    more: Mapping[str, Any],
) -> GenerationRequest:
    request = GenerationRequest(
        prompt=prompt,
        agent_id=agent_id,
        tenant_id=tenant_id,
        model=model,
        temperature=temperature,
        max_tokens=max_tokens,
        response_format=None if response_format == "text" else response_format,
        **more,
    )
    if request.wants_json() and request.system is None:
        request.system = _ASK_FOR_JSON
    return request


def _as_dict(response: LLMResponse) -> dict[str, Any]:
    usage = response.usage
    return {
        "content": response.text,
        "model": response.model_id,
        "tokens": usage.total_tokens,
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "finish_reason": response.finish_reason,
        "provider": response.provider,
        "cached": response.cached,
        "estimated_cost": response.cost_usd,
        "latency_ms": response.latency_ms,
        "request_id": response.request_id,
    }
