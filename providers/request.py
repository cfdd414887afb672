"""One question, and what it must be to be sent at all: the edges validate, the inside trusts."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from providers.errors import InvalidRequestError

Message = dict[str, Any]
"""One chat message in OpenAI's form: role, content (text or parts), tool_calls, tool_call_id."""

MAX_PROMPT_CHARS = 8_000_000
"""Larger prompts are refused at once: about twice the largest context window sold (2 M tokens of 2 characters)."""
MAX_MODEL_CHARS = 512
"""Longer model names are refused: the longest in use, an ARN of a deployment, stay under half of it."""
MAX_NESTING = 100
"""Levels of lists and mappings in one field."""
_INFINITE = float("inf")


@dataclass(slots=True)
class GenerationRequest:
    """One question. Give `prompt` or `messages`; tools and tool_choice are in OpenAI's form."""

    prompt: str | None = None
    messages: Sequence[Message] | None = None
    system: str | None = None
    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | Sequence[str] | None = None
    seed: int | None = None
    response_format: str | Mapping[str, Any] | None = None
    """`"json"`, or OpenAI's `{"type": "json_object"}` / `{"type": "json_schema", …}`."""
    tools: Sequence[Mapping[str, Any]] | None = None
    tool_choice: str | Mapping[str, Any] | None = None
    tenant_id: str = "default"
    agent_id: str = "default"
    timeout: float | None = None
    """Seconds for the whole request; None: the policy's deadline."""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, value: GenerationRequest | str) -> GenerationRequest:
        """A request from a request or a plain prompt, checked."""
        request = cls(prompt=value) if isinstance(value, str) else value
        request.check()
        return request

    def chat(self) -> list[Message]:
        """The conversation as messages, the system prompt first."""
        messages: list[Message] = []
        if self.system:
            messages.append({"role": "system", "content": self.system})
        if self.messages:
            messages.extend(self.messages)
        if self.prompt is not None:
            messages.append({"role": "user", "content": self.prompt})
        return messages

    def last_user_text(self) -> str:
        """The text of the last user message, parts joined."""
        if self.prompt is not None:
            return self.prompt
        for message in reversed(self.messages or ()):
            if message.get("role") == "user":
                return content_text(message.get("content"))
        return ""

    def stop_list(self) -> list[str]:
        if self.stop is None:
            return []
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)

    def wants_json(self) -> bool:
        form = self.response_format
        if isinstance(form, Mapping):
            return form.get("type") in ("json_object", "json_schema")
        return form in ("json", "json_object")

    def check(self) -> None:
        """Raise InvalidRequestError, in one sentence, for a request that no provider could serve."""
        prompt, system, model, messages = self.prompt, self.system, self.model, self.messages
        size = 0
        if prompt is not None:
            size = _text("prompt", prompt)
        if system is not None:
            size += _text("system", system)
        if model is not None and _text("model", model) > MAX_MODEL_CHARS:
            raise InvalidRequestError(
                f"model is {_shown(model)} with {len(model):,} characters; the limit is {MAX_MODEL_CHARS}"
            )
        if not _text("tenant_id", self.tenant_id) or self.tenant_id.isspace():
            raise _wrong("tenant_id", self.tenant_id, "the name of who pays, such as 'default'")
        if not _text("agent_id", self.agent_id) or self.agent_id.isspace():
            raise _wrong("agent_id", self.agent_id, "the name of the part that asks, such as 'default'")
        if messages is not None:
            size += _messages(messages)
        if not messages:
            if prompt is None:
                raise InvalidRequestError("the request has no prompt and no messages")
            if not prompt or prompt.isspace():
                raise InvalidRequestError("the prompt is empty")
        if size > MAX_PROMPT_CHARS:
            raise InvalidRequestError(f"the prompt has {size:,} characters; the limit is {MAX_PROMPT_CHARS:,}")
        if self.max_tokens is not None:
            _whole("max_tokens", self.max_tokens, 1, "at least 1")
        if self.seed is not None:
            _whole("seed", self.seed, -(2**63), "within 64 bits")
        if self.temperature is not None:
            _real("temperature", self.temperature, 0, 2, "between 0 and 2")
        if self.top_p is not None:
            _real("top_p", self.top_p, 0, 1, "between 0 and 1")
        if self.timeout is not None:
            _real("timeout", self.timeout, 0, _INFINITE, "more than 0 seconds")
            if not self.timeout:
                raise InvalidRequestError(f"timeout is {self.timeout}; it must be more than 0 seconds")
        if self.stop is not None:
            _stop(self.stop)
        if self.tools is not None:
            _list("tools", self.tools, "a list of tools in OpenAI's form")
            for index, tool in enumerate(self.tools):
                _mapping(f"tools[{index}]", tool, "a tool in OpenAI's form")
        if self.response_format is not None and not _is_text("response_format", self.response_format):
            _mapping("response_format", self.response_format, "'json' or a mapping in OpenAI's form")
        if self.tool_choice is not None and not _is_text("tool_choice", self.tool_choice):
            _mapping("tool_choice", self.tool_choice, "'auto', 'none', 'required' or a mapping in OpenAI's form")
        if not isinstance(self.metadata, (dict, Mapping)):
            raise _wrong("metadata", self.metadata, "a mapping")


