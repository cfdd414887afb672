"""Converse requests, both ways: the model in the path, blocks in place of parts, sampling in `inferenceConfig`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.dialects.bedrock import Takes, read_path, takes, takes_schemas, takes_system
from providers.dialects.bedrock_converse.blocks import (
    CACHE_CONTROL,
    cache_point,
    content_blocks,
    from_message,
    plain,
    read_cache_point,
    read_parts,
    to_messages,
)
from providers.dialects.bedrock_converse.documents import settle
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message

NAME: Final = "bedrock_converse"

_READ: Final = frozenset({"modelId", "messages", "system", "inferenceConfig", "toolConfig"})
_PASSED: Final = frozenset(
    {
        "additionalModelRequestFields", "additionalModelResponseFieldPaths", "guardrailConfig", "outputConfig",
        "performanceConfig", "promptVariables", "requestMetadata", "serviceTier",
    }
)  # fmt: skip


def encode_request(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the format cannot hold. Model and `stream` are said by the path."""
    return forms.dump(request_body(request, model=model, quirks=quirks))


def request_body(request: GenerationRequest, *, model: str, quirks: Quirks) -> dict[str, Any]:
    taken = takes(model)
    system: list[dict[str, Any]] = []
    turns: list[Message] = []
    chat = request.chat()
    forms.check_messages(chat)
    for index, message in enumerate(chat):
        if message.get("role") in ("system", "developer"):
            system += content_blocks(message.get("content"), index, taken)
        else:
            from_message(message, index, turns, taken)
    settle(turns)
    _trim_prefill(turns)
    body: dict[str, Any] = {"messages": turns}
    extras = request.metadata.get(NAME) or {}
    body.update((k, v) for k, v in extras.items() if k in _PASSED)
    if request.wants_json():
        schema = forms.json_schema(request) if quirks.json_schema and takes_schemas(model) else None
        if schema is None:
            system.append({"text": forms.json_instruction(request)})
        else:
            body["outputConfig"] = {**body.get("outputConfig", {}), "textFormat": _text_format(schema)}
    if system and takes_system(model):
        body["system"] = system
    elif system and turns and turns[0]["role"] == "user":
        turns[0]["content"] = system + turns[0]["content"]
    elif system:
        turns.insert(0, {"role": "user", "content": system})
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": [{"text": forms.OPENING}]})
    sampling = _sampling(request, quirks)
    if sampling:
        body["inferenceConfig"] = sampling
    tools = _tools(request, chat, taken)
    if tools:
        body["toolConfig"] = tools
    body.update(quirks.extra_body)
    return body


def _trim_prefill(turns: list[Message]) -> None:
    """A last assistant turn that ends in white space is refused."""
    if turns and turns[-1]["role"] == "assistant" and "text" in turns[-1]["content"][-1]:
        turns[-1]["content"][-1]["text"] = turns[-1]["content"][-1]["text"].rstrip()


def _text_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    text = forms.dump(schema).decode()
    return {"type": "json_schema", "structure": {"jsonSchema": {"schema": text, "name": "response"}}}


def _sampling(request: GenerationRequest, quirks: Quirks) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if request.max_tokens is not None:
        config["maxTokens"] = request.max_tokens
    if quirks.sampling:
        if request.temperature is not None:
            # OpenAI's scale ends at 2, this one at 1.
            config["temperature"] = min(request.temperature, 1)
        top_p = quirks.top_p(request)
        if top_p is not None:
            config["topP"] = top_p
    if request.stop:
        config["stopSequences"] = request.stop_list()
    return config


def _tools(request: GenerationRequest, chat: Sequence[Message], taken: Takes) -> dict[str, Any]:
    """The tools to offer. There is no choice `none`: it leaves them out.

    But a conversation in which tools were used is refused without any, so then those that were used are named.
    """
    mode, name = forms.chosen_tool(request.tool_choice)
    if not request.tools or mode == "none":
        used = dict.fromkeys(name for message in chat for name in _called(message))
        return {"tools": [_spec({"name": tool}) for tool in used]} if used else {}
    tools: list[Mapping[str, Any]] = []
    for tool in request.tools:
        view = forms.tool_view(tool)
        tools.append(tool if view is None else _spec(tool["function"], strict=view.strict))
        extras = tool.get(forms.ANTHROPIC_EXTRAS)
        if taken.tool_marks and isinstance(extras, Mapping) and extras.get(CACHE_CONTROL):
            tools.append(cache_point(extras[CACHE_CONTROL], taken))
    config: dict[str, Any] = {"tools": tools}
    if name is not None:
        config["toolChoice"] = {"tool": {"name": name}}
    elif mode is not None:
        config["toolChoice"] = {"any" if mode == "required" else "auto": {}}
    return config


