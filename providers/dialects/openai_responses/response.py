"""Responses answers, both ways, and what they share with the stream: items, status, usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from providers.dialects.decoding import read_answer
from providers.dialects.forms import RESPONSE_ITEMS
from providers.dialects.openai_chat.response import read_usage, write_tier, write_usage
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError, ServiceUnavailableError
from providers.types import Completion, RawUsage, StopReason, TokenUsage, ToolCall

STOPS: Final[dict[str, StopReason]] = {
    "completed": "stop",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
    "max_messages": "other",
    "steered": "other",
}
_WORDS: Final[dict[StopReason, str]] = {
    "stop": "completed", "length": "max_output_tokens", "tool_calls": "completed", "content_filter": "content_filter",
    "other": "completed",
}  # fmt: skip
_UNFINISHED: Final = ("in_progress", "queued")


def stop_of(finish_reason: str | None, has_calls: bool) -> StopReason:
    """The normalised reason. The status of an answer that calls tools is `completed` as any other's."""
    stop = STOPS.get(finish_reason, "other") if finish_reason is not None else "other"
    return "tool_calls" if has_calls and stop == "stop" else stop


def finish_word(completion: Completion) -> str:
    """The API's word for why an answer ended: its own where it was this API's already."""
    own = completion.finish_reason
    if own in STOPS and stop_of(own, bool(completion.tool_calls)) == completion.stop:
        return own
    return _WORDS[completion.stop]


def read_finish(response: Mapping[str, Any]) -> str | None:
    """Why the answer ended: its status, or what made it incomplete."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    finish = reason if reason is not None else response.get("status")
    if finish is not None and type(finish) is not str:
        raise TypeError("status is not a string")
    return finish


def read_counts(response: Mapping[str, Any]) -> tuple[TokenUsage | None, RawUsage]:
    sent = response.get("usage")
    return read_usage(sent, response, "input_tokens", "output_tokens") if sent else (None, RawUsage())


def failure_of(response: Mapping[str, Any]) -> ProviderError | None:
    """The error that a response object is: a failed or cancelled one, or none but an error."""
    error, status = response.get("error"), response.get("status")
    if error:
        found = embedded_error(response)
    elif status in ("failed", "cancelled"):
        found = ServiceUnavailableError(f"the provider ended the answer with status {status!r}")
    else:
        return None
    found.billed = read_counts(response)[0]
    return found


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "a response")


def _read(data: Any) -> Completion:
    failure = failure_of(data)
    if failure is not None:
        raise failure
    # vLLM before 0.10.1 puts the error's fields at the top.
    if data.get("object") == "error":
        raise embedded_error(data)
    if type(data.get("output")) is not list:
        raise MalformedResponseError("the answer has no output")
    if data.get("status") in _UNFINISHED:
        raise MalformedResponseError(f"the answer is not finished: its status is {data['status']!r}")
    completion = Completion(model=data.get("model") or None, response_id=data.get("id"))
    read_output(data["output"], completion)
    completion.finish_reason = read_finish(data)
    completion.stop = stop_of(completion.finish_reason, bool(completion.tool_calls))
    completion.usage, completion.raw_usage = read_counts(data)
    return completion


def read_output(output: Iterable[Mapping[str, Any]], completion: Completion) -> None:
    """Fill in what the items of an answer say."""
    text: list[str] = []
    reasoning: list[str] = []
    for item in output:
        kind = item.get("type")
        if kind == "message":
            for part in item.get("content") or ():
                if part.get("type") == "output_text":
                    text.append(part["text"])
                elif part.get("type") == "refusal":
                    refuse(completion.metadata, part["refusal"])
            annotate(completion.metadata, item)
        elif kind == "function_call":
            completion.tool_calls.append(read_call(item))
        else:
            keep(completion.metadata, item)
            if kind == "reasoning":
                reasoning += reasoning_of(item)
    completion.text = "".join(text) if text else None
    completion.reasoning_text = "".join(reasoning) if reasoning else None


def read_call(item: Mapping[str, Any]) -> ToolCall:
    name, arguments = item["name"], item.get("arguments") or ""
    if type(name) is not str or type(arguments) is not str:
        raise TypeError("function_call has a name or arguments that are no string")
    return ToolCall(item.get("call_id") or item.get("id") or "", name, arguments)


def reasoning_of(item: Mapping[str, Any]) -> list[str]:
    """The texts of a reasoning item: OpenAI tells a summary, servers of open models the thinking itself."""
    return [part["text"] for name in ("summary", "content") for part in item.get(name) or ()]


def keep(metadata: dict[str, Any], item: Mapping[str, Any]) -> None:
    """Remember an item that the next request must bring back as it is."""
    metadata.setdefault(RESPONSE_ITEMS, []).append(item)


def refuse(metadata: dict[str, Any], text: str) -> None:
    metadata["refusal"] = metadata.get("refusal", "") + text


def annotate(metadata: dict[str, Any], item: Mapping[str, Any]) -> None:
    """Collect a message's citations, in the form that chat completions give them."""
    for part in item.get("content") or ():
        for note in part.get("annotations") or ():
            if note.get("type") == "url_citation":
                note = {"type": "url_citation", "url_citation": {k: v for k, v in note.items() if k != "type"}}
            metadata.setdefault("annotations", []).append(note)


