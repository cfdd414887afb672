"""Converse streams, both ways: messages named by their event, blocks by their index, usage last of all."""

from __future__ import annotations

from typing import Any, Generic

import orjson

from providers.dialects.accumulator import Growing
from providers.dialects.bedrock import read_event, write_event, write_exception
from providers.dialects.bedrock_converse.response import (
    GUARDRAIL,
    decode_completion,
    finish_word,
    read_call,
    read_extras,
    read_usage,
    stop_of,
    write_metrics,
    write_tier,
    write_usage,
)
from providers.dialects.decoding import EventDecoder, P, Splitter
from providers.dialects.eventstream import CONTENT_TYPE, Frame, FrameSplitter
from providers.dialects.forms import THINKING_BLOCKS
from providers.errors import MalformedResponseError, ProviderError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta, ToolCallDelta, UsageReported


class BlockDecoder(EventDecoder[P], Generic[P]):
    """Finishes when both the stop reason and the usage are known, or at the end of the bytes after a stop reason."""

    __slots__ = ("_calls", "_measured", "_thoughts")

    def __init__(self, splitter: Splitter[P]) -> None:
        super().__init__(splitter)
        self._measured = False
        # By block index: the number of the call; a thought.
        self._calls: dict[int, int] = {}
        self._thoughts: dict[int, Growing] = {}

    def _event(self, name: str, event: dict[str, Any]) -> None:
        if name == "contentBlockDelta":
            self._delta(event["contentBlockIndex"], event["delta"])
        elif name == "contentBlockStart":
            self._block(event["contentBlockIndex"], event.get("start") or {})
        elif name == "contentBlockStop":
            self._block_end(event["contentBlockIndex"])
        elif name == "messageStart":
            self._start()
        elif name == "messageStop":
            finish = event["stopReason"]
            if type(finish) is not str:
                raise TypeError("stopReason is not a string")
            self.answer.finish_reason, self.answer.stop = finish, stop_of(finish)
            self._finish_if_complete()
        elif name == "metadata":
            self._usage(event)
            self._measured = True
            self._finish_if_complete()
        # Anything else is an event newer than this code.

    def _finish_if_complete(self) -> None:
        if self._measured and self.answer.finish_reason is not None:
            self._finish()

    def _block(self, index: int, start: dict[str, Any]) -> None:
        use = start.get("toolUse")
        call = read_call(use) if use is not None else None
        if call is not None:
            number = self._calls[index] = len(self.answer.calls)
            self.answer.tool(number, *call, "")
            self._out.append(ToolCallDelta(number, call[0] or None, call[1]))

    def _delta(self, index: int, delta: dict[str, Any]) -> None:
        if "text" in delta:
            self._text(delta["text"])
        elif "toolUse" in delta:
            piece, number = delta["toolUse"]["input"], self._calls.get(index)
            if number is not None and piece:
                self._piece(number, piece)
        elif "reasoningContent" in delta:
            self._thought(index, delta["reasoningContent"])

    def _piece(self, number: int, piece: str) -> None:
        if type(piece) is not str:
            raise TypeError("a piece of toolUse.input is not a string")
        self.answer.tool(number, None, None, piece)
        self._out.append(ToolCallDelta(number, arguments=piece))

    def _thought(self, index: int, delta: dict[str, Any]) -> None:
        if index not in self._thoughts:
            kept = {"type": "redacted_thinking"} if "redactedContent" in delta else {"type": "thinking", "thinking": ""}
            self.answer.metadata.setdefault(THINKING_BLOCKS, []).append(kept)
            self._thoughts[index] = Growing(kept)
        thought = self._thoughts[index]
        if "text" in delta:
            self._reasoning(delta["text"])
            thought.add("thinking", delta["text"])
        elif "signature" in delta:
            thought.add("signature", delta["signature"])
        elif "redactedContent" in delta:
            thought.add("data", delta["redactedContent"])

    def _block_end(self, index: int) -> None:
        number = self._calls.get(index)
        if number is not None and not self.answer.has_arguments(number):
            # A call without arguments streams no piece of them.
            self._piece(number, "{}")

    def _usage(self, event: dict[str, Any]) -> None:
        read_extras(event, self.answer.metadata)
        usage, raw = read_usage(event)
        if usage is not None:
            self.answer.usage, self.answer.raw_usage = usage, raw
            self._out.append(UsageReported(usage, raw))

    def _finish(self) -> None:
        for thought in self._thoughts.values():
            thought.join()
        super()._finish()


class ConverseDecoder(BlockDecoder[Frame]):
    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(FrameSplitter())

    def _take(self, payload: Frame) -> None:
        name, body = read_event(payload)
        event = orjson.loads(body)
        if type(event) is not dict:
            raise MalformedResponseError(f"a stream event is not an object: {body[:80].decode('utf-8', 'replace')!r}")
        self._event(name, event)

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)


class ConverseEncoder:
    """Writes a stream as Converse does: only calls of tools announce their block."""

    content_type = CONTENT_TYPE

    __slots__ = ("_index", "_open", "_text_sent", "_tools")

    def __init__(self) -> None:
        self._index = -1
        self._open: str | None = None
        self._tools: dict[int, int] = {}
        self._text_sent = False

    def start(self) -> bytes:
        return self._written("messageStart", {"role": "assistant"})

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            if not event.text and self._text_sent:
                return b""
            self._text_sent = True
            return self._switch("text") + self._delta(self._index, {"text": event.text})
        if isinstance(event, ReasoningDelta):
            return self._switch("reasoning") + self._delta(self._index, {"reasoningContent": {"text": event.text}})
        if isinstance(event, ToolCallDelta):
            return self._tool(event)
        return b""

    def _tool(self, event: ToolCallDelta) -> bytes:
        written = b""
        if event.index not in self._tools:
            use = {"toolUseId": event.id or "", "name": event.name or ""}
            written = self._switch(f"tool {event.index}")
            written += self._written("contentBlockStart", {"start": {"toolUse": use}, "contentBlockIndex": self._index})
            self._tools[event.index] = self._index
        if event.arguments:
            # A piece of an earlier call still finds its block: clients put pieces together by index.
            written += self._delta(self._tools[event.index], {"toolUse": {"input": event.arguments}})
        return written

    def finish(self, completion: Completion) -> bytes:
        written = b""
        if completion.text == "" and not self._text_sent:
            written += self._switch("text") + self._delta(self._index, {"text": ""})
        written += self._stop_block() + self._written("messageStop", {"stopReason": finish_word(completion)})
        metadata = {
            "usage": write_usage(completion.usage),
            "metrics": write_metrics(completion),
            **write_tier(completion.usage),
        }
        if GUARDRAIL in completion.metadata:
            metadata["trace"] = completion.metadata[GUARDRAIL]
        return written + self._written("metadata", metadata)

    def error(self, error: ProviderError) -> bytes:
        return write_exception(error)

    def _written(self, name: str, body: dict[str, Any]) -> bytes:
        return write_event(name, body)

    def _switch(self, kind: str) -> bytes:
        if self._open == kind:
            return b""
        written = self._stop_block()
        self._open = kind
        self._index += 1
        return written

    def _delta(self, index: int, delta: dict[str, Any]) -> bytes:
        return self._written("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})

    def _stop_block(self) -> bytes:
        if self._open is None:
            return b""
        self._open = None
        return self._written("contentBlockStop", {"contentBlockIndex": self._index})