# --- checks: each refuses in one sentence with the field, its value and what would be right -----------------------


def _shown(value: object) -> str:
    """A value as a message shows it: short, whatever it is."""
    try:
        text = reprlib.repr(value)
    except Exception:  # a foreign __repr__, or a number with more digits than Python writes
        text = ""
    if not text:
        return f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:79] + "…"


def _wrong(name: str, value: object, right: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} is {_shown(value)}; it must be {right}")


def _text(name: str, value: object) -> int:
    """The length of a text that can be sent."""
    if not isinstance(value, str):
        raise _wrong(name, value, "text")
    # Known without looking at the characters, and true of most.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise InvalidRequestError(
                f"{name} is not valid Unicode text: {_shown(value[max(error.start - 10, 0) : error.start + 10])} has "
                f"half a surrogate pair at position {error.start}; give whole characters"
            ) from None
    return len(value)


def _is_text(name: str, value: object) -> bool:
    return isinstance(value, str) and _text(name, value) >= 0


def _whole(name: str, value: object, least: int, right: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise _wrong(name, value, f"{right}, a whole number of at most {2**63 - 1:,}")


def _real(name: str, value: object, least: float, most: float, right: str) -> None:
    # A value that is no number fails the comparison too.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise _wrong(name, value, right)


def _list(name: str, value: object, right: str) -> None:
    if not isinstance(value, (list, Sequence)) or isinstance(value, (str, bytes, bytearray)):
        raise _wrong(name, value, right)


def _mapping(name: str, value: object, right: str) -> None:
    if not isinstance(value, Mapping):
        raise _wrong(name, value, right)
    for key, part in value.items():
        _text(f"a key of {name}", key)
        _json(f"{name}.{key}", part)


def _json(name: str, value: object, depth: int = 0) -> None:
    """Refuse what JSON cannot say, and what is nested without end."""
    if isinstance(value, str):
        _text(name, value)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise _wrong(name, value, "within 64 bits")
    elif isinstance(value, float):
        if value - value != 0:
            raise _wrong(name, value, "a finite number")
    elif depth >= MAX_NESTING:
        raise InvalidRequestError(f"{name[:80]}… is nested more than {MAX_NESTING} levels deep; make it flatter")
    elif isinstance(value, dict):
        for key, part in value.items():
            _text(f"a key of {name}", key)
            _json(f"{name}.{key}", part, depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _json(f"{name}[{index}]", part, depth + 1)
    else:
        raise _wrong(name, value, "what JSON can say: text, a number, true, false, null, a list or a dict")


def _messages(messages: object) -> int:
    """The characters of a conversation's text."""
    _list("messages", messages, "a list of messages such as {'role': 'user', 'content': 'Hi'}")
    size = 0
    for index, message in enumerate(cast("Sequence[object]", messages)):
        if not isinstance(message, (dict, Mapping)) or not isinstance(message.get("role"), str):
            raise InvalidRequestError(
                f"messages[{index}] is {_shown(message)}, which is not a message with a role, "
                "such as {'role': 'user', 'content': 'Hi'}"
            )
        content = message.get("content")
        if len(message) > 2 or not isinstance(content, str) or not message["role"].isascii():
            name = f"messages[{index}]"
            _mapping(name, message, "a message")
            if content is not None and not isinstance(content, str):
                _list(f"{name}.content", content, "text or a list of parts such as {'type': 'text', 'text': 'Hi'}")
                for at, part in enumerate(content):
                    if not isinstance(part, Mapping) or not isinstance(part.get("text") or "", str):
                        right = "a part such as {'type': 'text', 'text': 'Hi'}"
                        raise _wrong(f"{name}.content[{at}]", part, right)
            if message.get("tool_calls") is not None:
                _list(f"{name}.tool_calls", message["tool_calls"], "a list of tool calls in OpenAI's form")
                for at, call in enumerate(message["tool_calls"]):
                    if not isinstance(call, Mapping) or not isinstance(call.get("function") or {}, Mapping):
                        raise _wrong(f"{name}.tool_calls[{at}]", call, "a tool call in OpenAI's form")
            size += len(content_text(content))
        else:
            size += len(content) if content.isascii() else _text(f"messages[{index}].content", content)
    return size


def _stop(stop: object) -> None:
    if not _is_text("stop", stop):
        _list("stop", stop, "text or a list of texts")
        for index, one in enumerate(cast("Sequence[object]", stop)):
            _text(f"stop[{index}]", one)


def content_text(content: object) -> str:
    """The text of a message's content, whether a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
    return ""