# --- out ------------------------------------------------------------------------------------------------------------


def text_part(text: str, annotations: Any = None) -> dict[str, Any]:
    notes = [
        {"type": note["type"], **note["url_citation"]} if isinstance(note.get("url_citation"), Mapping) else note
        for note in annotations or ()
    ]
    return {"type": "output_text", "annotations": notes, "logprobs": [], "text": text}


def refusal_part(text: str) -> dict[str, Any]:
    return {"type": "refusal", "refusal": text}


def message_item(ident: str, parts: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {"id": ident, "type": "message", "status": status, "content": parts, "role": "assistant"}


def reasoning_item(ident: str, text: str | None) -> dict[str, Any]:
    summary = [] if text is None else [{"type": "summary_text", "text": text}]
    return {"id": ident, "type": "reasoning", "summary": summary}


def call_item(ident: str, call: ToolCall, status: str) -> dict[str, Any]:
    return {
        "id": ident, "type": "function_call", "status": status, "arguments": call.arguments, "call_id": call.id,
        "name": call.name,
    }  # fmt: skip


def item_id(prefix: str, response_id: str, index: int) -> str:
    """An id for the item at that place of a response: the same for the same response."""
    return f"{prefix}_{response_id.removeprefix('resp_')}{index:02}"


def response_object(
    *, model: str, response_id: str, created: int, status: str, output: list[dict[str, Any]], **fields: Any
) -> dict[str, Any]:
    """The object that answers are, with what OpenAI says of a request that asked for nothing special."""
    return {
        "id": response_id, "object": "response", "created_at": created, "status": status, "background": False,
        "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None, "model": model,
        "output": output, "parallel_tool_calls": True, "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled", "usage": None, "user": None, "metadata": {}, **fields,
    }  # fmt: skip


def ending(completion: Completion) -> dict[str, Any]:
    """The fields of a response object that say how it ended, its status first of all."""
    word = finish_word(completion)
    fields: dict[str, Any] = {"status": "completed"}
    if word != "completed":
        fields = {"status": "incomplete", "incomplete_details": {"reason": word}}
    if completion.usage is not None:
        fields["usage"] = write_usage(completion.usage, "input_tokens", "output_tokens")
        fields |= write_tier(completion.usage)
    return fields


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    fields = ending(completion)
    output = list(completion.metadata.get(RESPONSE_ITEMS) or ())
    if not output and completion.reasoning_text is not None:
        output.append(reasoning_item(item_id("rs", response_id, 0), completion.reasoning_text))
    parts = []
    if completion.text is not None:
        parts.append(text_part(completion.text, completion.metadata.get("annotations")))
    if completion.metadata.get("refusal"):
        parts.append(refusal_part(completion.metadata["refusal"]))
    if parts:
        output.append(message_item(item_id("msg", response_id, len(output)), parts, fields["status"]))
    for call in completion.tool_calls:
        output.append(call_item(item_id("fc", response_id, len(output)), call, fields["status"]))
    return orjson.dumps(response_object(model=model, response_id=response_id, created=created, output=output, **fields))
