"""Responses streams, read: typed events that tell each thing several times, as it grows and again when it is whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.dialects.decoding import EventDecoder, json_or_text
from providers.dialects.openai_responses.response import (
    annotate,
    decode_completion,
    failure_of,
    keep,
    read_call,
    read_counts,
    read_finish,
    stop_of,
)
from providers.dialects.sse import SseEvent, SseSplitter
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError, StreamInterruptedError
from providers.types import Completion, ToolCallDelta, UsageReported

_GROWING: Final = {
    "output_text": "text",
    "refusal": "refusal",
    "reasoning_text": "text",
    "reasoning_summary_text": "text",
    "function_call_arguments": "arguments",
}
"""What comes in `response.….delta` events, and the field of its `response.….done` that has the whole."""
_PARTS: Final = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "summary_text": "reasoning_summary_text",
}
"""The same by the type of the part that it is in an item."""


class ResponseDecoder(EventDecoder[SseEvent]):
    """Finishes at `response.completed` or `response.incomplete`, never before.

    Pieces come from deltas; a whole is read only where no piece of it came, so that nothing counts twice.
    """

    __slots__ = ("_calls", "_grown", "_told")

    def __init__(self) -> None:
        super().__init__(SseSplitter())
        # The number of the call by its place in the output.
        self._calls: dict[int, int] = {}
        # Of what a piece has come: what it is, its item's place and its own in the item.
        self._grown: set[tuple[str, int, int]] = set()
        self._told = False

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _take(self, payload: SseEvent) -> None:
        name, data = payload
        if name == b"error":
            raise _failure(json_or_text(data))
        if not data:
            return
        if data.startswith(b"[DONE]"):
            # Servers that speak chat completions too send it after the last event, where nothing is read any more.
            raise StreamInterruptedError("the stream ended with [DONE] but without response.completed")
        event = orjson.loads(data)
        if type(event) is not dict:
            raise MalformedResponseError(f"a stream event is not an object: {data[:80].decode('utf-8', 'replace')!r}")
        kind = event.get("type")
        if kind == "error" or event.get("object") == "error" or (kind is None and event.get("error")):
            raise _failure(event)
        if type(kind) is not str:
            raise MalformedResponseError("a stream event has no type")
        what, _, phase = kind.removeprefix("response.").rpartition(".")
        if phase == "delta":
            if what in _GROWING:
                self._grow(what, event.get("output_index", 0), _place(event), event["delta"])
        elif what in _GROWING and phase == "done":
            self._whole_of(what, event.get("output_index", 0), _place(event), event[_GROWING[what]])
        elif what == "output_item" and phase == "added":
            self._item(event["output_index"], event["item"])
        elif what == "output_item" and phase == "done":
            self._item_end(event["output_index"], event["item"])
        elif what == "content_part" and phase == "added":
            self._part(event["output_index"], _place(event), event["part"])
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._end(event["response"])
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            self._opened(event["response"])
        # Anything else tells of tools that the vendor runs itself, or is newer than this code.

    def _opened(self, response: Mapping[str, Any]) -> None:
        if not self._started:
            self.answer.model = response.get("model") or None
            self.answer.response_id = response.get("id")
            self._start()

    # --- what grows -----------------------------------------------------------------------------------------------

    def _grow(self, what: str, item: int, place: int, piece: Any) -> None:
        self._opened({})
        self._told = True
        if piece:
            self._grown.add((what, item, place))
        if what == "output_text":
            self._text(piece)
        elif what == "function_call_arguments":
            self._arguments(item, piece)
        elif what == "refusal":
            if type(piece) is not str:
                raise TypeError("a piece of refusal is not a string")
            self.answer.refusal.append(piece)
        else:
            self._reasoning(piece)

    def _whole_of(self, what: str, item: int, place: int, whole: Any) -> None:
        if (what, item, place) not in self._grown:
            self._grow(what, item, place, whole)

    def _part(self, item: int, place: int, part: Mapping[str, Any]) -> None:
        what = _PARTS.get(part.get("type", ""))
        if what is not None:
            # Empty as a rule, but an empty text is a text even if nothing else of it follows.
            self._whole_of(what, item, place, part.get(_GROWING[what]) or "")

    def _arguments(self, item: int, piece: Any) -> None:
        if type(piece) is not str:
            raise TypeError("a piece of arguments is not a string")
        if piece and item in self._calls:
            number = self._calls[item]
            self.answer.tool(number, None, None, piece)
            self._out.append(ToolCallDelta(number, arguments=piece))

    # --- items ----------------------------------------------------------------------------------------------------

    def _item(self, index: int, item: Mapping[str, Any]) -> None:
        if item.get("type") == "function_call":
            self._opened({})
            self._told = True
            call = read_call(item)
            number = self._calls[index] = len(self.answer.calls)
            self.answer.tool(number, call.id, call.name, "")
            self._out.append(ToolCallDelta(number, call.id, call.name))

    def _item_end(self, index: int, item: Mapping[str, Any]) -> None:
        """Take a whole item: what of it has not come yet, and what it alone has."""
        self._told = True
        kind = item.get("type")
        if kind == "function_call":
            if index not in self._calls:
                self._item(index, item)
            self._whole_of("function_call_arguments", index, 0, read_call(item).arguments)
            return
        for field in ("summary", "content"):
            for place, part in enumerate(item.get(field) or ()):
                self._part(index, place, part)
        if kind == "message":
            annotate(self.answer.metadata, item)
        else:
            keep(self.answer.metadata, item)

    def _end(self, response: Mapping[str, Any]) -> None:
        answer = self.answer
        self._opened(response)
        answer.model = response.get("model") or answer.model
        usage, raw = read_counts(response)
        if usage is not None:
            answer.usage, answer.raw_usage = usage, raw
        failure = failure_of(response)
        if failure is not None:
            raise failure
        if not self._told:
            for index, item in enumerate(response.get("output") or ()):
                self._item_end(index, item)
        if usage is not None:
            self._out.append(UsageReported(usage, raw))
        answer.finish_reason = read_finish(response)
        answer.stop = stop_of(answer.finish_reason, bool(answer.calls))
        self._finish()


def _failure(value: object) -> ProviderError:
    """The error of an event: flat as documented, or nested as OpenAI sends it."""
    if isinstance(value, dict) and value.get("type") == "error":
        # That is the event's own type, not the error's.
        value = {k: v for k, v in value.items() if k != "type"}
    return embedded_error(value)


def _place(event: Mapping[str, Any]) -> int:
    """Which part of its item an event tells of; summaries are numbered apart."""
    place: int = event.get("content_index", event.get("summary_index", 0))
    return place
