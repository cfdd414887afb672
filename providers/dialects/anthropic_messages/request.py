"""Messages requests, both ways: system prompt beside the messages, tool results in user turns, max_tokens required."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.anthropic_messages.blocks import from_message, to_messages
from providers.dialects.base import DecodedRequest, Quirks
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message

NAME: Final = "anthropic_messages"

_READ = frozenset(
    {
        "model",
        "messages",
        "system",
        "max_tokens",
        "temperature",
        "top_p",
        "stop_sequences",
        "tools",
        "tool_choice",
        "stream",
    }
)
_PASSED = frozenset(
    {
        "top_k",
        "thinking",
        "metadata",
        "service_tier",
        "container",
        "mcp_servers",
        "context_management",
        "inference_geo",
        "output_config",
    }
)
# Models older than structured outputs are told in words (docs.claude.com/en/docs/build-with-claude/structured-outputs).
_WITHOUT_SCHEMAS = ("claude-2", "claude-instant", "claude-3", "sonnet-4-0", "sonnet-4-2025", "opus-4-0", "opus-4-2025")


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the format cannot hold."""
    return forms.dump(request_body(request, model=model, stream=stream, quirks=quirks))


def request_body(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> dict[str, Any]:
    system: list[str | list[Any]] = []
    messages: list[Message] = []
    chat = request.chat()
    forms.check_messages(chat)
    for index, message in enumerate(chat):
        if message.get("role") in ("system", "developer"):
            content = message.get("content")
            if content:
                system.append(content)
        else:
            from_message(message, index, messages)
    _trim_prefill(messages)
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": forms.OPENING})
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or quirks.default_max_tokens,
        "messages": messages,
    }
    extras = request.metadata.get(NAME)
    if extras:
        body.update((k, v) for k, v in extras.items() if k in _PASSED)
    schemas = quirks.json_schema and not any(name in model for name in _WITHOUT_SCHEMAS)
    if request.wants_json():
        schema = forms.json_schema(request) if schemas else None
        if schema is not None:
            body["output_config"] = {
                **body.get("output_config", {}),
                "format": {"type": "json_schema", "schema": schema},
            }
        else:
            system.append(forms.json_instruction(request))
    if system:
        body["system"] = _joined(system)
    if quirks.sampling:
        if request.temperature is not None:
            # OpenAI's scale ends at 2, Anthropic's at 1.
            body["temperature"] = min(request.temperature, 1)
        top_p = quirks.top_p(request)
        if top_p is not None:
            body["top_p"] = top_p
    if request.stop:
        body["stop_sequences"] = request.stop_list()
    if request.tools:
        body["tools"] = [_tool(tool, schemas) for tool in request.tools]
        choice = _choice(request)
        if choice is not None:
            body["tool_choice"] = choice
    if stream:
        body["stream"] = True
    if quirks.extra_body:
        body.update(quirks.extra_body)
    return body


def _joined(system: list[str | list[Any]]) -> str | list[Any]:
    if all(isinstance(piece, str) for piece in system):
        return "\n\n".join(piece for piece in system if isinstance(piece, str))
    blocks: list[Any] = []
    for piece in system:
        if isinstance(piece, str):
            blocks.append({"type": "text", "text": piece})
        else:
            blocks.extend({"type": "text", "text": part} if isinstance(part, str) else part for part in piece)
    return blocks


def _trim_prefill(messages: list[Message]) -> None:
    """The API refuses a last assistant turn that ends in white space."""
    if messages and messages[-1]["role"] == "assistant" and isinstance(messages[-1]["content"], str):
        text = messages[-1]["content"].rstrip()
        if text:
            messages[-1] = {**messages[-1], "content": text}
        elif len(messages) > 1:
            messages.pop()


def _tool(tool: Mapping[str, Any], schemas: bool) -> Mapping[str, Any]:
    view = forms.tool_view(tool)
    if view is None:
        return tool
    body: dict[str, Any] = {"name": view.name, "input_schema": view.parameters or {"type": "object", "properties": {}}}
    if view.description is not None:
        body["description"] = view.description
    if view.strict and schemas:
        body["strict"] = True
    extras = tool.get(forms.ANTHROPIC_EXTRAS)
    if isinstance(extras, Mapping):
        body.update(extras)
    return body


