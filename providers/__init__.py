"""Everything about one LLM provider, usable by itself.

Names are exported lazily (PEP 562), so that importing the package costs nothing until a class is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from providers.base import BaseLLMProvider
    from providers.mock import MockProvider
    from providers.types import (
        Completion,
        GenerationRequest,
        LLMResponse,
        ProviderType,
        TokenUsage,
    )
    from providers.vendors.anthropic import AnthropicProvider
    from providers.vendors.azure_openai import AzureOpenAIProvider
    from providers.vendors.bedrock import BedrockProvider
    from providers.vendors.deepseek import DeepSeekProvider
    from providers.vendors.gemini import GeminiProvider
    from providers.vendors.ollama import OllamaProvider
    from providers.vendors.openai import OpenAIProvider
    from providers.vendors.vllm import VLLMProvider

_EXPORTS = {
    "AnthropicProvider": "providers.vendors.anthropic",
    "AzureOpenAIProvider": "providers.vendors.azure_openai",
    "BaseLLMProvider": "providers.base",
    "BedrockProvider": "providers.vendors.bedrock",
    "Completion": "providers.types",
    "DeepSeekProvider": "providers.vendors.deepseek",
    "GeminiProvider": "providers.vendors.gemini",
    "GenerationRequest": "providers.types",
    "LLMResponse": "providers.types",
    "MockProvider": "providers.mock",
    "OllamaProvider": "providers.vendors.ollama",
    "OpenAIProvider": "providers.vendors.openai",
    "ProviderType": "providers.types",
    "TokenUsage": "providers.types",
    "VLLMProvider": "providers.vendors.vllm",
}

__all__ = [
    "AnthropicProvider",
    "AzureOpenAIProvider",
    "BaseLLMProvider",
    "BedrockProvider",
    "Completion",
    "DeepSeekProvider",
    "GeminiProvider",
    "GenerationRequest",
    "LLMResponse",
    "MockProvider",
    "OllamaProvider",
    "OpenAIProvider",
    "ProviderType",
    "TokenUsage",
    "VLLMProvider",
]


def __getattr__(name: str) -> Any:
    module = _EXPORTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
