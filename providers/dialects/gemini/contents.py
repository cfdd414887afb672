"""Gemini's turns against OpenAI's messages.

A call's result names the function, and the call's id only since Gemini 3: calls without one get an id by which the
common form can pair them with their results.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.dialects import forms
from providers.dialects.accumulator import call_id
from providers.dialects.gemini.parts import read_part, signatures_of, write_parts
from providers.dialects.gemini.spelling import camel, camel_field, listed
from providers.errors import InvalidRequestError
from providers.types import Message, content_text

_SINCE_3: Final = re.compile(r"gemini-(?:[3-9]|\d\d)")
"""Models that refuse a function call of the current turn without its signature, and take images as a call's result."""
UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google takes in place of a signature for a call that another model made (ai.google.dev, thought signatures)."""


# --- out ------------------------------------------------------------------------------------------------------------


def from_chat(chat: Sequence[Message], model: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The parts of the system instruction, and the turns. Raises InvalidRequestError for what they cannot hold."""
    system: list[dict[str, Any]] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    shown: list[dict[str, Any]] = []
    answering = False
    for index, message in enumerate(chat):
        role, content = message["role"], message.get("content")
        if role in ("system", "developer"):
            system += write_parts(content, index)
            continue
        if shown and role != "tool":
            contents.append({"role": "user", "parts": shown})
            shown = []
        if role == "tool":
            result = _result(message, index, names)
            if not _SINCE_3.search(model):
                # What a result shows has no place in it here, so that the user shows it after the last one.
                shown += result["functionResponse"].pop("parts", ())
            # The results of calls that were made together belong into one turn.
            if answering:
                contents[-1]["parts"].append(result)
            else:
                contents.append({"role": "user", "parts": [result]})
        elif role == "assistant":
            parts = _assistant(message, index, names, model)
            if contents and contents[-1]["role"] == "model":
                # A call must follow what somebody else said.
                contents[-1]["parts"] += parts
            elif parts:
                contents += [{"role": "model", "parts": parts}] if contents else _opened(parts)
        elif parts := write_parts(content, index):
            contents.append({"role": "user", "parts": parts})
        answering = role == "tool"
    return system, [*contents, {"role": "user", "parts": shown}] if shown else contents


