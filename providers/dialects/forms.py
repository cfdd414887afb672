"""What requests of every format have in common: reading fields with clear complaints, tools, JSON answers, images.

The common form is OpenAI's. What a format has beyond it travels in `GenerationRequest.metadata` under the dialect's
name and is written back only by the same dialect; a tool or message keeps foreign keys under the names listed here.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from json import JSONDecoder
from typing import Any, NamedTuple

import orjson

from providers.dialects.accumulator import call_id
from providers.errors import InvalidRequestError
from providers.types import GenerationRequest

PARALLEL_TOOLS = "parallel_tool_calls"
"""Key of `metadata`: False forbids several tool calls in one answer, in every format that can say so."""

ANTHROPIC_EXTRAS = "anthropic"
"""Key of a tool: what Anthropic's form of it has beyond the common one."""
THINKING_BLOCKS = "thinking_blocks"
"""Key of an assistant message and of a completion's metadata: Anthropic's signed thinking, to be sent back."""
RESPONSE_ITEMS = "response_items"
"""Likewise: items of OpenAI's Responses API that no message can hold, such as reasoning, to be sent back."""

THOUGHT_SIGNATURES = "thought_signatures"
"""Likewise: Gemini's signatures, `{"signature": …}` for the text, with `"call": 0` for the first call and so on."""
RAW_FINISH = "raw_finish_reason"
"""Key of a completion's metadata: the finish reason as sent, where that was a number and no word."""

MAX_ENTRIES = 10_000
"""Messages, parts or tools of one request, a hundred times what is common. Each costs some ten microseconds in every
format that it is read from and written to."""
_TEXT = (str, type(None))
_CALL_ID = r"[A-Za-z0-9_-]{1,64}"
OPENING = "Hello."
"""What the user says first where a vendor refuses a conversation that the assistant begins."""
_BY_SCHEMA = " It must follow this JSON Schema: "
JSON_ONLY = "Answer with one valid JSON value and nothing else: no explanation, no code fence."


class ToolView(NamedTuple):
    name: str
    description: str | None
    parameters: Mapping[str, Any]
    strict: bool


def dump(body: Any) -> bytes:
    """JSON bytes. Raises InvalidRequestError for what JSON cannot hold."""
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray, memoryview)):
        return list(value)
    raise TypeError


