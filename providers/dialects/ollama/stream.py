"""Ollama's streams, both ways: one JSON object a line, the last one `done`."""

from __future__ import annotations

from typing import Any

import orjson

from providers.dialects.decoding import EventDecoder
from providers.dialects.lines import PieceSplitter
from providers.dialects.ollama.errors import error_line
from providers.dialects.ollama.response import (
    decode_completion,
    head,
    read_call,
    read_usage,
    stop_of,
    write_calls,
    write_end,
)
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported


class _Ndjson:
    """The non-empty lines of a body."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = PieceSplitter(b"\n")

    def feed(self, data: bytes) -> list[bytes]:
        return [line for line in self._lines.feed(data) if line]

    def close(self) -> list[bytes]:
        rest = self._lines.rest().strip()
        # What begins like an object may be one cut short; anything else is no line of this format.
        return [rest] if rest[:1] == b"{" else []

    def foreign(self) -> bytes:
        rest = self._lines.rest().strip()
        return b"" if rest[:1] == b"{" else rest


class LineDecoder(EventDecoder[bytes]):
    """Finishes at the line that says `done`."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_Ndjson())

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _complete(self) -> bool:
        return False

    def _take(self, payload: bytes) -> None:
        if payload.isspace():
            return
        data = orjson.loads(payload)
        if type(data) is not dict:
            raise MalformedResponseError(f"a stream line is not an object: {payload[:80].decode('utf-8', 'replace')!r}")
        if data.get("error"):
            raise embedded_error(data)
        answer = self.answer
        if not self._started:
            answer.model = data.get("model") or None
            self._start()
        message = data.get("message")
        calls = None
        if message is not None:
            text, thinking, calls = message.get("content"), message.get("thinking"), message.get("tool_calls")
        else:
            text, thinking = data.get("response"), data.get("thinking")
        if thinking:
            if type(thinking) is not str:
                raise TypeError("thinking is not a string")
            answer.reasoning.append(thinking)
            self._out.append(ReasoningDelta(thinking))
        if text is not None and (text or not answer.text):
            if type(text) is not str:
                raise TypeError("the text is not a string")
            answer.text.append(text)
            self._out.append(TextDelta(text))
        for call in calls or ():
            number = len(answer.calls)
            whole = read_call(data, number, call)
            answer.tool(number, whole.id, whole.name, whole.arguments)
            self._out.append(ToolCallDelta(number, whole.id, whole.name, whole.arguments))
        if data.get("done") is True:
            self._end(data)

    def _end(self, data: dict[str, Any]) -> None:
        answer = self.answer
        finish = data.get("done_reason")
        answer.finish_reason = finish if type(finish) is str else None
        answer.stop = stop_of(answer.finish_reason, bool(answer.calls))
        answer.usage, answer.raw_usage = read_usage(data)
        if answer.usage is not None:
            self._out.append(UsageReported(answer.usage, answer.raw_usage))
        self._finish()


class LineEncoder:
    """Writes a stream as Ollama does. Tool calls go out whole, at the end, because their arguments must be objects."""

    content_type = "application/x-ndjson"

    __slots__ = ("_generate", "_head")

    def __init__(
        self, *, model: str, response_id: str, created: int, include_usage: bool = True, generate: bool = False
    ) -> None:
        self._head = head(model, created)
        self._generate = generate

    def start(self) -> bytes:
        return b""

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            return self._line(event.text, None)
        if isinstance(event, ReasoningDelta):
            return self._line("", event.text)
        return b""

    def finish(self, completion: Completion) -> bytes:
        written = b""
        if completion.tool_calls and not self._generate:
            message = {"role": "assistant", "content": "", "tool_calls": write_calls(completion)}
            written = orjson.dumps({**self._head, "message": message, "done": False}) + b"\n"
        last = {"response": ""} if self._generate else {"message": {"role": "assistant", "content": ""}}
        return written + orjson.dumps({**self._head, **last, **write_end(completion)}) + b"\n"

    def error(self, error: ProviderError) -> bytes:
        return error_line(error)

    def _line(self, text: str, thinking: str | None) -> bytes:
        if self._generate:
            body: dict[str, Any] = {"response": text}
            holder = body
        else:
            holder = {"role": "assistant", "content": text}
            body = {"message": holder}
        if thinking is not None:
            holder["thinking"] = thinking
        return orjson.dumps({**self._head, **body, "done": False}) + b"\n"
