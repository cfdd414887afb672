"""Sends recorded exchanges through the real providers and compares what they make of them with what they should.

The provider is the one that answers live calls; only the bytes come from the recording. So whatever differs is a defect
of the dialect, of the vendor's class, or of the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final

import orjson

from providers.clock import Clock
from providers.dialects import API_DIALECTS, api_of, dialect
from providers.dialects.accumulator import Accumulator
from providers.dialects.forms import RAW_FINISH
from providers.errors import FixtureError, ProviderError
from providers.exchange.cleaning import redacted_value
from providers.exchange.format import Exchange
from providers.exchange.framing import is_stream
from providers.transports.replay import ReplayTransport
from providers.types import Completion, GenerationRequest, ReasoningDelta, StreamFinished, TextDelta, ToolCallDelta
from providers.vendors.wire import WireProvider

Split = Callable[[bytes], Iterable[bytes]]
"""Cuts a body into the pieces in which it is to arrive."""

_OPENAI: Final = ("providers.vendors.openai", "OpenAIProvider")
_BY_API: Final = {
    "messages": ("providers.vendors.anthropic", "AnthropicProvider"),
    "converse": ("providers.vendors.bedrock", "BedrockProvider"),
    "converse-stream": ("providers.vendors.bedrock", "BedrockProvider"),
    "invoke": ("providers.vendors.bedrock", "BedrockProvider"),
    "invoke-stream": ("providers.vendors.bedrock", "BedrockProvider"),
    "chat": ("providers.vendors.ollama", "OllamaProvider"),
    "generate": ("providers.vendors.ollama", "OllamaProvider"),
    "generateContent": ("providers.vendors.gemini", "GeminiProvider"),
    "streamGenerateContent": ("providers.vendors.gemini", "GeminiProvider"),
}
# Whoever else speaks OpenAI's APIs (Groq, OpenRouter, Gemini's and Ollama's /v1) goes through OpenAI's class.
_OPENAI_LIKE: Final = {
    "azure_openai": ("providers.vendors.azure_openai", "AzureOpenAIProvider"),
    "deepseek": ("providers.vendors.deepseek", "DeepSeekProvider"),
    "vllm": ("providers.vendors.vllm", "VLLMProvider"),
}
COMPARED: Final = (
    "text", "reasoning_text", "finish_reason", "stop", "input_tokens", "output_tokens", "cached_input_tokens",
    "cache_write_tokens", "reasoning_tokens", "tool_calls", "model", "error_type", "error_code", "error_class",
    "error_message", "retryable", "retry_after",
)  # fmt: skip


def provider_of(exchange: Exchange) -> type[WireProvider]:
    """The provider class that speaks the exchange's API. Raises FixtureError where none does."""
    if exchange.api not in API_DIALECTS:
        known = ", ".join(API_DIALECTS)
        raise FixtureError(f"{exchange.name or 'the exchange'}: api is {exchange.api!r}; this version reads {known}")
    module, name = _BY_API.get(exchange.api) or _OPENAI_LIKE.get(exchange.provider, _OPENAI)
    found: type[WireProvider] = getattr(import_module(module), name)
    if exchange.api not in _BY_API and exchange.api not in found.offered():
        module, name = _OPENAI
        found = getattr(import_module(module), name)
    return found


