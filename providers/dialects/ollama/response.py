"""Ollama's answers, both ways. Chat puts the text under `message`, generate under `response`, streamed or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.clock import iso
from providers.dialects.accumulator import call_id
from providers.dialects.decoding import read_answer
from providers.dialects.forms import arguments_text, lenient_arguments
from providers.dialects.usage import count, usage_with_cache_inside
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError
from providers.types import Completion, RawUsage, StopReason, TokenUsage, ToolCall

STOPS: Final[dict[str, StopReason]] = {"stop": "stop", "length": "length", "load": "other", "unload": "other"}


def stop_of(done_reason: str | None, has_calls: bool) -> StopReason:
    """The normalised reason. Versions before 0.1.40 send none; a tool call ends with `stop` as text does."""
    stop = STOPS.get(done_reason, "other") if done_reason is not None else "stop"
    return "tool_calls" if has_calls and stop == "stop" else stop


def done_word(completion: Completion) -> str:
    if completion.finish_reason in STOPS:
        return str(completion.finish_reason)
    return "length" if completion.stop == "length" else "stop"


def read_usage(data: Mapping[str, Any]) -> tuple[TokenUsage | None, RawUsage]:
    raw = RawUsage(count(data, "prompt_eval_count"), count(data, "eval_count"))
    return usage_with_cache_inside(raw), raw


def read_call(data: Mapping[str, Any], index: int, call: Mapping[str, Any]) -> ToolCall:
    """A whole call; versions before 0.12 send no id, so one is derived from when and what it is."""
    function = call["function"]
    name = function["name"]
    if type(name) is not str:
        raise TypeError("tool_calls.function.name is not a string")
    return ToolCall(
        call.get("id") or call_id(data.get("created_at"), index, name), name, arguments_text(function.get("arguments"))
    )


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "Ollama's")


def _read(data: Any) -> Completion:
    if data.get("error"):
        raise embedded_error(data)
    message = data.get("message")
    if message is None:
        if "response" not in data:
            raise MalformedResponseError("the answer has neither a message nor a response")
        text, thinking, calls = data["response"], data.get("thinking"), None
    else:
        text, thinking, calls = message.get("content"), message.get("thinking"), message.get("tool_calls")
    if data.get("done") is not True:
        raise MalformedResponseError("the answer is not marked as done")
    if text is not None and type(text) is not str:
        raise TypeError("the text is not a string")
    tools = [read_call(data, index, call) for index, call in enumerate(calls or ())]
    finish = data.get("done_reason")
    usage, raw = read_usage(data)
    return Completion(
        text,
        thinking if type(thinking) is str else None,
        finish if type(finish) is str else None,
        stop_of(finish, bool(tools)),
        usage,
        raw,
        tools,
        data.get("model") or None,
    )


# --- writing --------------------------------------------------------------------------------------------------------


def head(model: str, created: int) -> dict[str, Any]:
    """`created` is Unix seconds."""
    return {"model": model, "created_at": iso(created * 1_000_000)}


def write_calls(completion: Completion) -> list[dict[str, Any]]:
    return [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": lenient_arguments(call.arguments)}}
        for index, call in enumerate(completion.tool_calls)
    ]


def write_end(completion: Completion) -> dict[str, Any]:
    end: dict[str, Any] = {"done": True, "done_reason": done_word(completion)}
    if completion.usage is not None:
        end["prompt_eval_count"] = completion.usage.input_tokens
        end["eval_count"] = completion.usage.output_tokens
    return end


def encode_chat(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text or ""}
    if completion.reasoning_text is not None:
        message["thinking"] = completion.reasoning_text
    if completion.tool_calls:
        message["tool_calls"] = write_calls(completion)
    return orjson.dumps({**head(model, created), "message": message, **write_end(completion)})


def encode_generate(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    body: dict[str, Any] = {**head(model, created), "response": completion.text or ""}
    if completion.reasoning_text is not None:
        body["thinking"] = completion.reasoning_text
    return orjson.dumps({**body, **write_end(completion)})
