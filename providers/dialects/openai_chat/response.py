"""Chat Completions answers, both ways, and what they share with the stream: usage, stop reasons, tool calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.dialects.accumulator import call_id
from providers.dialects.decoding import read_answer
from providers.dialects.forms import arguments_text
from providers.dialects.usage import count, usage_with_cache_inside, word
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ServiceUnavailableError
from providers.types import Completion, RawUsage, StopReason, TokenUsage, ToolCall, content_text

STOPS: Final[dict[str, StopReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_WORDS: Final[dict[StopReason, str]] = {
    "stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter", "other": "stop",
}  # fmt: skip

NO_USAGE: Final = RawUsage()


def stop_of(finish_reason: str | None, has_calls: bool) -> StopReason:
    """The normalised reason. A forced tool call ends with `stop` at OpenAI; it is a tool call all the same."""
    stop = STOPS.get(finish_reason, "other") if finish_reason is not None else "other"
    return "tool_calls" if has_calls and stop == "stop" else stop


def finish_word(completion: Completion) -> str:
    """OpenAI's word for why an answer ended: its own where it was OpenAI's already."""
    own = completion.finish_reason
    if own is not None and STOPS.get(own) == completion.stop:
        return own
    return _WORDS[completion.stop]


def read_usage(
    usage: Mapping[str, Any],
    around: Mapping[str, Any],
    given: str = "prompt_tokens",
    made: str = "completion_tokens",
) -> tuple[TokenUsage | None, RawUsage]:
    """Normalised and raw numbers of a `usage` object, whichever vendor wrote it; the Responses API has other names.

    `around` is what the object stands in: it holds the class of service.
    """
    prompt, completion = usage.get(f"{given}_details"), usage.get(f"{made}_details")
    cached = written = None
    if type(prompt) is dict:
        # Newer models send a 0 for writes with every answer, whether or not they charge for any: it says nothing.
        cached, written = count(prompt, "cached_tokens"), count(prompt, "cache_write_tokens") or None
    if cached is None:
        # DeepSeek's older name, then Moonshot's.
        cached = count(usage, "prompt_cache_hit_tokens")
        if cached is None:
            cached = count(usage, "cached_tokens")
    raw = RawUsage(
        count(usage, given),
        count(usage, made),
        cached,
        written,
        count(completion, "reasoning_tokens") if type(completion) is dict else None,
        None,
        word(around, "service_tier"),
    )
    return usage_with_cache_inside(raw, count(usage, "total_tokens")), raw


def write_usage(usage: TokenUsage, given: str = "prompt_tokens", made: str = "completion_tokens") -> dict[str, Any]:
    prompt: dict[str, int] = {"cached_tokens": usage.cached_input_tokens}
    if usage.cache_write_tokens:
        prompt["cache_write_tokens"] = usage.cache_write_tokens
    return {
        given: usage.input_tokens,
        made: usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        f"{given}_details": prompt,
        f"{made}_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def write_tier(usage: TokenUsage) -> dict[str, str]:
    """The class of service, beside the usage; nothing for the standard one."""
    return {} if usage.service_tier is None else {"service_tier": usage.service_tier}


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "a chat completion")


def first_choice(data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The answer's outermost object and its first choice. Raises the error that either of them is."""
    if type(data) is list and data:
        # Google wraps errors in a list.
        data = data[0]
    choices = data.get("choices")
    # vLLM before 0.10.1 puts the error's fields at the top.
    if data.get("error") or (choices is None and data.get("object") == "error"):
        raise embedded_error(data)
    if not choices:
        raise MalformedResponseError("the answer has no choices")
    choice = choices[0]
    if choice.get("error"):
        raise embedded_error(choice)
    if choice.get("finish_reason") == "error":
        raise ServiceUnavailableError("the provider ended the answer with finish_reason 'error'")
    return data, choice


def _read(data: Any) -> Completion:
    data, choice = first_choice(data)
    message = choice.get("message") or {}
    text = message.get("content")
    if text is not None and type(text) is not str:
        text = content_text(text)
    reasoning = message.get("reasoning_content")
    if reasoning is None:
        reasoning = message.get("reasoning")
    finish = choice.get("finish_reason")
    ident = data.get("id")
    calls = message.get("tool_calls")
    tools = [_call(ident, index, call) for index, call in enumerate(calls)] if calls else []
    usage, raw = None, NO_USAGE
    sent = data.get("usage")
    if sent:
        usage, raw = read_usage(sent, data)
    completion = Completion(
        text,
        reasoning if type(reasoning) is str else None,
        finish if type(finish) is str else None,
        stop_of(finish, bool(tools)),
        usage,
        raw if sent else RawUsage(),
        tools,
        data.get("model") or None,
        ident,
    )
    refusal = message.get("refusal")
    if refusal:
        completion.metadata["refusal"] = refusal
    notes = message.get("annotations")
    if notes:
        completion.metadata["annotations"] = [note for note in notes if type(note.get("type")) is str]
    return completion


def _call(response_id: str | None, index: int, call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    name = function["name"]
    if type(name) is not str:
        raise TypeError(f"tool_calls[{index}].function.name is not a string")
    return ToolCall(
        call.get("id") or call_id(response_id, index, name), name, arguments_text(function.get("arguments"))
    )


def write_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": completion.text,
        "refusal": completion.metadata.get("refusal"),
    }
    if completion.reasoning_text is not None:
        message["reasoning_content"] = completion.reasoning_text
    if completion.tool_calls:
        message["tool_calls"] = [write_call(call) for call in completion.tool_calls]
    if completion.metadata.get("annotations"):
        message["annotations"] = completion.metadata["annotations"]
    body: dict[str, Any] = {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_word(completion)}],
    }
    if completion.usage is not None:
        body["usage"] = write_usage(completion.usage)
        body.update(write_tier(completion.usage))
    return orjson.dumps(body)