def _opened(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The model's words at the beginning of a conversation, which it may not begin with a call."""
    opening = {"role": "user", "parts": [{"text": forms.OPENING}]}
    said = {"role": "model", "parts": parts}
    return [opening, said] if any("functionCall" in part for part in parts) else [said]


def _assistant(message: Message, index: int, names: dict[str, str], model: str) -> list[dict[str, Any]]:
    content, calls = forms.said(message), message.get("tool_calls") or ()
    signatures = signatures_of(message)
    parts = write_parts(content, index)
    if None in signatures:
        if not parts:
            parts.append({"text": ""})
        parts[-1]["thoughtSignature"] = signatures[None]
    for number, call in enumerate(calls):
        function = call.get("function") or {}
        name, ident = function.get("name") or "", call.get("id")
        arguments = forms.arguments_object(function.get("arguments"))
        if arguments is None:
            raise InvalidRequestError(f"messages[{index}]: the arguments of tool call {name!r} are not a JSON object")
        part: dict[str, Any] = {"functionCall": {"name": name, "args": arguments}}
        if ident:
            names[ident] = name
            part["functionCall"]["id"] = ident
        if number in signatures:
            part["thoughtSignature"] = signatures[number]
        elif number == 0 and _SINCE_3.search(model):
            part["thoughtSignature"] = UNSIGNED
        parts.append(part)
    return parts


def _result(message: Message, index: int, names: Mapping[str, str]) -> dict[str, Any]:
    ident, content = message.get("tool_call_id"), message.get("content")
    name = message.get("name") or names.get(ident or "")
    if not name:
        raise InvalidRequestError(
            f"messages[{index}] is the result of a call that no earlier message makes; give it the function's name"
        )
    text = content_text(content)
    response: dict[str, Any] | None
    if message.get("is_error") is True:
        response = {"error": text}
    else:
        response = forms.arguments_object(text) if text.lstrip().startswith("{") else None
    result: dict[str, Any] = {"name": name, "response": {"result": text} if response is None else response}
    if ident:
        result["id"] = ident
    if isinstance(content, (list, tuple)):
        others = [part for part in write_parts(content, index) if "text" not in part]
        if others:
            result["parts"] = others
    return {"functionResponse": result}


# --- in -------------------------------------------------------------------------------------------------------------


def read_parts(content: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """The parts of a turn in the common form, without empty texts."""
    return [
        part
        for part in (read_part(camel(raw), where) for raw in listed(content, "parts"))
        if part.get("type") != "text" or part["text"]
    ]


def to_messages(contents: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The turns as messages in OpenAI's form. Raises InvalidRequestError, naming the place."""
    messages: list[Message] = []
    waiting: list[tuple[str, str]] = []
    for index, raw in enumerate(contents):
        turn, where = camel(raw), f"contents[{index}]"
        role = turn.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise InvalidRequestError(f"{where}.role is {str(role)[:60]!r}; use 'user' or 'model'")
        parts = [camel(part) for part in listed(turn, "parts")]
        if role == "model":
            messages.append(_read_answer(parts, where, waiting))
        else:
            _read_user(parts, where, waiting, messages)
    return messages


def _read_user(
    parts: list[dict[str, Any]], where: str, waiting: list[tuple[str, str]], messages: list[Message]
) -> None:
    others = [read_part(part, where) for part in parts if "functionResponse" not in part]
    messages += [_read_result(camel_field(part, "functionResponse"), where, waiting) for part in parts if
                 "functionResponse" in part]  # fmt: skip
    if others or not parts:
        messages.append({"role": "user", "content": _plain(others)})


def _plain(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """A turn of one text as that text."""
    if not parts:
        return ""
    return parts[0]["text"] if len(parts) == 1 and parts[0].get("type") == "text" else parts


def _read_result(result: Mapping[str, Any], where: str, waiting: list[tuple[str, str]]) -> Message:
    name, ident = forms.text_field(result, "name") or "", forms.text_field(result, "id")
    response = forms.object_field(result, "response")
    asked = next((one for one in waiting if one == (ident, name) or (not ident and one[1] == name)), None)
    if asked is not None:
        waiting.remove(asked)
    message: Message = {"role": "tool", "tool_call_id": asked[0] if asked else ident or call_id(where, 0, name)}
    if asked is None and name:
        message["name"] = name
    failed = response.keys() == {"error"} and isinstance(response["error"], str)
    text: str = forms.arguments_text(response)
    if failed or (response.keys() in ({"result"}, {"output"}) and isinstance(next(iter(response.values())), str)):
        text = next(iter(response.values()))
    shown = [read_part(camel(part), where) for part in listed(result, "parts")]
    message["content"] = [{"type": "text", "text": text}, *shown] if shown else text
    if failed:
        message["is_error"] = True
    return message


def _read_answer(parts: list[dict[str, Any]], where: str, waiting: list[tuple[str, str]]) -> Message:
    said: list[dict[str, Any]] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    signatures: list[dict[str, Any]] = []
    for part in parts:
        signature = forms.text_field(part, "thoughtSignature")
        if "functionCall" in part:
            call = camel_field(part, "functionCall")
            name = forms.text_field(call, "name") or ""
            ident = forms.text_field(call, "id") or call_id(where, len(calls), name)
            waiting.append((ident, name))
            arguments = forms.arguments_text(forms.object_field(call, "args"))
            if signature:
                signatures.append({"call": len(calls), "signature": signature})
            calls.append({"id": ident, "type": "function", "function": {"name": name, "arguments": arguments}})
            continue
        if signature:
            signatures = [one for one in signatures if "call" in one] + [{"signature": signature}]
        if part.get("thought") is True:
            thoughts.append(forms.text_field(part, "text") or "")
        else:
            said.append(read_part({k: v for k, v in part.items() if k != "thoughtSignature"}, where))
    texts = all(part.get("type") == "text" for part in said)
    message: Message = {"role": "assistant", "content": (content_text(said) or None) if texts else said}
    if any(thoughts):
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    if signatures:
        message[forms.THOUGHT_SIGNATURES] = signatures
    return message
