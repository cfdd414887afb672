"""Chat Completions streams, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson

from providers.dialects.accumulator import call_id
from providers.dialects.decoding import EventDecoder, json_or_text
from providers.dialects.forms import arguments_text
from providers.dialects.openai_chat.errors import error_object
from providers.dialects.openai_chat.response import (
    decode_completion,
    finish_word,
    read_usage,
    stop_of,
    write_tier,
    write_usage,
)
from providers.dialects.sse import SseEvent, SseSplitter
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError, ServiceUnavailableError, StreamInterruptedError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported


class ChatDecoder(EventDecoder[SseEvent]):
    """Finishes at `[DONE]`, at the usage chunk that follows the finish reason, or at the end of the bytes after one."""

    __slots__ = ("_ids", "_slots")

    def __init__(self) -> None:
        super().__init__(SseSplitter())
        self._slots: dict[int, int] = {}
        self._ids: set[str] = set()

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _take(self, payload: SseEvent) -> None:
        name, data = payload
        if name == b"error":
            raise embedded_error(json_or_text(data))
        if data[:1] != b"{":
            self._other(data)
            return
        chunk = orjson.loads(data)
        choices = chunk.get("choices")
        if chunk.get("error") or (choices is None and chunk.get("object") == "error"):
            raise embedded_error(chunk)
        if not self._started and not self._opened(chunk):
            return
        if choices:
            for choice in choices:
                # Other choices (n > 1) are alternatives, not parts of this answer.
                if not choice.get("index"):
                    self._choice(choice)
        usage = chunk.get("usage")
        if self.answer.finish_reason is None:
            if usage:
                self._usage(usage, chunk)
            return
        if usage is None and "x_groq" in chunk:
            usage = chunk["x_groq"].get("usage")
        if usage:
            self._usage(usage, chunk)
            if not choices:
                # Only the sentinel can follow, which some servers forget while they keep the connection open.
                self._finish()

    def _other(self, data: bytes) -> None:
        """Read what does not begin like an object: the sentinel, nothing, or nonsense."""
        data = data.strip()
        if data.startswith(b"[DONE]"):
            if self.answer.finish_reason is None:
                raise StreamInterruptedError("the stream ended with [DONE] but without a finish reason")
            self._finish()
        elif data[:1] == b"{":
            self._take((b"", data))
        elif data:
            orjson.loads(data)
            raise MalformedResponseError(f"a stream event is not an object: {data[:80].decode('utf-8', 'replace')!r}")

    def _opened(self, chunk: Mapping[str, Any]) -> bool:
        """Whether the answer has begun: Azure's first chunk holds only the verdict on the prompt."""
        model = chunk.get("model")
        if not model and not chunk.get("choices"):
            return False
        self.answer.model = model or None
        self.answer.response_id = chunk.get("id") or None
        self._start()
        return True

    def _choice(self, choice: Mapping[str, Any]) -> None:
        answer = self.answer
        if answer.finish_reason is None:
            self._piece(choice)
        finish = choice.get("finish_reason")
        if finish is not None and answer.finish_reason is None:
            if choice.get("error"):
                raise embedded_error(choice)
            if finish == "error":
                raise ServiceUnavailableError("the provider ended the stream with finish_reason 'error'")
            if type(finish) is not str:
                raise TypeError("finish_reason is not a string")
            answer.finish_reason = finish

    def _piece(self, choice: Mapping[str, Any]) -> None:
        """Read what a chunk adds to the answer."""
        delta = choice.get("delta")
        if delta:
            text = delta.get("content")
            if text is not None:
                self._text(text)
            # An ordinary delta is its text alone, or text and role.
            if text is None or len(delta) > 1:
                self._rest_of_delta(delta)

    def _rest_of_delta(self, delta: Mapping[str, Any]) -> None:
        reasoning = delta.get("reasoning_content")
        if reasoning is None:
            reasoning = delta.get("reasoning")
        if reasoning is not None:
            self._reasoning(reasoning)
        calls = delta.get("tool_calls")
        if calls:
            self._calls(calls)
        refusal = delta.get("refusal")
        if refusal:
            if type(refusal) is not str:
                raise TypeError("a piece of refusal is not a string")
            self.answer.refusal.append(refusal)

    def _calls(self, deltas: Sequence[Mapping[str, Any]]) -> None:
        for delta in deltas:
            function = delta.get("function") or {}
            ident, name = delta.get("id") or None, function.get("name") or None
            if name is not None and type(name) is not str:
                raise TypeError("function.name is not a string")
            arguments = function.get("arguments")
            slot, new = self._slot(delta.get("index"), ident, name)
            if new and ident is None:
                ident = call_id(self.answer.response_id, slot, name)
            if ident is not None:
                self._ids.add(ident)
            text = "" if arguments is None else arguments_text(arguments)
            self.answer.tool(slot, ident, name, text)
            self._out.append(ToolCallDelta(slot, ident, name, text))

    def _slot(self, index: object, ident: str | None, name: str | None) -> tuple[int, bool]:
        """Which call a piece belongs to, and whether it is a new one.

        Gemini's compatible API sends whole calls without an index, or all with index 0: there a new id begins
        a new call.
        """
        calls = self.answer.calls
        if type(index) is int:
            slot = self._slots.get(index)
            if slot is None or (ident and name and calls[slot].id != ident):
                slot = self._slots[index] = len(calls)
                return slot, True
            return slot, False
        if not calls or (name and (ident is None or ident not in self._ids)):
            return len(calls), True
        return len(calls) - 1, False

    def _usage(self, usage: Mapping[str, Any], chunk: Mapping[str, Any]) -> None:
        normalised, raw = read_usage(usage, chunk)
        if normalised is not None:
            self.answer.usage, self.answer.raw_usage = normalised, raw
            self._out.append(UsageReported(normalised, raw))

    def _finish(self) -> None:
        answer = self.answer
        answer.stop = stop_of(answer.finish_reason, bool(answer.calls))
        super()._finish()


