"""The Responses API's input items against OpenAI's older messages and parts.

A message is one item, each tool call and each result is one of its own. Items that no message can hold (reasoning, the
calls of built-in tools) are kept unchanged under `forms.RESPONSE_ITEMS`, on the assistant message that follows them or
else on one that says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.errors import InvalidRequestError
from providers.types import Message

_ROLES: Final = ("user", "assistant", "system", "developer")


# --- out ------------------------------------------------------------------------------------------------------------


def from_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Raises InvalidRequestError for what the format cannot hold."""
    items: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role == "tool":
            items.append(
                {
                    "type": "function_call_output",
                    "call_id": message.get("tool_call_id") or "",
                    "output": content if isinstance(content, str) else _parts(content, role, index),
                }
            )
            continue
        items += message.get(forms.RESPONSE_ITEMS) or ()
        if not content and role == "assistant" and isinstance(message.get("refusal"), str):
            content = [{"type": "refusal", "refusal": message["refusal"]}]
        if content or (content is not None and role != "assistant"):
            items.append(
                {"role": role, "content": content if isinstance(content, str) else _parts(content, role, index)}
            )
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            items.append(
                {
                    "type": "function_call",
                    "call_id": call.get("id") or "",
                    "name": function.get("name") or "",
                    "arguments": forms.arguments_text(function.get("arguments")),
                }
            )
    return items


def _parts(content: Any, role: str, index: int) -> list[Any]:
    return [_part(part, role, index) for part in content or ()]


def _part(part: Any, role: str, index: int) -> Any:
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    kind = part.get("type")
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text") or ""}
    if kind == "image_url":
        image = part["image_url"] if isinstance(part.get("image_url"), Mapping) else {}
        return {
            "type": "input_image",
            "image_url": forms.image_address(part),
            "detail": image.get("detail") or "auto",
        }
    if kind == "file":
        file = part.get("file")
        if not isinstance(file, Mapping):
            raise InvalidRequestError(f"messages[{index}] has a file part without file; it must be an object")
        return {"type": "input_file", **file}
    if kind == "video_url":
        raise InvalidRequestError(
            f"messages[{index}] has a part of type {kind!r}, which the Responses API does not take"
        )
    # Audio, refusals and the API's own kinds of part have the same form on both sides.
    return part


# --- in -------------------------------------------------------------------------------------------------------------


def to_messages(items: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Raises InvalidRequestError, naming the place, for an item of the wrong shape."""
    messages: list[Message] = []
    kept: list[Mapping[str, Any]] = []
    for index, item in enumerate(items):
        where = f"input[{index}]"
        kind = item.get("type", "message")
        if kind == "message":
            message = _message(item, where)
            if message["role"] == "assistant":
                _give(message, kept)
            else:
                _stand_alone(messages, kept)
            messages.append(message)
        elif kind == "function_call":
            _answering(messages, kept)["tool_calls"] += [_call(item, where)]
        elif kind == "function_call_output":
            messages.append(
                {
                    "role": "tool",
                    "tool_call_id": forms.text_field(item, "call_id"),
                    "content": _content(item.get("output"), f"{where}.output"),
                }
            )
        elif isinstance(kind, str):
            kept.append(item)
        else:
            raise InvalidRequestError(f"{where}.type is {kind!r}; it must be a string such as 'message'")
    _stand_alone(messages, kept)
    return messages


def _stand_alone(messages: list[Message], kept: list[Mapping[str, Any]]) -> None:
    """Items that no message of the assistant follows are a turn of its own, where they stand."""
    if kept:
        messages.append({"role": "assistant", "content": None})
        _give(messages[-1], kept)


def _give(message: Message, kept: list[Mapping[str, Any]]) -> None:
    if kept:
        message[forms.RESPONSE_ITEMS] = list(kept)
        kept.clear()


def _answering(messages: list[Message], kept: list[Mapping[str, Any]]) -> Message:
    """The assistant's turn that a call belongs to: the last message, where it is one and nothing came between."""
    last = messages[-1] if messages else None
    if last is None or last["role"] != "assistant" or kept:
        last = {"role": "assistant", "content": None}
        messages.append(last)
        _give(last, kept)
    last.setdefault("tool_calls", [])
    return last


def _message(item: Mapping[str, Any], where: str) -> Message:
    role = item.get("role")
    if role not in _ROLES:
        raise InvalidRequestError(f"{where}.role is {role!r}; use 'user', 'assistant', 'system' or 'developer'")
    return {"role": role, "content": _content(item.get("content"), f"{where}.content")}


def _content(content: Any, where: str) -> Any:
    if content is None:
        raise InvalidRequestError(f"{where} is missing; it must be a string or a list of parts")
    forms.check_content(content, where)
    return content if isinstance(content, str) else [_read_part(part, where) for part in content]


def _read_part(part: Any, where: str) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = part.get("type")
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text") or ""}
    if kind == "input_image" and part.get("image_url") is not None:
        image: dict[str, Any] = forms.image_part(forms.image_address(part))
        if part.get("detail") not in (None, "auto"):
            image["image_url"]["detail"] = part["detail"]
        return image
    if kind == "input_file":
        return {"type": "file", "file": {k: v for k, v in part.items() if k != "type"}}
    # An image by its id has no form in a message: only this format writes it again.
    return part


def _call(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"{where} is a function_call without a name")
    function = {"name": name, "arguments": forms.text_field(item, "arguments") or ""}
    return {"id": forms.text_field(item, "call_id") or "", "type": "function", "function": function}
