"""Converse answers, both ways, and what they share with the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.dialects.bedrock_converse.blocks import read_thought
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
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "other",
    "malformed_tool_use": "other",
}
_WORDS: Final[dict[StopReason, str]] = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "content_filtered",
    "other": "end_turn",
}  # fmt: skip

LATENCY: Final = "vendor_latency_ms"
"""Key of a completion's metadata: milliseconds that the answer took, by AWS's own clock."""
GUARDRAIL: Final = "trace"
"""Likewise: what guardrails found, where the request asked for it."""


def stop_of(finish_reason: str | None) -> StopReason:
    return STOPS.get(finish_reason, "other") if finish_reason is not None else "other"


def finish_word(completion: Completion) -> str:
    """Converse's word for why an answer ended: its own where it was Converse's already."""
    own = completion.finish_reason
    if own is not None and STOPS.get(own) == completion.stop:
        return own
    return _WORDS[completion.stop]


def read_usage(data: Mapping[str, Any]) -> tuple[TokenUsage | None, RawUsage]:
    """Normalised and raw numbers of an answer, or of a stream's metadata.

    Cached tokens are outside the input, under one of two names; the class of service stands beside the usage.
    """
    usage, tier = data.get("usage") or {}, data.get("serviceTier")
    cached, kept = count(usage, "cacheReadInputTokens"), count(usage, "cacheWriteInputTokens")
    raw = RawUsage(
        count(usage, "inputTokens"),
        count(usage, "outputTokens"),
        count(usage, "cacheReadInputTokenCount") if cached is None else cached,
        count(usage, "cacheWriteInputTokenCount") if kept is None else kept,
        None,
        _kept_for_an_hour(usage.get("cacheDetails")),
        word(tier, "type") if isinstance(tier, dict) else None,
    )
    return usage_with_cache_outside(raw), raw


def _kept_for_an_hour(details: object) -> int | None:
    """The cache writes whose time to live is an hour; None where they are not told apart."""
    if not isinstance(details, list):
        return None
    return sum(count(one, "inputTokens") or 0 for one in details if isinstance(one, dict) and one.get("ttl") == "1h")


def write_usage(usage: TokenUsage | None) -> dict[str, Any]:
    """The format requires usage, so unknown numbers are written as 0."""
    if usage is None:
        return {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    written: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cached_input_tokens or usage.cache_write_tokens:
        written["cacheReadInputTokens"] = usage.cached_input_tokens
        written["cacheWriteInputTokens"] = usage.cache_write_tokens
    if usage.cache_write_1h_tokens:
        short = usage.cache_write_tokens - usage.cache_write_1h_tokens
        details = [{"ttl": "1h", "inputTokens": usage.cache_write_1h_tokens}]
        written["cacheDetails"] = [*details, {"ttl": "5m", "inputTokens": short}] if short else details
    return written


def write_tier(usage: TokenUsage | None) -> dict[str, Any]:
    """The class of service as the format has it, beside the usage; nothing for the standard one."""
    return {} if usage is None or usage.service_tier is None else {"serviceTier": {"type": usage.service_tier}}


def read_extras(data: Mapping[str, Any], metadata: dict[str, Any]) -> None:
    """Keep what comes beside the answer: how long it took, and what guardrails found."""
    metrics, trace = data.get("metrics"), data.get("trace")
    latency = count(metrics, "latencyMs") if isinstance(metrics, dict) else None
    if latency is not None:
        metadata[LATENCY] = latency
    if trace:
        metadata[GUARDRAIL] = trace


def write_metrics(completion: Completion) -> dict[str, Any]:
    return {"latencyMs": completion.metadata.get(LATENCY, 0)}


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, read, "a Converse answer")


def read(data: Any) -> Completion:
    if data.get("error") or data.get("__type"):
        raise embedded_error(data)
    output = data.get("output")
    content = output["message"].get("content") if output else None
    if type(content) is not list:
        raise MalformedResponseError("the answer has no content blocks")
    text: list[str] = []
    reasoning: list[str] = []
    thinking: list[dict[str, Any]] = []
    calls: list[ToolCall] = []
    for block in content:
        if "text" in block:
            text.append(block["text"])
        elif "toolUse" in block:
            call = read_call(block["toolUse"])
            if call is not None:
                calls.append(ToolCall(*call, arguments_text(block["toolUse"].get("input"))))
        elif "reasoningContent" in block:
            thought = read_thought(block["reasoningContent"])
            if thought is not None:
                thinking.append(thought)
                if "thinking" in thought:
                    reasoning.append(thought["thinking"])
        elif "citationsContent" in block:
            text += [piece["text"] for piece in block["citationsContent"].get("content") or ()]
    finish = data.get("stopReason")
    usage, raw = read_usage(data)
    completion = Completion(
        "".join(text) if text else None,
        "".join(reasoning) if reasoning else None,
        finish if type(finish) is str else None,
        stop_of(finish),
        usage,
        raw,
        calls,
    )
    if thinking:
        completion.metadata[THINKING_BLOCKS] = thinking
    read_extras(data, completion.metadata)
    return completion


def read_call(use: Mapping[str, Any]) -> tuple[str, str] | None:
    """(id, name) of a call; None of one that AWS itself has run."""
    if use.get("type") == "server_tool_use":
        return None
    name = use["name"]
    if type(name) is not str:
        raise TypeError("toolUse.name is not a string")
    return use.get("toolUseId") or "", name


def reasoning_blocks(completion: Completion) -> list[dict[str, Any]]:
    """The reasoning as blocks, with signatures where they are known."""
    kept = completion.metadata.get(THINKING_BLOCKS)
    if not kept:
        text = completion.reasoning_text
        return [] if text is None else [{"reasoningContent": {"reasoningText": {"text": text}}}]
    blocks: list[dict[str, Any]] = []
    for thought in kept:
        if thought.get("type") == "redacted_thinking":
            blocks.append({"reasoningContent": {"redactedContent": thought.get("data")}})
        else:
            said = {"text": thought.get("thinking") or ""}
            if thought.get("signature"):
                said["signature"] = thought["signature"]
            blocks.append({"reasoningContent": {"reasoningText": said}})
    return blocks


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    return orjson.dumps(answer_body(completion))


def answer_body(completion: Completion) -> dict[str, Any]:
    """The format holds neither model nor id."""
    content = reasoning_blocks(completion)
    if completion.text is not None:
        content.append({"text": completion.text})
    for call in completion.tool_calls:
        use = {"toolUseId": call.id, "name": call.name, "input": lenient_arguments(call.arguments)}
        content.append({"toolUse": use})
    body: dict[str, Any] = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": finish_word(completion),
        "usage": write_usage(completion.usage),
        "metrics": write_metrics(completion),
        **write_tier(completion.usage),
    }
    if GUARDRAIL in completion.metadata:
        body["trace"] = completion.metadata[GUARDRAIL]
    return body
