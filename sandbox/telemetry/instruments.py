"""Events become the metrics that the conventions for generative AI name: durations, first chunks, tokens.

Every attempt on a provider is an operation. Labels are providers, models and classes of errors: none of a caller.
"""

from __future__ import annotations

from opentelemetry.metrics import Meter
from opentelemetry.util.types import AttributeValue

from sandbox.core.events import AttemptFailed, AttemptSucceeded, Event, RequestCompleted
from sandbox.telemetry import conventions as c


class Instruments:
    """An observer of the bus."""

    def __init__(self, meter: Meter) -> None:
        self._tokens = meter.create_histogram(
            c.TOKEN_USAGE_METRIC,
            unit="{token}",
            description="Tokens of answers.",
            explicit_bucket_boundaries_advisory=c.TOKEN_BUCKETS,
        )
        self._duration = meter.create_histogram(
            c.DURATION_METRIC,
            unit="s",
            description="How long attempts on providers took.",
            explicit_bucket_boundaries_advisory=c.DURATION_BUCKETS,
        )
        self._first_chunk = meter.create_histogram(
            c.FIRST_CHUNK_METRIC,
            unit="s",
            description="How long streams took to their first text.",
            explicit_bucket_boundaries_advisory=c.DURATION_BUCKETS,
        )

    def __call__(self, event: Event) -> None:
        if isinstance(event, AttemptSucceeded):
            labels = _labels(event.provider, event.model)
            self._duration.record(event.latency_ms / 1000, labels)
            if event.ttft_ms is not None:
                self._first_chunk.record(event.ttft_ms / 1000, labels)
        elif isinstance(event, AttemptFailed):
            labels = _labels(event.provider, event.model)
            self._duration.record(event.latency_ms / 1000, {**labels, c.ERROR_TYPE: event.error_type})
        elif isinstance(event, RequestCompleted) and not event.cached:
            labels = _labels(event.provider, event.model)
            for kind, tokens in (("input", event.input_tokens), ("output", event.output_tokens)):
                self._tokens.record(tokens, {**labels, c.TOKEN_TYPE: kind})


def _labels(provider: str, model: str) -> dict[str, AttributeValue]:
    return {c.OPERATION: c.CHAT, c.PROVIDER: c.PROVIDERS.get(provider, provider), c.REQUEST_MODEL: model}
