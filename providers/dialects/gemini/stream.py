"""Gemini's streams, both ways: whole answers one after another, as server-sent events or as one JSON array.

There is no end sentinel among the events: the end of the bytes is one, and in the array its closing bracket.
"""

from __future__ import annotations

from typing import Any

import orjson

from providers.dialects.decoding import EventDecoder
from providers.dialects.gemini.errors import error_body
from providers.dialects.gemini.framing import END, FramingSplitter
from providers.dialects.gemini.parts import signatures_of
from providers.dialects.gemini.response import (
    Folder,
    call_parts,
    candidate_of,
    decode_completion,
    finish_word,
    text_part,
    write_usage,
)
from providers.dialects.sse import SseEvent
from providers.dialects.usage import count
from providers.dialects.vendor_errors import embedded_error
from providers.errors import MalformedResponseError, ProviderError, StreamInterruptedError
from providers.types import Completion, ReasoningDelta, StreamEvent, TextDelta


class ContentDecoder(EventDecoder[SseEvent]):
    """Finishes at the finish reason that comes with the final usage, or at the end of the bytes after one.

    Gemini 1 sent STOP with every chunk, so a finish reason in the first chunk is no end: the bytes' end is waited for.
    """

    __slots__ = ("_folder", "_torn", "_unfinished")

    def __init__(self) -> None:
        super().__init__(FramingSplitter())
        self._folder = Folder(self.answer)
        self._unfinished = False
        """A candidate came without a finish reason: this model sends one only at the end."""
        self._torn = False

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _take(self, payload: SseEvent) -> None:
        data = payload[1]
        if payload is END:
            if self.answer.finish_reason is None:
                raise StreamInterruptedError("the stream's array was closed, but without a finish reason")
            self._finish()
            return
        if not data:
            return
        try:
            chunk = orjson.loads(data)
        except ValueError:
            self._torn = True
            raise
        if type(chunk) is not dict:
            raise MalformedResponseError(f"a stream event is not an object: {data[:80].decode('utf-8', 'replace')!r}")
        if chunk.get("error"):
            raise embedded_error(chunk)
        if not self._started:
            self.answer.model = chunk.get("modelVersion") or None
            self._start()
        found = self._folder.take(chunk, self._out)
        if self.answer.finish_reason is None:
            self._unfinished = self._unfinished or found
        elif self._unfinished and count(chunk.get("usageMetadata"), "candidatesTokenCount") is not None:
            self._finish()

    def _complete(self) -> bool:
        # Bytes that end inside an event were cut, even after a finish reason: of Gemini 1's there are many.
        return self.answer.finish_reason is not None and not self._torn

    def _finish(self) -> None:
        self._folder.completion()
        super()._finish()


class ContentEncoder:
    """Writes a stream as Google does: nothing before the first text, calls whole, usage with the finish reason."""

    content_type = "text/event-stream"

    __slots__ = ("_tail", "_text_sent")

    def __init__(self, *, model: str, response_id: str) -> None:
        self._tail = {"modelVersion": model, "responseId": response_id}
        self._text_sent = False

    def start(self) -> bytes:
        return b""

    def event(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            if not event.text and self._text_sent:
                return b""
            self._text_sent = True
            return self._framed({"candidates": [candidate_of([text_part(event.text)])], **self._tail})
        if isinstance(event, ReasoningDelta):
            return self._framed({"candidates": [candidate_of([text_part(event.text, thought=True)])], **self._tail})
        # Pieces of a call mean nothing here: all calls come whole, with the end.
        return b""

    def finish(self, completion: Completion) -> bytes:
        parts: list[dict[str, Any]] = []
        signature = signatures_of(completion.metadata).get(None)
        if signature is not None:
            parts.append({"text": "", "thoughtSignature": signature})
        elif completion.text == "" and not self._text_sent:
            parts.append(text_part(""))
        parts += call_parts(completion)
        last: dict[str, Any] = {"candidates": [candidate_of(parts, finish_word(completion))]}
        if completion.usage is not None:
            last["usageMetadata"] = write_usage(completion.usage)
        return self._framed({**last, **self._tail})

    def error(self, error: ProviderError) -> bytes:
        return self._framed(error_body(error))

    def _framed(self, chunk: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(chunk) + b"\r\n\r\n"


class ArrayEncoder(ContentEncoder):
    """The same chunks as the elements of one array."""

    content_type = "application/json; charset=UTF-8"

    __slots__ = ("_begun",)

    def __init__(self, *, model: str, response_id: str) -> None:
        super().__init__(model=model, response_id=response_id)
        self._begun = False

    def finish(self, completion: Completion) -> bytes:
        return super().finish(completion) + b"]"

    def error(self, error: ProviderError) -> bytes:
        return super().error(error) + b"]"

    def _framed(self, chunk: dict[str, Any]) -> bytes:
        opening = b",\r\n" if self._begun else b"["
        self._begun = True
        return opening + orjson.dumps(chunk) + b"\n"
