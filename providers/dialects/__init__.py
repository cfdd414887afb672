"""The wire formats, each read and written on both sides without I/O. A format is loaded when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from providers.dialects.base import Dialect

_CLASSES: Final = {
    "openai_chat": ("providers.dialects.openai_chat", "OpenAIChat"),
    "openai_responses": ("providers.dialects.openai_responses", "OpenAIResponses"),
    "openai_completions": ("providers.dialects.openai_completions", "OpenAICompletions"),
    "anthropic_messages": ("providers.dialects.anthropic_messages", "AnthropicMessages"),
    "bedrock_converse": ("providers.dialects.bedrock_converse", "BedrockConverse"),
    "bedrock_invoke": ("providers.dialects.bedrock_invoke", "BedrockInvoke"),
    "gemini": ("providers.dialects.gemini", "Gemini"),
    "gemini_array": ("providers.dialects.gemini", "GeminiArray"),
    "ollama": ("providers.dialects.ollama", "OllamaChat"),
    "ollama_generate": ("providers.dialects.ollama", "OllamaGenerate"),
}

API_DIALECTS: Final = {
    "chat.completions": "openai_chat",
    "responses": "openai_responses",
    "completions": "openai_completions",
    "messages": "anthropic_messages",
    "converse": "bedrock_converse",
    "converse-stream": "bedrock_converse",
    "invoke": "bedrock_invoke",
    "invoke-stream": "bedrock_invoke",
    "generateContent": "gemini",
    "streamGenerateContent": "gemini",
    "chat": "ollama",
    "generate": "ollama_generate",
}
"""The dialect of each API name that recorded exchanges carry."""

ID_PREFIXES: Final = {
    "openai_chat": "chatcmpl-",
    "anthropic_messages": "msg_",
    "openai_responses": "resp_",
    "openai_completions": "cmpl-",
}
"""How the ids of a format's answers begin, where they have a form of their own."""

_STREAMED: Final = {
    "converse": "converse-stream",
    "invoke": "invoke-stream",
    "generateContent": "streamGenerateContent",
}
"""APIs whose streams are an API of their own, in the vendor's documents and so in recordings."""


@cache
def dialect(name: str) -> Dialect:
    """The dialect of that name; one shared, stateless instance. Raises KeyError for an unknown name."""
    module, attribute = _CLASSES[name]
    return cast("Dialect", getattr(import_module(module), attribute)())


@cache
def api_of(name: str, *, stream: bool = False) -> str:
    """The API, by the name that recordings carry, which that dialect speaks."""
    api = next((api for api, spoken in API_DIALECTS.items() if spoken == name), name)
    return _STREAMED.get(api, api) if stream else api


def spoken(api: str, path: str = "") -> Dialect:
    """The dialect of a request's API; `path` tells the two ways apart in which Gemini streams.

    Raises KeyError for an unknown API.
    """
    if api == "streamGenerateContent" and "alt=sse" not in path:
        return dialect("gemini_array")
    return dialect(API_DIALECTS[api])


def names() -> tuple[str, ...]:
    return tuple(_CLASSES)
