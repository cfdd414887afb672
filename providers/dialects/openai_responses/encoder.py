"""Responses streams, written: every item, part and text is opened, grown, told whole and closed, as OpenAI does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import orjson

from providers.dialects.openai_chat.errors import error_object
from providers.dialects.openai_responses.response import (
    call_item,
    ending,
    item_id,
    message_item,
    reasoning_item,
    refusal_part,
    response_object,
    text_part,
)
from providers.errors import ProviderError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta, ToolCall, ToolCallDelta

Tell = Callable[..., bytes]
"""Writes one event, by its name and fields."""


class _Item:
    """One item of the output while it is written."""

    prefix: ClassVar[str] = ""

    def __init__(self, tell: Tell, response_id: str, index: int) -> None:
        self._tell = tell
        self.id = item_id(self.prefix, response_id, index)
        self.index = index
        self.pieces: list[str] = []

    def begin(self) -> bytes:
        raise NotImplementedError

    def grow(self, piece: str) -> bytes:
        raise NotImplementedError

    def end(self) -> tuple[bytes, dict[str, Any]]:
        """The events that tell it whole, and the item as the whole answer has it."""
        raise NotImplementedError

    def _added(self, item: dict[str, Any]) -> bytes:
        return self._tell("response.output_item.added", output_index=self.index, item=item)

    def _done(self, item: dict[str, Any]) -> bytes:
        return self._tell("response.output_item.done", output_index=self.index, item=item)

    def _of(self, event: str, **fields: Any) -> bytes:
        return self._tell(f"response.{event}", item_id=self.id, output_index=self.index, **fields)


class _Message(_Item):
    prefix = "msg"
    annotations: Any = None

    def begin(self) -> bytes:
        added = self._added(message_item(self.id, [], "in_progress"))
        return added + self._of("content_part.added", content_index=0, part=text_part(""))

    def grow(self, piece: str) -> bytes:
        self.pieces.append(piece)
        return self._of("output_text.delta", content_index=0, delta=piece, logprobs=[]) if piece else b""

    def end(self) -> tuple[bytes, dict[str, Any]]:
        text = "".join(self.pieces)
        part = text_part(text, self.annotations)
        item = message_item(self.id, [part], "completed")
        written = self._of("output_text.done", content_index=0, text=text, logprobs=[])
        return written + self._of("content_part.done", content_index=0, part=part) + self._done(item), item


class _Refusal(_Item):
    prefix = "msg"

    def begin(self) -> bytes:
        added = self._added(message_item(self.id, [], "in_progress"))
        return added + self._of("content_part.added", content_index=0, part=refusal_part(""))

    def grow(self, piece: str) -> bytes:
        self.pieces.append(piece)
        return self._of("refusal.delta", content_index=0, delta=piece)

    def end(self) -> tuple[bytes, dict[str, Any]]:
        part = refusal_part("".join(self.pieces))
        item = message_item(self.id, [part], "completed")
        written = self._of("refusal.done", content_index=0, refusal=part["refusal"])
        return written + self._of("content_part.done", content_index=0, part=part) + self._done(item), item


class _Reasoning(_Item):
    prefix = "rs"

    def begin(self) -> bytes:
        added = self._added(reasoning_item(self.id, None))
        return added + self._of("reasoning_summary_part.added", summary_index=0, part=_summary(""))

    def grow(self, piece: str) -> bytes:
        self.pieces.append(piece)
        return self._of("reasoning_summary_text.delta", summary_index=0, delta=piece) if piece else b""

    def end(self) -> tuple[bytes, dict[str, Any]]:
        text = "".join(self.pieces)
        item = reasoning_item(self.id, text)
        written = self._of("reasoning_summary_text.done", summary_index=0, text=text)
        written += self._of("reasoning_summary_part.done", summary_index=0, part=_summary(text))
        return written + self._done(item), item


class _Call(_Item):
    prefix = "fc"

    def __init__(self, tell: Tell, response_id: str, index: int, ident: str, name: str) -> None:
        super().__init__(tell, response_id, index)
        self._call = ToolCall(ident, name, "")

    def begin(self) -> bytes:
        return self._added(call_item(self.id, self._call, "in_progress"))

    def grow(self, piece: str) -> bytes:
        self.pieces.append(piece)
        return self._of("function_call_arguments.delta", delta=piece) if piece else b""

    def end(self) -> tuple[bytes, dict[str, Any]]:
        self._call.arguments = "".join(self.pieces)
        item = call_item(self.id, self._call, "completed")
        written = self._of("function_call_arguments.done", name=self._call.name, arguments=self._call.arguments)
        return written + self._done(item), item


class ResponseEncoder:
    """Calls stay open until the end: pieces of several may come in turns, and what is closed cannot grow."""

    content_type = "text/event-stream; charset=utf-8"

    __slots__ = ("_calls", "_count", "_items", "_open", "_output", "_response", "_text_sent")

    def __init__(self, *, model: str, response_id: str, created: int) -> None:
        self._response: dict[str, Any] = {"model": model, "response_id": response_id, "created": created}
        self._count = 0
        self._items = 0
        self._open: _Item | None = None
        self._calls: dict[int, _Call] = {}
        self._output: dict[int, dict[str, Any]] = {}
        self._text_sent = False

    def start(self) -> bytes:
        return self._whole("created", status="in_progress") + self._whole("in_progress", status="in_progress")

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            if not event.text and self._text_sent:
                return b""
            self._text_sent = True
            return self._grow(_Message, event.text)
        if isinstance(event, ReasoningDelta):
            return self._grow(_Reasoning, event.text)
        if isinstance(event, ToolCallDelta):
            return self._tool(event)
        return b""

    def finish(self, completion: Completion) -> bytes:
        written = b""
        if completion.text == "" and not self._text_sent:
            written = self._grow(_Message, "")
        if isinstance(self._open, _Message):
            self._open.annotations = completion.metadata.get("annotations")
        refusal = completion.metadata.get("refusal")
        if refusal:
            written += self._grow(_Refusal, refusal)
        written += self._close(self._open)
        for call in self._calls.values():
            written += self._close(call)
        fields = ending(completion)
        return written + self._whole(fields["status"], **fields)

    def error(self, error: ProviderError) -> bytes:
        """OpenAI tells it twice: at the first event clients raise, with the second the response ends."""
        told = error_object(error)
        failure = {"code": told["code"] or told["type"], "message": told["message"]}
        return self._tell("error", error=told) + self._whole("failed", status="failed", error=failure)

    # --- items ----------------------------------------------------------------------------------------------------

    def _grow(self, kind: type[_Item], piece: str) -> bytes:
        written = b""
        item = self._open
        if type(item) is not kind:
            written = self._close(item)
            item = self._open = kind(self._tell, self._response["response_id"], self._next())
            written += item.begin()
        return written + item.grow(piece)

    def _tool(self, event: ToolCallDelta) -> bytes:
        written = b""
        call = self._calls.get(event.index)
        if call is None:
            written = self._close(self._open)
            self._open = None
            call = self._calls[event.index] = _Call(
                self._tell, self._response["response_id"], self._next(), event.id or "", event.name or ""
            )
            written += call.begin()
        return written + call.grow(event.arguments)

    def _next(self) -> int:
        self._items += 1
        return self._items - 1

    def _close(self, item: _Item | None) -> bytes:
        if item is None:
            return b""
        written, self._output[item.index] = item.end()
        return written

    # --- events ---------------------------------------------------------------------------------------------------

    def _whole(self, event: str, **fields: Any) -> bytes:
        """An event with the response so far."""
        output = [self._output[index] for index in sorted(self._output)]
        return self._tell(f"response.{event}", response=response_object(**self._response, output=output, **fields))

    def _tell(self, event: str, **fields: Any) -> bytes:
        data = orjson.dumps({"type": event, "sequence_number": self._count, **fields})
        self._count += 1
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}
