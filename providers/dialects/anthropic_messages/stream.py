"""Messages streams, both ways: named events, blocks that open and close, usage that counts from the start."""

from __future__ import annotations

from typing import Any

import orjson

from providers.dialects.accumulator import Growing
from providers.dialects.anthropic_messages.errors import error_body
from providers.dialects.anthropic_messages.response import (
    decode_completion,
    finish_word,
    read_raw_usage,
    stop_of,
    write_usage,
)
from providers.dialects.decoding import EventDecoder, json_or_text
from providers.dialects.forms import THINKING_BLOCKS, arguments_text
from providers.dialects.sse import SseEvent, SseSplitter
from providers.dialects.usage import usage_with_cache_outside
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError, StreamInterruptedError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported


class MessageDecoder(EventDecoder[SseEvent]):
    """Finishes at `message_stop`, or at the end of the bytes after a stop reason."""

    __slots__ = ("_calls", "_thoughts")

    def __init__(self) -> None:
        super().__init__(SseSplitter())
        # By block index: the number of the call and its whole input; a block of thinking.
        self._calls: dict[int, tuple[int, Any]] = {}
        self._thoughts: dict[int, Growing] = {}

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _take(self, payload: SseEvent) -> None:
        name, data = payload
        if name == b"error":
            raise embedded_error(json_or_text(data))
        if not data or name == b"ping":
            return
        event = orjson.loads(data)
        if type(event) is not dict:
            raise MalformedResponseError(f"a stream event is not an object: {data[:80].decode('utf-8', 'replace')!r}")
        kind = event.get("type")
        if kind == "content_block_delta":
            self._delta(event["index"], event["delta"])
        elif kind == "content_block_start":
            self._block(event["index"], event["content_block"])
        elif kind == "content_block_stop":
            self._block_end(event["index"])
        elif kind == "message_start":
            message = event["message"]
            self.answer.model = message.get("model") or None
            self.answer.response_id = message.get("id")
            self._start()
            self._usage(message.get("usage"))
        elif kind == "message_delta":
            delta = event.get("delta") or {}
            finish = delta.get("stop_reason")
            if finish is not None:
                if type(finish) is not str:
                    raise TypeError("stop_reason is not a string")
                self.answer.finish_reason, self.answer.stop = finish, stop_of(finish)
            if delta.get("stop_sequence") is not None:
                self.answer.metadata["stop_sequence"] = delta["stop_sequence"]
            self._usage(event.get("usage"))
        elif kind == "message_stop":
            if self.answer.finish_reason is None:
                raise StreamInterruptedError("the stream ended with message_stop but without a stop reason")
            self._finish()
        elif kind == "error" or event.get("error"):
            raise embedded_error(event)
        # Anything else is an event newer than this code, which the vendor's versioning policy says to ignore.

    def _block(self, index: int, block: dict[str, Any]) -> None:
        kind = block.get("type")
        if kind == "text":
            self._text(block.get("text") or "")
        elif kind == "tool_use":
            number = len(self.answer.calls)
            ident, name = block.get("id") or None, block["name"]
            if type(name) is not str:
                raise TypeError("tool_use.name is not a string")
            self._calls[index] = number, block.get("input")
            self.answer.tool(number, ident, name, "")
            self._out.append(ToolCallDelta(number, ident, name))
        elif kind in ("thinking", "redacted_thinking"):
            kept = dict(block)
            self._thoughts[index] = Growing(kept)
            self.answer.metadata.setdefault(THINKING_BLOCKS, []).append(kept)
            if kind == "thinking":
                self._reasoning(block.get("thinking") or "")

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._text(delta["text"])
        elif kind == "input_json_delta":
            call = self._calls.get(index)
            piece = delta["partial_json"]
            if call is not None and piece:
                self._arguments(call[0], piece)
        elif kind == "thinking_delta":
            self._reasoning(delta["thinking"])
            if index in self._thoughts:
                self._thoughts[index].add("thinking", delta["thinking"])
        elif kind == "signature_delta" and index in self._thoughts:
            self._thoughts[index].add("signature", delta["signature"])

    def _arguments(self, number: int, piece: Any) -> None:
        if type(piece) is not str:
            raise TypeError("a piece of tool_use.input is not a string")
        self.answer.tool(number, None, None, piece)
        self._out.append(ToolCallDelta(number, arguments=piece))

    def _block_end(self, index: int) -> None:
        call = self._calls.get(index)
        if call is not None and not self.answer.has_arguments(call[0]):
            # A call without arguments streams no piece of them, or had them whole in its first event.
            self._arguments(call[0], arguments_text(call[1]))

    def _finish(self) -> None:
        for thought in self._thoughts.values():
            thought.join()
        super()._finish()

    def _usage(self, usage: Any) -> None:
        if not usage:
            return
        answer = self.answer
        answer.raw_usage = raw = read_raw_usage(usage, answer.raw_usage)
        answer.usage = usage_with_cache_outside(raw)
        if answer.usage is not None:
            self._out.append(UsageReported(answer.usage, raw))


