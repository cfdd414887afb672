"""Anthropic's content blocks against OpenAI's messages and parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from providers.dialects import forms
from providers.errors import InvalidRequestError
from providers.types import Message

_OWN_BLOCKS = frozenset({"image", "document", "search_result", "container_upload"})
"""Blocks of a user turn that have no common form and are handed through."""


# --- out ------------------------------------------------------------------------------------------------------------


def from_message(message: Message, index: int, turns: list[Message]) -> None:
    """Append a message in OpenAI's form as a turn; results of tools that ran together join one user turn."""
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        result = _tool_result(message, index)
        last = turns[-1]["content"] if turns and turns[-1]["role"] == "user" else None
        if isinstance(last, list) and last and last[-1].get("type") == "tool_result":
            last.append(result)
        else:
            turns.append({"role": "user", "content": [result]})
    elif role == "assistant":
        turn = _assistant(message, index)
        if turn:
            turns.append({"role": "assistant", "content": turn})
    else:
        said = content if isinstance(content, str) and content.strip() else _blocks(content, index)
        if said:
            turns.append({"role": "user", "content": said})


def _tool_result(message: Message, index: int) -> dict[str, Any]:
    content = message.get("content")
    result: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": forms.plain_call_id(message.get("tool_call_id")),
    }
    if content:
        result["content"] = content if isinstance(content, str) and content.strip() else _blocks(content, index)
    if message.get("is_error") is True:
        result["is_error"] = True
    return result


def _assistant(message: Message, index: int) -> str | list[dict[str, Any]]:
    content, calls = forms.said(message), message.get("tool_calls")
    thinking = message.get(forms.THINKING_BLOCKS)
    if isinstance(content, str) and content.strip() and not calls and not thinking:
        return content
    blocks: list[dict[str, Any]] = list(thinking or ())
    blocks += _blocks(content, index)
    for call in calls or ():
        function = call.get("function") or {}
        arguments = forms.arguments_object(function.get("arguments"))
        if arguments is None:
            raise InvalidRequestError(
                f"messages[{index}]: the arguments of tool call {function.get('name')!r} are not a JSON object"
            )
        blocks.append(
            {
                "type": "tool_use",
                "id": forms.plain_call_id(call.get("id")),
                "name": function.get("name") or "",
                "input": arguments,
            }
        )
    return blocks


def _blocks(parts: Any, index: int) -> list[dict[str, Any]]:
    """Content as blocks; the API refuses blank texts, so there are none. Raises InvalidRequestError."""
    blocks: list[dict[str, Any]] = []
    for part in [parts] if isinstance(parts, str) else parts or ():
        if isinstance(part, str):
            part = {"type": "text", "text": part}
        kind = part.get("type")
        if kind == "text":
            if (part.get("text") or "").strip():
                blocks.append(part)
        elif kind == "image_url":
            blocks.append({"type": "image", "source": _source(forms.image_address(part)), **_cache_control(part)})
        elif kind == "file":
            blocks.append(_document(part, index))
        elif kind in ("input_audio", "video_url"):
            raise InvalidRequestError(f"messages[{index}] has a part of type {kind!r}, which Anthropic does not take")
        else:
            blocks.append(part)
    return blocks


def _source(url: str) -> dict[str, str]:
    data = forms.data_url(url)
    if data is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": data[0], "data": data[1]}


def _document(part: Mapping[str, Any], index: int) -> dict[str, Any]:
    file = part.get("file")
    address = file.get("file_data") if isinstance(file, Mapping) else None
    if not isinstance(address, str) or forms.data_url(address) is None:
        raise InvalidRequestError(
            f"messages[{index}] has a file without file.file_data in the form data:application/pdf;base64,…"
        )
    return {"type": "document", "source": _source(address), **_cache_control(part)}


def _cache_control(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"cache_control": part["cache_control"]} if "cache_control" in part else {}


# --- in -------------------------------------------------------------------------------------------------------------


def to_messages(turn: Mapping[str, Any], messages: list[Message]) -> None:
    """Append a turn as messages in OpenAI's form: one for each tool result, one for the rest."""
    role, content = turn["role"], turn.get("content")
    if role not in ("user", "assistant", "system"):
        raise InvalidRequestError(f"a message has the role {role!r}; use 'user' or 'assistant'")
    if not isinstance(content, list):
        messages.append({"role": role, "content": content or ""})
    elif role == "assistant":
        messages.append(_read_assistant(content))
    else:
        _read_user(role, content, messages)


def _read_user(role: str, content: list[Any], messages: list[Message]) -> None:
    parts: list[Any] = []
    for block in content:
        if _kind(block) != "tool_result":
            parts.append(_part(block))
            continue
        if parts:
            messages.append({"role": role, "content": parts})
            parts = []
        inner = block.get("content")
        forms.check_content(inner, "a tool_result's content")
        result: Message = {
            "role": "tool",
            "tool_call_id": str(block.get("tool_use_id") or ""),
            "content": [_part(b) for b in inner] if isinstance(inner, list) else inner or "",
        }
        if block.get("is_error") is True:
            result["is_error"] = True
        messages.append(result)
    if parts:
        messages.append({"role": role, "content": parts})


def _read_assistant(content: list[Any]) -> Message:
    parts: list[Any] = []
    calls: list[dict[str, Any]] = []
    thinking: list[Any] = []
    for block in content:
        kind = _kind(block)
        if kind == "tool_use":
            if not isinstance(block.get("name"), str) or not isinstance(block.get("id"), str):
                raise InvalidRequestError("a tool_use block has no id or no name")
            function = {"name": block["name"], "arguments": forms.arguments_text(block.get("input"))}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif kind in ("thinking", "redacted_thinking"):
            thinking.append(block)
        else:
            parts.append(_part(block))
    plain = len(parts) == 1 and isinstance(parts[0], dict) and parts[0].keys() == {"type", "text"}
    message: Message = {"role": "assistant", "content": parts[0]["text"] if plain else parts or None}
    if calls:
        message["tool_calls"] = calls
    if thinking:
        message[forms.THINKING_BLOCKS] = thinking
    return message


def _part(block: Any) -> Any:
    if _kind(block) == "image":
        source = block.get("source")
        if not isinstance(source, dict):
            raise InvalidRequestError("an image block has no source")
        if source.get("type") == "base64":
            return {
                **forms.image_part(f"data:{source.get('media_type')};base64,{source.get('data')}"),
                **_cache_control(block),
            }
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return {**forms.image_part(source["url"]), **_cache_control(block)}
    return block


def _kind(block: Any) -> object:
    if isinstance(block, dict):
        return block.get("type")
    raise InvalidRequestError("a content block is not an object")
