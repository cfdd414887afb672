"""Responses requests, both ways: the system prompt beside the input, flat tools, the answer's form under `text`.

The API has no stop sequences and no seed: neither is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.openai_chat.request import read_form, read_mode, wanted_form
from providers.dialects.openai_responses.items import from_messages, to_messages
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest

NAME: Final = "openai_responses"

_READ = frozenset(
    {
        "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "text", "tools", "tool_choice",
        "parallel_tool_calls", "stream", "stream_options", "background",
    }
)  # fmt: skip
# Sent on as the caller wrote them; anything else is kept in the metadata and not sent.
_PASSED = frozenset(
    {
        "reasoning", "store", "previous_response_id", "conversation", "include", "metadata", "service_tier",
        "truncation", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "prompt", "max_tool_calls", "top_logprobs", "context_management", "top_k", "min_p",
        "repetition_penalty",
    }
)  # fmt: skip


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the format cannot hold."""
    extras: Mapping[str, Any] = request.metadata.get(NAME) or {}
    body: dict[str, Any] = {"model": model}
    instructions = [request.system] if request.system else []
    if request.messages:
        # The system prompt has its own field, a question beside the messages has not.
        asked = [] if request.prompt is None else [{"role": "user", "content": request.prompt}]
        messages = [*request.messages, *asked]
        forms.check_messages(messages)
        body["input"] = from_messages(messages)
    else:
        body["input"] = request.prompt or ""
    text = dict(extras.get("text") or {})
    if request.response_format is not None:
        form, told = wanted_form(request, quirks)
        if form is not None:
            text["format"] = _format(form)
        if told is not None:
            instructions.append(told)
    if instructions:
        body["instructions"] = "\n\n".join(instructions)
    if text:
        body["text"] = text
    if request.max_tokens is not None:
        body["max_output_tokens"] = max(request.max_tokens, quirks.min_max_tokens)
    if quirks.sampling:
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.top_p is not None:
            body["top_p"] = request.top_p
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        choice = extras["tool_choice"] if "tool_choice" in extras else _choice(request)
        if choice is not None:
            body["tool_choice"] = choice
        if request.metadata.get(forms.PARALLEL_TOOLS) is False:
            body["parallel_tool_calls"] = False
    if stream:
        body["stream"] = True
    body.update((k, v) for k, v in extras.items() if k in _PASSED)
    body.update(quirks.extra_body)
    return forms.dump(body)


def _format(form: Mapping[str, Any]) -> dict[str, Any]:
    """What chat completions nest stands beside the type here."""
    inner = form.get("json_schema")
    return {"type": form["type"], **({"name": "response", **inner} if isinstance(inner, Mapping) else {})}


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    view = forms.tool_view(tool)
    if view is None:
        # One that the vendor runs itself.
        return tool
    body: dict[str, Any] = {
        "type": "function",
        "name": view.name,
        "parameters": view.parameters or {"type": "object", "properties": {}},
        # What is not said to be loose is strict here.
        "strict": view.strict,
    }
    if view.description is not None:
        body["description"] = view.description
    return body


def _choice(request: GenerationRequest) -> str | dict[str, Any] | None:
    mode, name = forms.chosen_tool(request.tool_choice)
    return mode if name is None else {"type": "function", "name": name}


# --- in -------------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = forms.load(body)
    extras = {k: v for k, v in data.items() if k not in _READ}
    text = forms.object_field(data, "text")
    if text.keys() - {"format"}:
        extras["text"] = {k: v for k, v in text.items() if k != "format"}
    choice = _read_choice(data, extras)
    metadata: dict[str, Any] = {NAME: extras} if extras else {}
    if data.get(forms.PARALLEL_TOOLS) is False:
        metadata[forms.PARALLEL_TOOLS] = False
    request = GenerationRequest(
        system=forms.text_field(data, "instructions") or None,
        model=forms.text_field(data, "model"),
        temperature=forms.number_field(data, "temperature"),
        top_p=forms.number_field(data, "top_p"),
        max_tokens=forms.whole_field(data, "max_output_tokens"),
        response_format=_read_format(forms.object_field(text, "format")),
        tools=[_read_tool(tool) for tool in forms.objects_field(data, "tools")] or None,
        tool_choice=choice,
        metadata=metadata,
    )
    asked = data.get("input")
    if isinstance(asked, str):
        request.prompt = asked
    elif isinstance(asked, list) and asked and all(isinstance(item, dict) for item in asked):
        forms.check_length(asked, "input")
        request.messages = to_messages(asked)
    else:
        shown = "missing" if asked is None else forms.shown(asked)
        raise InvalidRequestError(f"input is {shown}; it must be a string or a list of items")
    request.check()
    return DecodedRequest(request, forms.flag_field(data, "stream", False), True)


def _read_format(form: Mapping[str, Any]) -> Mapping[str, Any] | None:
    read = read_form(form, "text.format")
    if read is None or read["type"] != "json_schema":
        return read
    return {"type": "json_schema", "json_schema": {k: v for k, v in read.items() if k != "type"}}


def _read_tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        # One that the vendor runs itself: only this format can carry it on.
        return tool
    name = forms.text_field(tool, "name")
    if not name:
        raise InvalidRequestError("a function tool has no name")
    function: dict[str, Any] = {"name": name, "parameters": forms.object_field(tool, "parameters")}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    if tool.get("strict") is True:
        function["strict"] = True
    return {"type": "function", "function": function}


def _read_choice(data: Mapping[str, Any], extras: dict[str, Any]) -> str | Mapping[str, Any] | None:
    choice = data.get("tool_choice")
    if isinstance(choice, dict):
        if choice.get("type") == "function" and isinstance(choice.get("name"), str):
            return forms.named_tool(choice["name"])
        # A set of allowed tools, or one that the vendor runs itself.
        extras["tool_choice"] = choice
        return None
    return read_mode(choice)
