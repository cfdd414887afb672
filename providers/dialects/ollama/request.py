"""Ollama's requests, both ways, for `/api/chat` and `/api/generate`: streamed by default, sampling in `options`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.base import DecodedRequest, Quirks
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest, Message, content_text

NAME: Final = "ollama"

_CHAT_READ = frozenset({"model", "messages", "tools", "format", "options", "stream"})
_GENERATE_READ = frozenset({"model", "prompt", "system", "format", "options", "stream", "images"})
_PASSED = frozenset({"think", "keep_alive", "truncate", "shift", "suffix", "template", "context", "raw"})
_CHAT_PASSED = frozenset({"think", "keep_alive", "truncate", "shift"})


# --- out ------------------------------------------------------------------------------------------------------------


def encode_chat(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """Raises InvalidRequestError for what the format cannot hold.

    The API has no tool choice: `none` leaves the tools out, a named tool is offered alone, `required` is as `auto`.
    """
    names: dict[str, str] = {}
    chat = request.chat()
    forms.check_messages(chat)
    body: dict[str, Any] = {
        "model": model,
        "messages": [_out(message, index, names) for index, message in enumerate(chat)],
        "stream": stream,
    }
    mode, chosen = forms.chosen_tool(request.tool_choice)
    if request.tools and mode != "none":
        body["tools"] = [_tool(tool) for tool in request.tools if chosen is None or _is_named(tool, chosen)]
    _common(request, body, quirks, _CHAT_PASSED)
    return forms.dump(body)


def encode_generate(request: GenerationRequest, *, model: str, stream: bool, quirks: Quirks) -> bytes:
    """A one-turn request. Raises InvalidRequestError for a conversation or tools, which this endpoint cannot hold."""
    system: list[str] = []
    turns: list[Message] = []
    chat = request.chat()
    forms.check_messages(chat)
    for index, message in enumerate(chat):
        if message.get("role") in ("system", "developer"):
            system.append(content_text(message.get("content")))
        else:
            turns.append(_out(message, index, {}))
    if len(turns) != 1 or turns[0]["role"] != "user" or request.tools:
        raise InvalidRequestError("/api/generate takes one user message and no tools; use /api/chat for more")
    body: dict[str, Any] = {"model": model, "prompt": turns[0]["content"], "stream": stream}
    if system:
        body["system"] = "\n\n".join(system)
    if turns[0].get("images"):
        body["images"] = turns[0]["images"]
    _common(request, body, quirks, _PASSED)
    return forms.dump(body)


def _common(request: GenerationRequest, body: dict[str, Any], quirks: Quirks, passed: frozenset[str]) -> None:
    extras = request.metadata.get(NAME) or {}
    options: dict[str, Any] = dict(extras.get("options") or {})
    if quirks.sampling:
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.top_p is not None:
            options["top_p"] = request.top_p
        if request.seed is not None:
            options["seed"] = request.seed
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    if request.stop:
        options["stop"] = request.stop_list()
    if options:
        body["options"] = options
    if request.wants_json():
        schema = forms.json_schema(request) if quirks.json_schema else None
        body["format"] = "json" if schema is None else schema
    body.update((k, v) for k, v in extras.items() if k in passed)
    body.update(quirks.extra_body)


def _out(message: Message, index: int, names: dict[str, str]) -> Message:
    """A message in Ollama's form; `names` remembers which tool each call id named, as results carry the tool's name."""
    role = message["role"]
    text, images = _text_and_images(forms.said(message), index)
    out: Message = {"role": "system" if role == "developer" else role, "content": text}
    if images:
        out["images"] = images
    if role == "assistant":
        thinking = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(thinking, str):
            out["thinking"] = thinking
        calls = message.get("tool_calls")
        if calls:
            out["tool_calls"] = [_call_out(call, index, names) for call in calls]
    elif role == "tool":
        ident = message.get("tool_call_id")
        if ident:
            out["tool_call_id"] = ident
        name = message.get("name") or names.get(ident or "")
        if name:
            out["tool_name"] = name
    return out


def _call_out(call: Mapping[str, Any], index: int, names: dict[str, str]) -> dict[str, Any]:
    function = call.get("function") or {}
    name, ident = function.get("name") or "", call.get("id")
    arguments = forms.arguments_object(function.get("arguments"))
    if arguments is None:
        raise InvalidRequestError(f"messages[{index}]: the arguments of tool call {name!r} are not a JSON object")
    out: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
    if ident:
        names[ident] = name
        out["id"] = ident
    return out


def _text_and_images(content: Any, index: int) -> tuple[str, list[str]]:
    if content is None or isinstance(content, str):
        return content or "", []
    texts: list[str] = []
    images: list[str] = []
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif part.get("type") == "text":
            texts.append(part.get("text") or "")
        elif part.get("type") == "image_url":
            data = forms.data_url(forms.image_address(part))
            if data is None:
                raise InvalidRequestError(
                    f"messages[{index}] has an image by address; Ollama takes images only as data URLs"
                )
            images.append(data[1])
        else:
            raise InvalidRequestError(
                f"messages[{index}] has a part of type {part.get('type')!r}, which Ollama does not take"
            )
    return "".join(texts), images


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": "function", "function": tool["function"]} if "function" in tool else tool


def _is_named(tool: Mapping[str, Any], name: str) -> bool:
    view = forms.tool_view(tool)
    return view is not None and view.name == name


# --- in -------------------------------------------------------------------------------------------------------------


def decode_request(body: bytes, *, path: str = "") -> DecodedRequest:
    """The path tells the endpoint; without one, a `prompt` does."""
    data = forms.load(body)
    if path.partition("?")[0].endswith("/generate") or (not path and "prompt" in data):
        return _read_generate(data)
    messages = forms.objects_field(data, "messages")
    forms.check_messages(messages)
    return _finished(data, [_in(message) for message in messages], _CHAT_READ, None)


def _read_generate(data: dict[str, Any]) -> DecodedRequest:
    prompt = forms.text_field(data, "prompt")
    if not prompt:
        raise InvalidRequestError("prompt is missing; /api/generate needs one")
    images = data.get("images") or []
    content: str | list[dict[str, Any]] = prompt
    if images:
        content = [{"type": "text", "text": prompt}, *_image_parts(images)]
    return _finished(data, [{"role": "user", "content": content}], _GENERATE_READ, forms.text_field(data, "system"))


def _finished(
    data: dict[str, Any], messages: list[Message], read: frozenset[str], system: str | None
) -> DecodedRequest:
    options = forms.object_field(data, "options")
    limit = forms.whole_field(options, "num_predict")
    extras: dict[str, Any] = {k: v for k, v in data.items() if k not in read}
    unread = {k: v for k, v in options.items() if k not in ("temperature", "top_p", "seed", "num_predict", "stop")}
    if unread:
        extras["options"] = unread
    form = data.get("format")
    if isinstance(form, dict):
        form = forms.schema_format(form)
    elif form not in (None, "", "json"):
        raise InvalidRequestError(f"format is {str(form)[:60]!r}; use 'json' or a JSON Schema object")
    request = GenerationRequest(
        messages=messages,
        system=system or None,
        model=forms.text_field(data, "model"),
        temperature=forms.number_field(options, "temperature"),
        top_p=forms.number_field(options, "top_p"),
        # -1 and -2 stand for 'no limit' and 'until the window is full'.
        max_tokens=limit if limit is not None and limit > 0 else None,
        stop=forms.stop_field(options, "stop"),
        seed=forms.whole_field(options, "seed"),
        response_format={"type": "json_object"} if form == "json" else form or None,
        tools=forms.objects_field(data, "tools") or None,
        metadata={NAME: extras} if extras else {},
    )
    request.check()
    return DecodedRequest(request, forms.flag_field(data, "stream", True), True)


def _in(message: dict[str, Any]) -> Message:
    role, content = message["role"].lower(), message.get("content")
    read: Message = {"role": role, "content": content or ""}
    if message.get("images"):
        parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if content else []
        read["content"] = [*parts, *_image_parts(message["images"])]
    if role == "assistant":
        if isinstance(message.get("thinking"), str):
            read["reasoning_content"] = message["thinking"]
        calls = forms.objects_field(message, "tool_calls")
        if calls:
            read["tool_calls"] = [_call_in(call) for call in calls]
    elif role == "tool":
        for theirs, ours in (("tool_call_id", "tool_call_id"), ("tool_name", "name")):
            if message.get(theirs):
                read[ours] = message[theirs]
    return read


def _call_in(call: Mapping[str, Any]) -> dict[str, Any]:
    function = forms.object_field(call, "function")
    arguments = forms.arguments_text(function.get("arguments"))
    return {
        "id": call.get("id") or "",
        "type": "function",
        "function": {"name": function.get("name") or "", "arguments": arguments},
    }


def _image_parts(images: Sequence[Any]) -> list[dict[str, Any]]:
    if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
        raise InvalidRequestError("images must be a list of base64 strings")
    # The format does not say what kind of image it is; the bytes do, and every vendor looks at those.
    return [forms.image_part(f"data:image/png;base64,{image}") for image in images]
