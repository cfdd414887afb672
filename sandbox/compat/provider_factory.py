"""`LLMProviderFactory`: the interface of the AI World document, thin over the runtime."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from providers.clock import SYSTEM_CLOCK, Clock
from providers.pricing import seed_prices
from providers.types import GenerationRequest, LLMResponse, Message, ProviderType, StreamEvent
from sandbox.gateway.call import CallOptions
from sandbox.runtime import Runtime
from sandbox.settings import PROVIDER_IDS, load

logger = logging.getLogger(__name__)

OLLAMA_DEFAULT = "http://localhost:11434"
_ADDRESSES = frozenset({"AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL", "OLLAMA_BASE_URL"})


class LLMProviderFactory:
    """Azure OpenAI, OpenAI, Anthropic, DeepSeek, Ollama, in this order, as far as they are configured.

    `config` holds environment variables by name and goes before the environment's own. Live, unless `mock_mode` or
    SANDBOX_MODE says otherwise. Priced by the list of 2024, and today's for models it does not have; nothing is cached
    or written to disk.
    """

    def __init__(
        self, config: Mapping[str, str] | None = None, *, mock_mode: bool = False, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """Raises ConfigError for a variable that is wrong."""
        environ = {**os.environ, **(config or {})}
        environ.setdefault("OLLAMA_BASE_URL", OLLAMA_DEFAULT)
        for name in _ADDRESSES & environ.keys():
            # The document gives addresses as bare host names too.
            if environ[name] and "://" not in environ[name]:
                scheme = "http" if name == "OLLAMA_BASE_URL" else "https"
                environ[name] = f"{scheme}://{environ[name]}"
        mode = "mock" if mock_mode else environ.get("SANDBOX_MODE") or "live"
        flags: dict[str, Any] = {"mode": mode, "preset": "aiworld"}
        settings = load(flags=flags, environ=environ).settings
        self._runtime = Runtime.of(settings, clock=clock, prices=seed_prices(), stores=False)

    @property
    def providers(self) -> list[str]:
        """The providers that are configured, in the order in which they are asked."""
        return [one.id for one in self._runtime.gateway.registry]

    async def generate(
        self,
        prompt: str,
        temperature: float | None = None,
        max_tokens: int | None = None,
        preferred_provider: ProviderType | str | None = None,
        **more: Any,
    ) -> LLMResponse:
        """Answer a prompt. `more` are fields of GenerationRequest. Raises ProviderError."""
        request = GenerationRequest(prompt=prompt, temperature=temperature, max_tokens=max_tokens, **more)
        return await self._runtime.gateway.generate(request, self._options(preferred_provider))

    async def chat(
        self,
        messages: Sequence[Message],
        temperature: float | None = None,
        max_tokens: int | None = None,
        preferred_provider: ProviderType | str | None = None,
        **more: Any,
    ) -> LLMResponse:
        """Answer a conversation in OpenAI's message form. Raises ProviderError."""
        request = GenerationRequest(messages=messages, temperature=temperature, max_tokens=max_tokens, **more)
        return await self._runtime.gateway.generate(request, self._options(preferred_provider))

    def generate_stream(
        self,
        prompt: str,
        temperature: float | None = None,
        max_tokens: int | None = None,
        preferred_provider: ProviderType | str | None = None,
        **more: Any,
    ) -> AsyncIterator[StreamEvent]:
        """Answer a prompt as it is written; the last event holds the response."""
        request = GenerationRequest(prompt=prompt, temperature=temperature, max_tokens=max_tokens, **more)
        return self._runtime.gateway.stream(request, self._options(preferred_provider))

    def get_health_status(self) -> dict[str, dict[str, Any]]:
        """By provider: healthy (may be asked now), success_rate from 0 to 1, average_latency_ms of successes, …"""
        return {
            one.id: {
                "healthy": one.available(one.provider.model_id),
                "success_rate": one.metrics.success_rate,
                "average_latency_ms": one.metrics.average_latency_ms,
                "total_requests": one.metrics.attempts,
                "model": one.model,
                "circuit_breaker_state": one.breaker.state,
                "last_error": one.metrics.last_error,
            }
            for one in self._runtime.gateway.registry
        }

    def _options(self, preferred: ProviderType | str | None) -> CallOptions:
        """The preferred provider first; one that is not configured is passed over, as the chain would do."""
        id = None if preferred is None else str(preferred)
        if id is not None and id in PROVIDER_IDS and id not in self.providers:
            logger.warning("preferred provider %s is not configured: the chain answers", id)
            id = None
        return CallOptions(provider=id, no_cache=True)

    async def close(self) -> None:
        """Close every provider; safe to call twice."""
        await self._runtime.close()

    async def __aenter__(self) -> LLMProviderFactory:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


__all__ = ["LLMProviderFactory", "ProviderType"]
