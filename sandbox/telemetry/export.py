"""From a bus to a collector: OTLP over HTTP, in the background, so that no request ever waits for it.

`OTEL_…` variables that the SDK knows (headers, certificates, compression, sampling, resource) hold as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http import metric_exporter, trace_exporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from sandbox import __version__
from sandbox.telemetry.contents import Contents
from sandbox.telemetry.instruments import Instruments
from sandbox.telemetry.spans import RequestIds, Spans

if TYPE_CHECKING:
    from providers.types import Message, ToolCall
    from sandbox.core.bus import Bus

SERVICE: Final = "llm-failover-sandbox"
TIMEOUT_S: Final = 3.0
"""How long a batch is tried to be delivered, and so what the end of the program waits for a collector that is away."""


class _Once(logging.Filter):
    """One sentence for all that the exporters say of each batch and each retry while a collector is away."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        first, self._told = not self._told, True
        record.msg, record.args = "the collector of telemetry.endpoint takes nothing: what is told now may be lost", ()
        record.exc_info = None
        return first


_once: Final = _Once()


class Telemetry:
    """Subscribed from the start on, until `close`."""

    def __init__(
        self, bus: Bus, processor: SpanProcessor, readers: Sequence[MetricReader], *, contents: Contents | None = None
    ) -> None:
        """`contents`: how prompts and answers are written; None: they are not told, whoever says them."""
        ids = RequestIds()
        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):  # OTEL_SERVICE_NAME says otherwise
            resource = resource.merge(Resource({"service.name": SERVICE}))
        self._traces = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        self._traces.add_span_processor(processor)
        self._metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self._spans = spans = Spans(self._traces.get_tracer(SERVICE, __version__), ids)
        self._contents = contents
        instruments = Instruments(self._metrics.get_meter(SERVICE, __version__))
        self._leave = [bus.subscribe(spans, texts=False), bus.subscribe(instruments, texts=False)]

    @classmethod
    def to(cls, endpoint: str, bus: Bus, *, contents: Contents | None = None) -> Telemetry:
        """To the collector at this address, without `/v1/traces` and its like."""
        base = endpoint.rstrip("/")
        for module in (metric_exporter, trace_exporter):
            logging.getLogger(module.__name__).addFilter(_once)
        return cls(
            bus,
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=TIMEOUT_S)),
            [PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=TIMEOUT_S))],
            contents=contents,
        )

    def exchanged(
        self, request_id: str, asked: Sequence[Message], answer: str, tool_calls: Sequence[ToolCall], stop: str
    ) -> None:
        """What a request asked and was answered, said before it ends."""
        contents = self._contents
        if contents is not None:
            answered = contents.answered(answer, tool_calls, stop) if answer or tool_calls else None
            self._spans.contents(request_id, contents.asked(asked), answered)

    def close(self) -> None:
        """Send what waits, for no longer than a few seconds, and stop; safe to call twice. Blocks."""
        leave, self._leave = self._leave, []
        if not leave:
            return
        for unsubscribe in leave:
            unsubscribe()
        traces = Thread(target=self._traces.shutdown, daemon=True)
        traces.start()
        self._metrics.shutdown(TIMEOUT_S * 1000)
        traces.join()
