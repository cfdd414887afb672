"""Messages answers, both ways, and what they share with the stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import orjson

from providers.dialects.decoding import read_answer
from providers.dialects.forms import THINKING_BLOCKS, arguments_text, lenient_arguments
from providers.dialects.usage import count, usage_with_cache_outside, word
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError
from providers.types import Completion, RawUsage, StopReason, TokenUsage, ToolCall

STOPS: Final[dict[str, StopReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "other",
}
_WORDS: Final[dict[StopReason, str]] = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal",
    "other": "end_turn",
}  # fmt: skip

_COUNTED: Final = tuple(field.name for field in fields(RawUsage))
_ANYWHERE: Final = ("global", "not_available")
"""What `inference_geo` says where the answer was bound to no place, or of a model that cannot be."""


def stop_of(finish_reason: str | None) -> StopReason:
    return STOPS.get(finish_reason, "other") if finish_reason is not None else "other"


def finish_word(completion: Completion) -> str:
    """Anthropic's word for why an answer ended: its own where it was Anthropic's already."""
    own = completion.finish_reason
    if own is not None and STOPS.get(own) == completion.stop:
        return own
    return _WORDS[completion.stop]


def read_raw_usage(usage: Mapping[str, Any], before: RawUsage | None = None) -> RawUsage:
    """Raw numbers. A stream's later report counts from the start; what it leaves out stays as it was `before`."""
    details, writes = usage.get("output_tokens_details"), usage.get("cache_creation")
    geography = word(usage, "inference_geo")
    raw = RawUsage(
        count(usage, "input_tokens"),
        count(usage, "output_tokens"),
        count(usage, "cache_read_input_tokens"),
        count(usage, "cache_creation_input_tokens"),
        count(details, "thinking_tokens") if isinstance(details, dict) else None,
        count(writes, "ephemeral_1h_input_tokens") if isinstance(writes, dict) else None,
        # The fast mode is a class of service under another name.
        "fast" if usage.get("speed") == "fast" else word(usage, "service_tier"),
        None if geography in _ANYWHERE else geography,
    )
    if before is not None:
        for name in _COUNTED:
            if getattr(raw, name) is None:
                setattr(raw, name, getattr(before, name))
    return raw


def write_usage(usage: TokenUsage | None) -> dict[str, Any]:
    """The format requires usage, so unknown numbers are written as 0."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    written: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
    }
    if usage.cache_write_1h_tokens:
        written["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - usage.cache_write_1h_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        }
    if usage.service_tier == "fast":
        written["speed"] = "fast"
    elif usage.service_tier is not None:
        written["service_tier"] = usage.service_tier
    if usage.region is not None:
        written["inference_geo"] = usage.region
    if usage.reasoning_tokens:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return written


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "a message")


def _read(data: Any) -> Completion:
    if data.get("type") == "error" or data.get("error"):
        raise embedded_error(data)
    content = data.get("content")
    if type(content) is not list:
        raise MalformedResponseError("the answer has no content blocks")
    text: list[str] = []
    reasoning: list[str] = []
    thinking: list[Any] = []
    calls: list[ToolCall] = []
    for block in content:
        kind = block.get("type")
        if kind == "text":
            text.append(block["text"])
        elif kind == "tool_use":
            name = block["name"]
            if type(name) is not str:
                raise TypeError("tool_use.name is not a string")
            calls.append(ToolCall(block.get("id") or "", name, arguments_text(block.get("input"))))
        elif kind == "thinking":
            reasoning.append(block.get("thinking") or "")
            thinking.append(block)
        elif kind == "redacted_thinking":
            thinking.append(block)
    finish = data.get("stop_reason")
    sent = data.get("usage")
    raw = read_raw_usage(sent) if sent else RawUsage()
    completion = Completion(
        "".join(text) if text else None,
        "".join(reasoning) if reasoning else None,
        finish if type(finish) is str else None,
        stop_of(finish),
        usage_with_cache_outside(raw),
        raw,
        calls,
        data.get("model") or None,
        data.get("id"),
    )
    if thinking:
        completion.metadata[THINKING_BLOCKS] = thinking
    if data.get("stop_sequence") is not None:
        completion.metadata["stop_sequence"] = data["stop_sequence"]
    return completion


def thinking_blocks(completion: Completion) -> list[Any]:
    """The thinking as blocks: signed ones unchanged, a foreign vendor's reasoning as a block without a signature."""
    kept = completion.metadata.get(THINKING_BLOCKS)
    if kept:
        return list(kept)
    if completion.reasoning_text is None:
        return []
    return [{"type": "thinking", "thinking": completion.reasoning_text, "signature": ""}]


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    content = thinking_blocks(completion)
    if completion.text is not None:
        content.append({"type": "text", "text": completion.text})
    for call in completion.tool_calls:
        content.append(
            {"type": "tool_use", "id": call.id, "name": call.name, "input": lenient_arguments(call.arguments)}
        )
    return orjson.dumps(
        {
            "id": response_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": finish_word(completion),
            "stop_sequence": completion.metadata.get("stop_sequence"),
            "usage": write_usage(completion.usage),
        }
    )
