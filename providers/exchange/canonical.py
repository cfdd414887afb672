"""One text for all spellings of a request, so that equal requests are found at once and unequal ones compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote

import orjson

from providers.redaction import redact

_STREAMED_BY_DEFAULT: Final = frozenset({"chat", "generate"})
_MODEL_IN_PATH: Final = frozenset(
    {"converse", "converse-stream", "invoke", "invoke-stream", "generateContent", "streamGenerateContent"}
)
_DEFAULTS: Final[dict[str, Any]] = {"n": 1, "tool_choice": "auto"}
_TEXTS: Final = ("text", "input_text", "output_text")


def canonical(body: Any, api: str, path: str = "", ignore: Sequence[str] = ()) -> Any:
    """The body with what means nothing taken out: nulls, empty and default fields, one-part contents, 1.0 for 1.

    `ignore` are dotted paths (`temperature`, `messages.0.content`, `tools.*.description`) to take out as well. Where
    the API has the model in its path, the path is part of the result.
    """
    if isinstance(body, dict):
        for field in ignore:
            body = _without(body, field.split("."))
        plain = {k: _plain(v) for k, v in body.items() if v is not None and v not in ("", [], {})}
        for name, default in _DEFAULTS.items():
            if plain.get(name) == default:
                del plain[name]
        if plain.get("stream") is (api in _STREAMED_BY_DEFAULT):
            del plain["stream"]
        if isinstance(plain.get("input"), str):
            plain["input"] = [{"role": "user", "content": plain["input"]}]
        prompt = plain.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str):
            plain["prompt"] = prompt[0]
        body = plain
    if api in _MODEL_IN_PATH:
        return {"path": _model_path(path), "body": body}
    return body


def _model_path(path: str) -> str:
    """The part of a path that names model and operation: without version or project, an id quoted or not."""
    plain = unquote(path.partition("?")[0])
    return plain[max(plain.find("/model/"), plain.find("/models/"), 0) :]


def key(body: Any) -> bytes:
    """One text for a canonical body: equal for equal bodies."""
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        plain = {k: _plain(v) for k, v in value.items() if v is not None}
        if plain.get("type") == "message" and "role" in plain:
            del plain["type"]
        content = plain.get("content")
        if isinstance(content, list) and len(content) == 1:
            part = content[0]
            if (
                isinstance(part, dict)
                and part.get("type") in _TEXTS
                and len(part) == 2
                and isinstance(part.get("text"), str)
            ):
                plain["content"] = part["text"]
        return plain
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _without(value: Any, path: list[str]) -> Any:
    """A copy of `value` without the field at `path`; a path that leads nowhere takes nothing out."""
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        if step == "*":
            return {k: _without(v, rest) if rest else v for k, v in value.items()} if rest else {}
        if step not in value:
            return value
        if not rest:
            return {k: v for k, v in value.items() if k != step}
        return {**value, step: _without(value[step], rest)}
    if isinstance(value, list):
        wanted = range(len(value)) if step == "*" else [int(step)] if step.isdecimal() else []
        if not rest:
            return [item for index, item in enumerate(value) if index not in wanted]
        return [_without(item, rest) if index in wanted else item for index, item in enumerate(value)]
    return value


def last_user_text(body: Any) -> str:
    """The text of the last user turn that has any, in every vendor's request form; empty where there is none."""
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    for name in ("messages", "input", "contents"):
        turns = body.get(name)
        if isinstance(turns, list):
            for turn in reversed(turns):
                # What has a type in place of a role is no turn of the user's but reasoning, say, or a tool's result.
                if isinstance(turn, dict) and (turn.get("role") or turn.get("type") or "user") == "user":
                    text = _text(turn.get("content", turn.get("parts")))
                    if text:
                        return text
    for name in ("prompt", "input", "inputText"):
        said = body.get(name)
        if isinstance(said, list) and len(said) == 1:
            said = said[0]
        if said and isinstance(said, str):
            return said
    return ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


class Difference:
    """One place where two canonical bodies differ."""

    __slots__ = ("here", "path", "there")

    def __init__(self, path: str, there: Any, here: Any) -> None:
        self.path = path
        self.there = there
        self.here = here

    @property
    def shown(self) -> tuple[str, str]:
        """Both values in a few words, without a credential: there, here."""
        return _shown(self.there), _shown(self.here)

    def __str__(self) -> str:
        there, here = self.shown
        return f"{self.path or 'the body'}: {there} there, {here} here"


_ABSENT: Final = object()


def differences(there: Any, here: Any, path: str = "") -> Iterator[Difference]:
    """Where two bodies differ, in the order of the first one's fields, then the second one's additional ones."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            yield from differences(
                there.get(key, _ABSENT), here.get(key, _ABSENT), f"{path}.{key}" if path else str(key)
            )
    elif isinstance(there, list) and isinstance(here, list):
        for index in range(max(len(there), len(here))):
            one = there[index] if index < len(there) else _ABSENT
            other = here[index] if index < len(here) else _ABSENT
            yield from differences(one, other, f"{path}[{index}]")
    elif there is not here and (type(there) is not type(here) or there != here):
        yield Difference(path, there, here)


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    try:
        text = redact(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())
    except orjson.JSONEncodeError:
        return f"a {type(value).__name__} nested too deep to be shown"
    return repr(text if len(text) <= 60 else text[:57] + "…") if isinstance(value, str) else text[:60]