async def replay(
    exchange: Exchange, *, file: str | None = None, split: Split | None = None, clock: Clock | None = None
) -> dict[str, Any]:
    """What the real provider makes of the recording: one row of `sandbox fixtures replay --json`.

    `split` cuts the body on its way in place of its recorded pieces; with a `clock` these come at their recorded times,
    else at once. `deltas` counts the pieces of answer that a stream handed out; the token counts at the top level are
    the vendor's own, `usage` has them normalised. Raises FixtureError for an API that no provider speaks.
    """
    cls = provider_of(exchange)
    request, stream = _request_of(exchange)
    # A stream may have an API of its own, but a provider is asked for the one that both forms have in common.
    api = api_of(API_DIALECTS[exchange.api])
    provider = cls(
        api_key="replay",
        api=api if api in cls.offered() else None,
        transport=ReplayTransport(exchange, split=split, clock=clock),
    )
    answer = Accumulator()
    completion: Completion | None = None
    error: ProviderError | None = None
    deltas = 0
    try:
        if stream:
            async for event in provider.stream_attempt(request, request.model or "recorded"):
                answer.add(event)
                if isinstance(event, (TextDelta, ReasoningDelta)):
                    deltas += bool(event.text)
                elif isinstance(event, ToolCallDelta):
                    deltas += 1
                elif isinstance(event, StreamFinished):
                    completion = event.completion
        else:
            completion = await provider.attempt(request, request.model or "recorded")
    except ProviderError as failure:
        error = failure
    finally:
        await provider.close()
    return _row(file or exchange.name, completion or answer.completion(), error, deltas)


def _request_of(exchange: Exchange) -> tuple[GenerationRequest, bool]:
    """The recorded request in the common form, and whether its answer is a stream."""
    body = exchange.request.body
    asked = dialect(API_DIALECTS[exchange.api])
    request, stream = GenerationRequest("recorded"), False
    try:
        request, stream, _ = asked.decode_request(orjson.dumps(body), path=exchange.request.path)
    except ProviderError:
        # A recording of what a vendor says to a request that this program would not even send.
        if isinstance(body, Mapping):
            stream = body.get("stream") is True
    if exchange.response is not None and exchange.response.status < 400:
        stream = is_stream(exchange.api, exchange.response)
    return request, stream


def _row(file: str, answer: Completion, error: ProviderError | None, deltas: int) -> dict[str, Any]:
    raw, usage = answer.raw_usage, answer.usage
    return {
        "file": file,
        "ok": error is None,
        "text": answer.text,
        "reasoning_text": answer.reasoning_text,
        "finish_reason": answer.metadata.get(RAW_FINISH, answer.finish_reason),
        "stop": answer.stop if error is None else None,
        "input_tokens": raw.input_tokens,
        "output_tokens": raw.output_tokens,
        "cached_input_tokens": raw.cached_input_tokens,
        "cache_write_tokens": raw.cache_write_tokens,
        "reasoning_tokens": raw.reasoning_tokens,
        "usage": None
        if usage is None
        else {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "estimated": usage.estimated,
        },
        "tool_calls": [{"name": call.name, "arguments": _parsed(call.arguments)} for call in answer.tool_calls],
        "model": answer.model,
        "error_type": error.error_type if error else None,
        "error_code": error.code if error else None,
        "error_class": type(error).__name__ if error else None,
        "error_message": error.message if error else None,
        "retryable": error.retryable if error else None,
        "retry_after": error.retry_after if error else None,
        "deltas": deltas,
    }


def _parsed(arguments: str) -> Any:
    try:
        return orjson.loads(arguments)
    except ValueError:
        return arguments


def compare(row: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What differs between a row and a recording's `expected`, one sentence each; empty where they agree.

    Only the fields that `expected` gives are compared. Where it tells of no error there must be none.
    """
    found: list[str] = []
    if row["error_class"] is not None and not any(
        expected.get(k) for k in ("error_message", "error_class", "error_type")
    ):
        found.append(f"it failed with {row['error_class']}: {row['error_message']}")
    for name in COMPARED:
        if name in expected:
            wanted, got = expected[name], row[name]
            if name == "error_code" and wanted is not None:
                # A code is kept as text, whatever it was on the wire.
                wanted = str(wanted)
            # What was recorded lost its credentials before it was kept, at whichever end of it they were found.
            wanted, got = redacted_value(wanted), redacted_value(got)
            if wanted != got:
                found.append(f"{name} is {_shown(got)}, expected {_shown(wanted)}")
    return found


def _shown(value: Any) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 120 else text[:119] + "…"
