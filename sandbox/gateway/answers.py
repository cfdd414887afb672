"""Cached answers: what identifies a question, and how an answer is kept. JSON only."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from hashlib import sha256

import orjson

from providers.types import GenerationRequest, LLMResponse, TokenUsage, ToolCall

_VERSION = 1


def cache_key(request: GenerationRequest, *, preset: str, mode: str, provider: str | None) -> str:
    """`llm_cache:{tenant}:{model}:{sha256}` over everything that changes the answer.

    A provider asked for by name is part of the question: its answer is wanted, not another's.
    """
    question = {
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
    canonical = orjson.dumps(question, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    tenant = request.tenant_id.replace(":", "%3A")
    return f"llm_cache:{tenant}:{request.model or 'any'}:{sha256(canonical).hexdigest()}"


def prompt_hash(key: str) -> str:
    """The beginning of a cache key's hash: enough to tell the questions of a tenant apart in a report."""
    return key.rpartition(":")[2][:16]


def _plain(value: object) -> object:
    if hasattr(value, "items"):
        return dict(value.items())
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"a request cannot hold {type(value).__name__}")


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
