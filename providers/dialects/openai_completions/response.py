"""Text completions, whole and streamed, both ways: as chat completions, with a text where those have a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from providers.dialects.decoding import read_answer
from providers.dialects.openai_chat.response import (
    finish_word,
    first_choice,
    read_usage,
    stop_of,
    write_tier,
    write_usage,
)
from providers.dialects.openai_chat.stream import ChatDecoder, ChatEncoder
from providers.types import Completion, RawUsage, StreamEvent, TextDelta


def decode_completion(body: bytes) -> Completion:
    return read_answer(body, _read, "a text completion")


def _read(data: Any) -> Completion:
    data, choice = first_choice(data)
    text, finish, sent = choice["text"], choice.get("finish_reason"), data.get("usage")
    if type(text) is not str:
        raise TypeError("text is not a string")
    usage, raw = read_usage(sent, data) if sent else (None, RawUsage())
    return Completion(
        text,
        finish_reason=finish if type(finish) is str else None,
        stop=stop_of(finish, False),
        usage=usage,
        raw_usage=raw,
        model=data.get("model") or None,
        response_id=data.get("id"),
    )


def encode_completion(completion: Completion, *, model: str, response_id: str, created: int) -> bytes:
    """Reasoning and tool calls have no place in this format and are left out."""
    body: dict[str, Any] = {
        "id": response_id,
        "object": TextEncoder.chunk,
        "created": created,
        "model": model,
        "choices": [_choice(completion.text or "", _finish(completion))],
    }
    if completion.usage is not None:
        body["usage"] = write_usage(completion.usage)
        body.update(write_tier(completion.usage))
    return orjson.dumps(body)


def _finish(completion: Completion) -> str:
    """Why it ended, without the reason that this format does not know."""
    return "stop" if completion.stop == "tool_calls" else finish_word(completion)


def _choice(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}


class TextDecoder(ChatDecoder):
    __slots__ = ()

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _piece(self, choice: Mapping[str, Any]) -> None:
        self._text(choice["text"])


class TextEncoder(ChatEncoder):
    chunk: ClassVar[str] = "text_completion"

    __slots__ = ()

    def start(self) -> bytes:
        """The first text is the first event."""
        return b""

    def event(self, event: StreamEvent) -> bytes:
        return self._event(_choice(event.text)) if isinstance(event, TextDelta) and event.text else b""

    def finish(self, completion: Completion) -> bytes:
        return self._event(_choice("", _finish(completion))) + self._end(completion)