def load(body: bytes) -> dict[str, Any]:
    """The JSON object of a request body. Raises InvalidRequestError."""
    try:
        data = orjson.loads(body)
    except ValueError as error:
        raise InvalidRequestError(f"the request body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InvalidRequestError(f"the request body is a JSON {type(data).__name__}; it must be an object")
    return data


def text_field(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be a string")


def flag_field(data: Mapping[str, Any], name: str, default: bool) -> bool:
    value = data.get(name)
    if value is None:
        return default
    if isinstance(value, bool):
        return value
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be true or false")


def number_field(data: Mapping[str, Any], name: str) -> float | None:
    value = data.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be a number")


def whole_field(data: Mapping[str, Any], name: str) -> int | None:
    value = number_field(data, name)
    if value is None or isinstance(value, int):
        return value
    # JSON writes 1.0 for the integer 1 as well.
    if value.is_integer():
        return int(value)
    raise InvalidRequestError(f"{name} is {value}; it must be a whole number")


def object_field(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be an object")


def objects_field(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = data.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        check_length(value, name)
        return value
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be a list of objects")


def check_length(entries: Sequence[object], where: str) -> None:
    """Raise InvalidRequestError for a list that would keep everybody else waiting while it is read and written."""
    if len(entries) > MAX_ENTRIES:
        raise InvalidRequestError(f"{where} has {len(entries):,} entries; the limit is {MAX_ENTRIES:,}")


def stop_field(data: Mapping[str, Any], name: str) -> str | list[str] | None:
    value = data.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value or None
    raise InvalidRequestError(f"{name} is {shown(value)}; it must be a string or a list of strings")


def check_messages(messages: Sequence[Mapping[str, Any]]) -> None:
    """Raise InvalidRequestError, naming the place, for a message of a shape that no format has."""
    if not messages:
        raise InvalidRequestError("messages is missing; the request needs at least one message")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, (dict, Mapping)) or not isinstance(message.get("role"), str):
            raise InvalidRequestError(
                f"{where} is not a message with a role, such as {{'role': 'user', 'content': 'Hi'}}"
            )
        content = message.get("content")
        if len(message) == 2 and isinstance(content, str):
            # A role and a text, as nearly every message is.
            continue
        check_content(content, f"{where}.content")
        for name in ("tool_call_id", "name"):
            if not isinstance(message.get(name), _TEXT):
                raise InvalidRequestError(f"{where}.{name} is {shown(message[name])}; it must be a string")
        for name in ("tool_calls", THINKING_BLOCKS, RESPONSE_ITEMS, THOUGHT_SIGNATURES):
            items = message.get(name)
            if items is not None and not (
                isinstance(items, (list, tuple)) and all(isinstance(i, Mapping) for i in items)
            ):
                raise InvalidRequestError(f"{where}.{name} is {shown(items)}; it must be a list of objects")
        for number, call in enumerate(message.get("tool_calls") or ()):
            _check_call(call, f"{where}.tool_calls[{number}]")


def check_content(content: object, where: str) -> None:
    """Raise InvalidRequestError for content that is neither text nor a list of parts."""
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, (list, tuple)):
        raise InvalidRequestError(f"{where} is {shown(content)}; it must be a string or a list of parts")
    check_length(content, where)
    for index, part in enumerate(content):
        if isinstance(part, str):
            continue
        if not isinstance(part, Mapping) or not isinstance(part.get("type"), _TEXT):
            raise InvalidRequestError(f"{where}[{index}] is {shown(part)}; it must be an object with a type")
        if not isinstance(part.get("text"), _TEXT):
            raise InvalidRequestError(f"{where}[{index}].text is {shown(part['text'])}; it must be a string")


def said(message: Mapping[str, Any]) -> Any:
    """A message's content for a format that has no refusals: there they are texts as others."""
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, (list, tuple)):
        return [_refused(part) for part in content]
    return refusal if not content and isinstance(refusal, str) else content


def _refused(part: Any) -> Any:
    refusal = part.get("refusal") if isinstance(part, Mapping) and part.get("type") == "refusal" else None
    return {"type": "text", "text": refusal} if isinstance(refusal, str) else part


def _check_call(call: Mapping[str, Any], where: str) -> None:
    function = call.get("function") or {}
    if not isinstance(function, Mapping):
        raise InvalidRequestError(f"{where}.function is {shown(function)}; it must be an object")
    if not isinstance(call.get("id"), _TEXT) or not isinstance(function.get("name"), _TEXT):
        raise InvalidRequestError(f"{where} has an id or a name that is not a string")


def shown(value: object) -> str:
    """A value as a message shows it: short, however large or deep it is."""
    return f"{(reprlib.repr(value) if isinstance(value, (list, dict)) else str(value))[:60]!r}"


# --- tools ----------------------------------------------------------------------------------------------------------


def tool_view(tool: Mapping[str, Any]) -> ToolView | None:
    """A function tool's parts; None for a vendor's own kind of tool."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return None
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError("a tool has no function.name")
    return ToolView(name, function.get("description"), function.get("parameters") or {}, function.get("strict") is True)


def chosen_tool(choice: str | Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    """(mode, name): mode is auto, none, required, function or None. Raises InvalidRequestError."""
    if choice is None:
        return None, None
    if isinstance(choice, str):
        if choice in ("auto", "none", "required"):
            return choice, None
    elif choice.get("type") == "function":
        function = choice.get("function")
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            return "function", function["name"]
    raise InvalidRequestError(
        f"tool_choice is {shown(choice)}; use 'auto', 'none', 'required' "
        "or {'type': 'function', 'function': {'name': …}}"
    )


def named_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def plain_call_id(ident: str | None) -> str:
    """A call's id as Claude and AWS take it: any other becomes one that they do, the same one for call and result.

    Other vendors' ids may hold dots and colons, and a conversation goes on elsewhere with the ids that it has.
    """
    return ident if ident and re.fullmatch(_CALL_ID, ident) else call_id(None, 0, ident)


def arguments_object(text: object) -> dict[str, Any] | None:
    """A tool call's arguments as an object; None where they are not one."""
    if isinstance(text, dict):
        return text
    if text is None or (isinstance(text, str) and not text.strip()):
        return {}
    try:
        value = orjson.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def arguments_text(value: object) -> str:
    """A tool call's arguments as JSON text."""
    return value if isinstance(value, str) else orjson.dumps({} if value is None else value).decode()


def lenient_arguments(text: str) -> dict[str, Any]:
    """Arguments for a format that takes only objects: what a model wrote wrongly is kept as one string."""
    value = arguments_object(text)
    return {"arguments": text} if value is None else value


# --- JSON answers ---------------------------------------------------------------------------------------------------


def json_schema(request: GenerationRequest) -> Mapping[str, Any] | None:
    """The schema that the answer must follow, where the request gives one."""
    form = request.response_format
    if isinstance(form, Mapping) and form.get("type") == "json_schema":
        holder = form.get("json_schema")
        schema = holder.get("schema") if isinstance(holder, Mapping) else None
        if isinstance(schema, Mapping):
            return schema
        raise InvalidRequestError("response_format.json_schema.schema is missing; it must be a JSON Schema object")
    return None


def schema_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}


def json_instruction(request: GenerationRequest) -> str:
    """What to tell a model whose API cannot be told by a field."""
    schema = json_schema(request)
    if schema is None:
        return JSON_ONLY
    return f"{JSON_ONLY}{_BY_SCHEMA}{dump(schema).decode()}"


def told_format(text: str) -> dict[str, Any] | None:
    """The response format that `json_instruction` told in words; None where the text has no such words."""
    _, told, rest = text.partition(JSON_ONLY)
    if not told:
        return None
    if rest.startswith(_BY_SCHEMA):
        try:
            schema, _ = JSONDecoder().raw_decode(rest, len(_BY_SCHEMA))
            return schema_format(schema)
        except ValueError:
            pass
    return {"type": "json_object"}


# --- images ---------------------------------------------------------------------------------------------------------


def data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64 text) of a data URL; None for any other address."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    media, _, encoding = head.rpartition(";")
    if not comma or encoding != "base64":
        raise InvalidRequestError("an image's data URL must have the form data:image/png;base64,…")
    return media or "image/png", data


def image_address(part: Mapping[str, Any]) -> str:
    """The address in an OpenAI `image_url` part. Raises InvalidRequestError."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    if not isinstance(url, str):
        raise InvalidRequestError("an image_url part has no image_url.url")
    return url


def image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}
