"""What was asked and answered, in the form of the conventions for generative AI; told only where the settings say so.

Keys are taken out, long texts are cut, and of what is no text (pictures, sounds) only its kind is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from providers.redaction import redact

MAX_CHARS: Final = 20_000
"""Of one text."""
MAX_MESSAGES: Final = 100
"""Of one question, the newest: what came before has been told with the requests before."""
_STOPS: Final[Mapping[str, str]] = {"tool_calls": "tool_call"}
"""Our names of why an answer ended that the conventions call otherwise."""


class Contents:
    """Writes messages as the JSON texts that spans carry."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets`: by value; what looks like a key is taken out without being known."""
        self._secrets = tuple(secrets)

    def asked(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """`gen_ai.input.messages`."""
        return _json([self._message(one) for one in messages[-MAX_MESSAGES:]])

    def answered(self, text: str, tool_calls: Sequence[Any], stop: str) -> str:
        """`gen_ai.output.messages`, which is one."""
        calls = [{"id": one.id, "function": {"name": one.name, "arguments": one.arguments}} for one in tool_calls]
        message = self._message({"role": "assistant", "content": text, "tool_calls": calls})
        return _json([{**message, "finish_reason": _STOPS.get(stop, stop)}])

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        role, content = self._text(message.get("role", "user")), message.get("content")
        if role == "tool":
            told, call_id = self._text(content), self._name(message.get("tool_call_id"))
            return {"role": role, "parts": [{"type": "tool_call_response", "id": call_id, "response": told}]}
        listed = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        parts = [self._part(one) for one in listed]
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            name, arguments = self._name(function.get("name")), self._text(function.get("arguments"))
            ident = self._name(call.get("id"))
            parts.append({"type": "tool_call", "id": ident, "name": name, "arguments": arguments})
        return {"role": role, "parts": parts}

    def _part(self, part: Any) -> dict[str, Any]:
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind != "text":
            return {"type": self._text(kind)}
        return {"type": "text", "content": self._text(part.get("text") if isinstance(part, Mapping) else part)}

    def _name(self, value: Any) -> str | None:
        return None if value is None else self._text(value)

    def _text(self, value: Any) -> str:
        # Taken out before it is cut: half a key is not known as one.
        text = redact(value if isinstance(value, str) else _json(value), self._secrets)
        return text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]}…"


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()