def _called(message: Message) -> list[str]:
    names = ((call.get("function") or {}).get("name") for call in message.get("tool_calls") or ())
    return [name for name in names if name]


def _spec(function: Mapping[str, Any], strict: bool = False) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": function["name"],
        "inputSchema": {"json": function.get("parameters") or {"type": "object", "properties": {}}},
    }
    if function.get("description"):
        spec["description"] = function["description"]
    if strict:
        spec["strict"] = True
    return {"toolSpec": spec}


# --- in -------------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    model, stream = read_path(path)
    return DecodedRequest(read_body(forms.load(body), model), stream, True)


def read_body(data: Mapping[str, Any], model: str | None, *, read: frozenset[str] = _READ) -> GenerationRequest:
    """The request of a parsed body, whose fields beside `read` are kept for this format. Raises InvalidRequestError."""
    turns = forms.objects_field(data, "messages")
    forms.check_messages(turns)
    messages: list[Message] = []
    system = plain(read_parts(forms.objects_field(data, "system")))
    if isinstance(system, list) and system:
        messages.append({"role": "system", "content": system})
    for index, turn in enumerate(turns):
        to_messages(turn, index, messages)
    extras = {k: v for k, v in data.items() if k not in read}
    form = _read_format(extras)
    config, tools = forms.object_field(data, "inferenceConfig"), forms.object_field(data, "toolConfig")
    request = GenerationRequest(
        messages=messages,
        system=system if isinstance(system, str) else None,
        model=model,
        temperature=forms.number_field(config, "temperature"),
        top_p=forms.number_field(config, "topP"),
        max_tokens=forms.whole_field(config, "maxTokens"),
        stop=forms.stop_field(config, "stopSequences"),
        response_format=form,
        tools=_read_tools(forms.objects_field(tools, "tools")) or None,
        tool_choice=_read_choice(forms.object_field(tools, "toolChoice")),
        metadata={NAME: extras} if extras else {},
    )
    request.check()
    return request


def _read_format(extras: dict[str, Any]) -> dict[str, Any] | None:
    """The schema out of `outputConfig`, which keeps its other fields."""
    config = forms.object_field(extras, "outputConfig")
    structure = forms.object_field(forms.object_field(config, "textFormat"), "structure")
    text = forms.text_field(forms.object_field(structure, "jsonSchema"), "schema")
    if text is None:
        return None
    try:
        schema = orjson.loads(text)
    except ValueError as error:
        raise InvalidRequestError(f"outputConfig.textFormat…schema is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise InvalidRequestError("outputConfig.textFormat…schema must be a JSON Schema object, written as text")
    rest = {k: v for k, v in extras.pop("outputConfig").items() if k != "textFormat"}
    if rest:
        extras["outputConfig"] = rest
    return forms.schema_format(schema)


def _read_tools(tools: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = []
    for tool in tools:
        if "cachePoint" in tool and read:
            read[-1][forms.ANTHROPIC_EXTRAS] = {CACHE_CONTROL: read_cache_point(tool)}
        elif "toolSpec" in tool:
            read.append(_read_spec(forms.object_field(tool, "toolSpec")))
        elif "cachePoint" not in tool:
            # A tool that AWS runs itself: only the same format can carry it on.
            read.append(dict(tool))
    return read


def _read_spec(spec: Mapping[str, Any]) -> dict[str, Any]:
    name = forms.text_field(spec, "name")
    if not name:
        raise InvalidRequestError("a toolSpec has no name")
    schema = forms.object_field(forms.object_field(spec, "inputSchema"), "json")
    function: dict[str, Any] = {"name": name, "parameters": schema}
    if spec.get("description") is not None:
        function["description"] = forms.text_field(spec, "description")
    if spec.get("strict") is True:
        function["strict"] = True
    return {"type": "function", "function": function}


def _read_choice(choice: Mapping[str, Any]) -> str | Mapping[str, Any] | None:
    if not choice:
        return None
    if "tool" in choice:
        name = forms.text_field(forms.object_field(choice, "tool"), "name")
        if name:
            return forms.named_tool(name)
    elif "any" in choice:
        return "required"
    elif "auto" in choice:
        return "auto"
    raise InvalidRequestError(f"toolConfig.toolChoice is {str(choice)[:60]!r}; use auto, any or tool with a name")