# A chunk of text as `_chunk` writes it: nearly all are, and this is twice as fast.
_TEXT = b'{"index":0,"delta":{"content":'
_TEXT_END = b'},"logprobs":null,"finish_reason":null}'


class ChatEncoder:
    """Writes a stream as OpenAI does; the usage chunk only when it was asked for."""

    content_type = "text/event-stream; charset=utf-8"
    chunk: ClassVar[str] = "chat.completion.chunk"
    """What each event calls itself."""

    __slots__ = ("_head", "_include_usage", "_tail", "_text_sent")

    def __init__(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> None:
        head = orjson.dumps({"id": response_id, "object": self.chunk, "created": created, "model": model})
        self._head = b"data: " + head[:-1] + b',"choices":['
        # As OpenAI does: with usage asked for, every chunk but the last carries a null.
        self._tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self._include_usage = include_usage
        self._text_sent = False

    def start(self) -> bytes:
        return self._chunk({"role": "assistant"})

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            if not event.text and self._text_sent:
                return b""
            self._text_sent = True
            return b"".join((self._head, _TEXT, orjson.dumps(event.text), _TEXT_END, self._tail))
        if isinstance(event, ReasoningDelta):
            return self._chunk({"reasoning_content": event.text})
        if isinstance(event, ToolCallDelta):
            function: dict[str, Any] = {"arguments": event.arguments}
            call: dict[str, Any] = {"index": event.index, "function": function}
            if event.name is not None:
                function["name"] = event.name
            if event.id is not None:
                call["id"] = event.id
                call["type"] = "function"
            return self._chunk({"tool_calls": [call]})
        return b""

    def finish(self, completion: Completion) -> bytes:
        delta: dict[str, Any] = {}
        if completion.text == "" and not self._text_sent:
            delta["content"] = ""
        if completion.metadata.get("refusal"):
            delta["refusal"] = completion.metadata["refusal"]
        return self._chunk(delta, finish_word(completion)) + self._end(completion)

    def error(self, error: ProviderError) -> bytes:
        return b"data: " + orjson.dumps({"error": error_object(error)}) + b"\n\n"

    def _end(self, completion: Completion) -> bytes:
        """What follows the finish reason."""
        written = b""
        if self._include_usage and completion.usage is not None:
            usage = {"usage": write_usage(completion.usage), **write_tier(completion.usage)}
            written = self._head + b"]," + orjson.dumps(usage)[1:] + b"\n\n"
        return written + b"data: [DONE]\n\n"

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return self._event({"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason})

    def _event(self, choice: dict[str, Any]) -> bytes:
        return self._head + orjson.dumps(choice) + self._tail
