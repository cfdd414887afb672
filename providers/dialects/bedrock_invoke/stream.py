"""InvokeModelWithResponseStream, both ways: chunks of the family's own stream, in base64, in messages."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import orjson

from providers.dialects.bedrock import read_event, write_event, write_exception
from providers.dialects.bedrock_invoke import families
from providers.dialects.bedrock_invoke.response import decode_completion
from providers.dialects.decoding import EventDecoder
from providers.dialects.eventstream import CONTENT_TYPE, Frame, FrameSplitter
from providers.dialects.sse import SseEvent, SseSplitter
from providers.dialects.usage import count, usage_with_cache_outside
from providers.errors import ProviderError
from providers.types import Completion, RawUsage, StreamEvent, TokenUsage, UsageReported

METRICS: Final = "amazon-bedrock-invocationMetrics"
"""Field of a stream's last chunk, whatever the family."""
_FURTHER_EXCEPTIONS: Final = {"ModelTimeoutException": "modelTimeoutException"}


class InvokeDecoder(EventDecoder[Frame]):
    """Reads each chunk with the family that the first one shows. Finishes as that does, or at the metrics."""

    __slots__ = ("_reader",)

    def __init__(self) -> None:
        super().__init__(FrameSplitter())
        self._reader: EventDecoder[SseEvent] | None = None

    def _whole(self, body: bytes) -> Completion:
        return decode_completion(body)

    def _take(self, payload: Frame) -> None:
        name, body = read_event(payload)
        if name != "chunk":
            return
        data = b64decode(orjson.loads(body)["bytes"], validate=True)
        metrics: Any = None
        if self._reader is None or METRICS.encode() in data:
            chunk = orjson.loads(data)
            metrics = chunk.get(METRICS)
            if self._reader is None:
                self._reader = families.of_chunk(chunk).reader()
                self.answer = self._reader.answer
                self._started = True
            if metrics and self.answer.usage is None:
                self._measure(metrics)
        self._reader.read_into(self._out, (b"", data))
        self.finished = self._reader.finished
        if metrics and not self.finished and self._complete():
            self._finish()

    def _measure(self, metrics: Mapping[str, Any]) -> None:
        """What AWS counted, until the model says what it counted itself; many say nothing."""
        answer = self.answer
        raw = answer.raw_usage = RawUsage(
            count(metrics, "inputTokenCount"),
            count(metrics, "outputTokenCount"),
            count(metrics, "cacheReadInputTokenCount"),
            count(metrics, "cacheWriteInputTokenCount"),
        )
        answer.usage = usage_with_cache_outside(raw)
        if answer.usage is not None:
            self._out.append(UsageReported(answer.usage, raw))

    def _finish(self) -> None:
        if self._reader is not None:
            self._reader.finish_into(self._out)
            self.finished = True


class InvokeEncoder:
    content_type = CONTENT_TYPE

    __slots__ = ("_events", "_writer")

    def __init__(self, *, model: str, response_id: str, created: int) -> None:
        self._writer = families.writing(model).writer(model=model, response_id=response_id, created=created)
        self._events = SseSplitter()

    def start(self) -> bytes:
        return self._framed(self._writer.start())

    def event(self, event: StreamEvent) -> bytes:
        return self._framed(self._writer.event(event))

    def finish(self, completion: Completion) -> bytes:
        return self._framed(self._writer.finish(completion), _metrics(completion.usage))

    def error(self, error: ProviderError) -> bytes:
        return write_exception(error, _FURTHER_EXCEPTIONS)

    def _framed(self, events: bytes, metrics: dict[str, int] | None = None) -> bytes:
        # Chunks have no end sentinel.
        chunks = [data for _, data in self._events.feed(events) if data != b"[DONE]"]
        if metrics is not None:
            last = orjson.loads(chunks[-1])
            chunks[-1] = orjson.dumps({**last, METRICS: metrics})
        return b"".join(write_event("chunk", {"bytes": b64encode(chunk).decode()}) for chunk in chunks)


def _metrics(usage: TokenUsage | None) -> dict[str, int]:
    usage = usage or TokenUsage()
    metrics = {
        "inputTokenCount": max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens),
        "outputTokenCount": usage.output_tokens,
        "invocationLatency": 0,
        "firstByteLatency": 0,
    }
    if usage.cached_input_tokens or usage.cache_write_tokens:
        metrics["cacheReadInputTokenCount"] = usage.cached_input_tokens
        metrics["cacheWriteInputTokenCount"] = usage.cache_write_tokens
    return metrics
