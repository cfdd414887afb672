"""`BaseAgent`: what an agent inherits to ask a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sandbox.compat.litellm_config import LLMBackend
from sandbox.compat.unified_client import UnifiedLLMClient, llm_client


@dataclass(slots=True)
class AgentConfig:
    """How one agent asks. What is None comes from its backend's configuration."""

    backend: LLMBackend | str | None = None
    """None: whichever is active at each call, so that a switch takes the agent along."""
    model: str | None = None
    """A tier: haiku, sonnet, opus, qwen."""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    """Seconds for a call with its retries."""
    tenant_id: str = "default"


class BaseAgent:
    """Subclass it and call `call_llm`. Usage is recorded under the agent's name."""

    def __init__(
        self, config: AgentConfig | None = None, *, agent_id: str | None = None, llm: UnifiedLLMClient | None = None
    ) -> None:
        """`agent_id`: its class's name by default. `llm`: in place of the program's own client."""
        self.config = config or AgentConfig()
        self.agent_id = agent_id or type(self).__name__
        self.llm = llm or llm_client

    async def call_llm(self, system_prompt: str | None, user_message: str, **more: Any) -> str:
        """The text of the answer. `more` goes to `chat_completion`, before the agent's own configuration.

        Raises ProviderError.
        """
        config = self.config
        asked: dict[str, Any] = {
            "backend": config.backend,
            "model_tier": config.model,
            "temperature": config.temperature,
            "max_tokens": config.max_tokens,
            "agent_id": self.agent_id,
            "tenant_id": config.tenant_id,
        }
        if config.timeout is not None:
            asked["timeout"] = config.timeout
        messages = [{"role": "user", "content": user_message}]
        return await self.llm.chat_completion(messages, **{**asked, "system": system_prompt or None, **more})
