"""`UnifiedLLMClient` and `llm_client`: one call for every backend, thin over the gateway."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from providers.clock import SYSTEM_CLOCK, Clock
from providers.types import GenerationRequest, Message, TextDelta
from sandbox.compat.litellm_config import LiteLLMConfig, LLMBackend
from sandbox.compat.unified_engine import UnifiedEngine

if TYPE_CHECKING:
    from sandbox.runtime import Runtime


class UnifiedLLMClient:
    """Asks the active backend, and that one alone. Retries by 1-2-4 s, three times, each call within 60 s.

    Live, unless `mock_mode` or SANDBOX_MODE says otherwise. Priced by the list of 2024, and today's for models that it
    does not have. Used from several event loops, one after the other or at once, it has connections of its own in each.
    """

    def __init__(
        self,
        config: LiteLLMConfig | None = None,
        *,
        mock_mode: bool = False,
        timeout: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
        engine: UnifiedEngine | None = None,
    ) -> None:
        """`config`: in place of what the settings say. `timeout`: seconds for a call with its retries.

        `engine`: one that others use too, in place of the other arguments.
        """
        self.engine = engine or UnifiedEngine(config, mock_mode=mock_mode, timeout=timeout, clock=clock)

    @property
    def config(self) -> LiteLLMConfig:
        """The backends and their tiers. Raises ConfigError for settings that are wrong."""
        return self.engine.config

    async def chat_completion(
        self,
        messages: Sequence[Message],
        model_tier: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        backend: LLMBackend | str | None = None,
        **more: Any,
    ) -> str:
        """The text of the answer to a conversation in OpenAI's message form.

        `model_tier`: haiku, sonnet, opus, qwen; one that the backend has not, and None, mean its default. `backend`: in
        place of the active one, for this call. `more` are fields of GenerationRequest: `timeout`, `agent_id`, … Raises
        ProviderError, BudgetExceededError at the limit of the budget, InputError for an unknown tier.
        """
        chosen, request = self._asked(messages, model_tier, temperature, max_tokens, backend, more)
        runtime = await self.engine.runtime()
        with self.engine.used(chosen):
            response = await runtime.gateway.generate(request, self.engine.options(chosen))
        return response.text

    async def stream_chat_completion(
        self,
        messages: Sequence[Message],
        model_tier: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        backend: LLMBackend | str | None = None,
        **more: Any,
    ) -> AsyncGenerator[str]:
        """The same as it is written, piece by piece. One that breaks off raises StreamInterruptedError.

        Closing the generator ends the answer at the backend.
        """
        chosen, request = self._asked(messages, model_tier, temperature, max_tokens, backend, more)
        runtime = await self.engine.runtime()
        with self.engine.used(chosen):
            async with aclosing(runtime.gateway.stream(request, self.engine.options(chosen))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        yield event.text

    def get_available_models(self) -> list[str]:
        """The tiers of the active backend."""
        return self.config.tiers()

    async def runtime(self) -> Runtime:
        """The runtime of the event loop that is running: its bus, its budgets, its usage records."""
        return await self.engine.runtime()

    async def close(self) -> None:
        """Release what is open in the event loop that is running; safe to call twice. Loops that end do so too."""
        await self.engine.close()

    async def __aenter__(self) -> UnifiedLLMClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _asked(
        self,
        messages: Sequence[Message],
        tier: str | None,
        temperature: float | None,
        max_tokens: int | None,
        backend: LLMBackend | str | None,
        more: dict[str, Any],
    ) -> tuple[LLMBackend, GenerationRequest]:
        """The backend of a call, and the request with what the configuration says where the call says nothing."""
        config = self.config
        chosen = config.active if backend is None else LLMBackend.of(backend)
        one = config.backend(chosen)
        request = GenerationRequest(
            messages=messages,
            model=config.model(tier, chosen),
            temperature=one.temperature if temperature is None else temperature,
            max_tokens=one.max_tokens if max_tokens is None else max_tokens,
            **{"timeout": one.timeout, **more},
        )
        return chosen, request


llm_client = UnifiedLLMClient()
"""The client of the whole program. It reads the settings when it is first used."""
