"""Cached answers: what identifies a question, and how an answer is kept. JSON only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from hashlib import sha256
from typing import Any

import orjson

from providers.dialects import names
from providers.dialects.forms import PARALLEL_TOOLS
from providers.types import Completion, GenerationRequest, LLMResponse, TokenUsage, ToolCall

_VERSION = 1
_UNHEARD = frozenset(
    {
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
        "prompt_cache_options",
    }
)  # fmt: skip
"""Fields of vendors' own that change nothing about an answer: who asks, and how it is processed and kept."""


def cache_key(
    request: GenerationRequest, *, preset: str, mode: str, provider: str | None, fallbacks: tuple[str, ...] = ()
) -> str:
    """`llm_cache:{tenant}:{model}:{sha256}` over everything that changes the answer.

    A provider asked for by name is part of the question: its answer is wanted, not another's.
    """
    question: dict[str, Any] = {
        "v": _VERSION,
        "messages": request.chat(),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "stop": request.stop_list(),
        "seed": request.seed,
        "response_format": request.response_format,
        "tools": request.tools,
        "tool_choice": request.tool_choice,
        "preset": preset,
        "mode": mode,
        "provider": provider,
    }
    if fallbacks:
        question["fallbacks"] = fallbacks
    if request.metadata:
        extras = _extras(request)
        if extras:
            question["extras"] = extras
    canonical = orjson.dumps(question, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    tenant = request.tenant_id.replace(":", "%3A")
    return f"llm_cache:{tenant}:{request.model or 'any'}:{sha256(canonical).hexdigest()}"


def prompt_hash(key: str) -> str:
    """The beginning of a cache key's hash: enough to tell the questions of a tenant apart in a report."""
    return key.rpartition(":")[2][:16]


def _extras(request: GenerationRequest) -> dict[str, Any]:
    """What a request has beyond the common form, by the wire format that it came in. The rest is the caller's own."""
    extras: dict[str, Any] = {}
    for name in (*names(), PARALLEL_TOOLS):
        own = request.metadata.get(name)
        if isinstance(own, Mapping):
            own = {key: value for key, value in own.items() if key not in _UNHEARD}
        if own or own is False:
            extras[name] = own
    return extras


def _plain(value: object) -> object:
    if hasattr(value, "items"):
        return dict(value.items())
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"a request cannot hold {type(value).__name__}")


def completion_of(response: LLMResponse) -> Completion:
    """A response as the completion that it came from, to be written again."""
    return Completion(
        # What called tools and said nothing has no text, rather than an empty one.
        text=response.text or (None if response.tool_calls else ""),
        reasoning_text=response.reasoning_text,
        finish_reason=response.finish_reason,
        stop=response.stop,
        usage=response.usage,
        tool_calls=response.tool_calls,
        model=response.model_id,
        metadata=response.metadata,
    )


def pack(response: LLMResponse) -> bytes:
    usage = response.usage
    return orjson.dumps(
        {
            "v": _VERSION,
            "text": response.text,
            "provider": response.provider,
            "model": response.model,
            "model_id": response.model_id,
            "finish_reason": response.finish_reason,
            "stop": response.stop,
            "reasoning_text": response.reasoning_text,
            "tool_calls": [asdict(call) for call in response.tool_calls],
            "cost_usd": None if response.cost_usd is None else str(response.cost_usd),
            "usage": [
                usage.input_tokens,
                usage.output_tokens,
                usage.cached_input_tokens,
                usage.cache_write_tokens,
                usage.reasoning_tokens,
                usage.estimated,
            ],
        }
    )


def unpack(value: bytes) -> LLMResponse | None:
    """The kept answer at cost 0 with what it saved, or None for an entry of another version."""
    try:
        kept = orjson.loads(value)
        if kept["v"] != _VERSION:
            return None
        given, written, cached, writes, reasoning, estimated = kept["usage"]
        saved = kept["cost_usd"]
        zero = Decimal(0)
        return LLMResponse(
            text=kept["text"],
            provider=kept["provider"],
            model=kept["model"],
            model_id=kept["model_id"],
            usage=TokenUsage(given, written, given + written, cached, writes, reasoning, zero, zero, zero, estimated),
            cost_usd=zero,
            finish_reason=kept["finish_reason"],
            stop=kept["stop"],
            reasoning_text=kept["reasoning_text"],
            tool_calls=[ToolCall(**call) for call in kept["tool_calls"]],
            cached=True,
            saved_usd=None if saved is None else Decimal(saved),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, ArithmeticError):
        return None
