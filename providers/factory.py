"""From a kind to a provider: the table of what there is. A vendor's module is loaded when one of its kind is made."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, Final

from providers.base import BaseLLMProvider
from providers.errors import ConfigError
from providers.hints import did_you_mean

KINDS: Final = {
    "azure_openai": ("providers.vendors.azure_openai", "AzureOpenAIProvider"),
    "openai": ("providers.vendors.openai", "OpenAIProvider"),
    "anthropic": ("providers.vendors.anthropic", "AnthropicProvider"),
    "bedrock": ("providers.vendors.bedrock", "BedrockProvider"),
    "deepseek": ("providers.vendors.deepseek", "DeepSeekProvider"),
    "gemini": ("providers.vendors.gemini", "GeminiProvider"),
    "vllm": ("providers.vendors.vllm", "VLLMProvider"),
    "ollama": ("providers.vendors.ollama", "OllamaProvider"),
    "mock": ("providers.mock.provider", "MockProvider"),
}
"""Module and class of every kind, in the order of the default chain."""


def provider_class(kind: str) -> type[BaseLLMProvider]:
    """The class of a kind. Raises ConfigError, naming the nearest, for one that there is not."""
    place = KINDS.get(kind)
    if place is None:
        raise ConfigError(
            f"unknown provider kind {kind!r}: {did_you_mean(str(kind).lower(), KINDS)}use one of {_listed()}"
        )
    module, name = place
    found: type[BaseLLMProvider] = getattr(import_module(module), name)
    return found


def create(kind: str, **settings: Any) -> BaseLLMProvider:
    """A provider of that kind; `settings` are its keywords. Raises ConfigError for a kind or a keyword there is not."""
    cls = provider_class(kind)
    known = keywords(cls)
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"{kind} has no setting {name!r}: {hint}it takes {', '.join(sorted(known))}")
    return cls(**settings)


def keywords(cls: type[BaseLLMProvider]) -> frozenset[str]:
    """Every keyword that the class and the classes it passes keywords on to take."""
    names: set[str] = set()
    for each in cls.__mro__:
        init = each.__dict__.get("__init__")
        if init is None or each is object:
            continue
        parameters = inspect.signature(init).parameters.values()
        names.update(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names - {"self"})


def _listed() -> str:
    return ", ".join(KINDS)