def _choice(request: GenerationRequest) -> dict[str, Any] | None:
    mode, name = forms.chosen_tool(request.tool_choice)
    single = request.metadata.get(forms.PARALLEL_TOOLS) is False
    if mode is None and not single:
        return None
    choice: dict[str, Any] = {
        "type": {"required": "any", "none": "none", "function": "tool"}.get(mode or "auto", "auto")
    }
    if name is not None:
        choice["name"] = name
    if single and mode != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    data = forms.load(body)
    return DecodedRequest(
        read_body(data, forms.text_field(data, "model")), forms.flag_field(data, "stream", False), True
    )


def read_body(data: Mapping[str, Any], model: str | None) -> GenerationRequest:
    turns = forms.objects_field(data, "messages")
    forms.check_messages(turns)
    messages: list[Message] = []
    system = data.get("system")
    if isinstance(system, list):
        forms.check_content(system, "system")
        messages.append({"role": "system", "content": system})
        system = None
    elif system is not None and not isinstance(system, str):
        raise InvalidRequestError("system must be a string or a list of text blocks")
    for turn in turns:
        to_messages(turn, messages)
    limit = forms.whole_field(data, "max_tokens")
    if limit is None:
        raise InvalidRequestError("max_tokens is missing; this format requires it")
    metadata: dict[str, Any] = {}
    extras = {k: v for k, v in data.items() if k not in _READ}
    form = _read_format(extras)
    if extras:
        metadata[NAME] = extras
    choice = forms.object_field(data, "tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        metadata[forms.PARALLEL_TOOLS] = False
    request = GenerationRequest(
        messages=messages,
        system=system or None,
        model=model,
        temperature=forms.number_field(data, "temperature"),
        top_p=forms.number_field(data, "top_p"),
        max_tokens=limit,
        stop=forms.stop_field(data, "stop_sequences"),
        response_format=form,
        tools=[_read_tool(tool) for tool in forms.objects_field(data, "tools")] or None,
        tool_choice=_read_choice(choice),
        metadata=metadata,
    )
    request.check()
    return request


def _read_format(extras: dict[str, Any]) -> dict[str, Any] | None:
    """The schema out of `output_config`, which keeps its other fields."""
    config = extras.get("output_config")
    form = config.get("format") if isinstance(config, dict) else None
    if not isinstance(form, dict) or not isinstance(form.get("schema"), dict):
        return None
    rest = {k: v for k, v in extras.pop("output_config").items() if k != "format"}
    if rest:
        extras["output_config"] = rest
    return forms.schema_format(form["schema"])


def _read_tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") not in (None, "custom"):
        # A tool that Anthropic runs itself: only the same format can carry it on.
        return tool
    name = forms.text_field(tool, "name")
    if not name:
        raise InvalidRequestError("a tool has no name")
    function: dict[str, Any] = {"name": name, "parameters": forms.object_field(tool, "input_schema")}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    if tool.get("strict") is True:
        function["strict"] = True
    read: dict[str, Any] = {"type": "function", "function": function}
    extras = {k: v for k, v in tool.items() if k not in ("name", "input_schema", "description", "strict")}
    if extras:
        read[forms.ANTHROPIC_EXTRAS] = extras
    return read


def _read_choice(choice: Mapping[str, Any]) -> str | Mapping[str, Any] | None:
    kind = choice.get("type")
    if kind is None:
        return None
    if kind == "tool" and isinstance(choice.get("name"), str):
        return forms.named_tool(choice["name"])
    words = {"auto": "auto", "any": "required", "none": "none"}
    if not isinstance(kind, str) or kind not in words:
        raise InvalidRequestError(f"tool_choice.type is {kind!r}; use 'auto', 'any', 'none' or 'tool' with a name")
    return words[kind]