class MessageEncoder:
    """Writes a stream as Anthropic does. Usage is unknown at the start, so `message_delta` brings all of it."""

    content_type = "text/event-stream; charset=utf-8"

    __slots__ = ("_id", "_index", "_model", "_open", "_text_sent", "_tools")

    def __init__(self, *, model: str, response_id: str, created: int, include_usage: bool = True) -> None:
        self._model = model
        self._id = response_id
        self._index = -1
        self._open: str | None = None
        self._tools: dict[int, int] = {}
        self._text_sent = False

    def start(self) -> bytes:
        message: dict[str, Any] = {
            "id": self._id, "type": "message", "role": "assistant", "model": self._model, "content": [],
            "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 0, "output_tokens": 0},
        }  # fmt: skip
        return _event("message_start", {"message": message})

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            if not event.text and self._text_sent:
                return b""
            self._text_sent = True
            opened = self._switch("text", {"type": "text", "text": ""})
            return opened + self._delta({"type": "text_delta", "text": event.text})
        if isinstance(event, ReasoningDelta):
            opened = self._switch("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            return opened + self._delta({"type": "thinking_delta", "thinking": event.text})
        if isinstance(event, ToolCallDelta):
            return self._tool(event)
        return b""

    def _tool(self, event: ToolCallDelta) -> bytes:
        written = b""
        if event.index not in self._tools:
            block = {"type": "tool_use", "id": event.id or "", "name": event.name or "", "input": {}}
            written = self._switch(f"tool {event.index}", block)
            self._tools[event.index] = self._index
        if event.arguments:
            # A piece of an earlier call still finds its block: clients put pieces together by index.
            delta = {"type": "input_json_delta", "partial_json": event.arguments}
            written += _event("content_block_delta", {"index": self._tools[event.index], "delta": delta})
        return written

    def finish(self, completion: Completion) -> bytes:
        written = b""
        if completion.text == "" and not self._text_sent:
            written += self._switch("text", {"type": "text", "text": ""})
        written += self._stop_block()
        delta = {"stop_reason": finish_word(completion), "stop_sequence": completion.metadata.get("stop_sequence")}
        written += _event("message_delta", {"delta": delta, "usage": write_usage(completion.usage)})
        return written + _event("message_stop", {})

    def error(self, error: ProviderError) -> bytes:
        body = error_body(error)
        del body["type"]
        return _event("error", body)

    def _switch(self, kind: str, block: dict[str, Any]) -> bytes:
        if self._open == kind:
            return b""
        written = self._stop_block()
        self._open = kind
        self._index += 1
        return written + _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _stop_block(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return _event("content_block_stop", {"index": self._index})


def _event(name: str, body: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **body}) + b"\n\n"
