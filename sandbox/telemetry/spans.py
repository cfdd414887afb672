"""Events become spans: one for each request, and below it one for each attempt on a provider.

What a vendor was asked and charged for is on the attempt's span, so that nobody who adds up the spans of a trace counts
it twice; what became of the request is on its own. No message of a vendor is told, for these quote prompts, and prompts
and answers only where somebody says them here, who was asked to. A trace has its request's id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    CacheHit,
    CandidateSkipped,
    Event,
    FallbackTaken,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RetryScheduled,
    StreamRestartedElsewhere,
)
from sandbox.telemetry import conventions as c

MAX_OPEN: Final = 10_000
"""Requests under way; beyond it the oldest is taken for lost."""


class RequestIds(RandomIdGenerator):
    """Gives a trace the id of its request, where that is one."""

    def __init__(self) -> None:
        self.following: int | None = None

    def generate_trace_id(self) -> int:
        following, self.following = self.following, None
        return following or super().generate_trace_id()


def trace_id(request_id: str) -> int | None:
    """The number that a request's id spells; None for an id of another form."""
    try:
        return int(request_id, 16) if len(request_id) == 32 else None
    except ValueError:
        return None


@dataclass(slots=True)
class _Open:
    """A request under way."""

    root: Span
    stream: bool
    model: str | None
    attempts: dict[int, Span] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    """When attempts were over whose span waits for what the request came to, in ns."""
    failed: int = 0


class Spans:
    """An observer of the bus."""

    def __init__(self, tracer: Tracer, ids: RequestIds) -> None:
        self._tracer = tracer
        self._ids = ids
        self._open: dict[str, _Open] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._received,
            CacheHit: self._hit,
            CandidateSkipped: self._skipped,
            AttemptStarted: self._started,
            AttemptFailed: self._broke,
            AttemptSucceeded: self._succeeded,
            RetryScheduled: self._retried,
            FallbackTaken: self._moved,
            StreamRestartedElsewhere: self._restarted,
            RequestCompleted: self._completed,
            RequestFailed: self._failed,
            RequestCancelled: self._cancelled,
        }

    def __call__(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def contents(self, request_id: str, asked: str, answered: str | None) -> None:
        """What a request asked and was answered, before it is told how it ended. It stands in its trace once."""
        found = self._open.get(request_id)
        if found is None:
            return
        # On the attempt that answered; where none did (a cache, a failure), on the request.
        span = next((found.attempts[one] for one in reversed(found.ended) if one in found.attempts), found.root)
        span.set_attribute(c.INPUT_MESSAGES, asked)
        if answered is not None:
            span.set_attribute(c.OUTPUT_MESSAGES, answered)

    # --- the request ------------------------------------------------------------------------------------------------

    def _received(self, event: RequestReceived) -> None:
        if len(self._open) >= MAX_OPEN:
            self._close(next(iter(self._open)), event.t_us, {"sandbox.outcome": "lost"})
        attributes: dict[str, AttributeValue] = {
            c.OPERATION: c.CHAT,
            c.REQUEST_STREAM: event.stream,
            "sandbox.request_id": event.request_id,
            "sandbox.mode": event.mode,
            "sandbox.tenant": event.tenant,
            "sandbox.agent": event.agent,
        }
        if event.model:
            attributes[c.REQUEST_MODEL] = event.model
        self._ids.following = trace_id(event.request_id)
        # Whatever else is traced in this process, a request begins a trace of its own.
        root = self._tracer.start_span(
            f"request {event.model or 'any model'}",
            context=set_span_in_context(INVALID_SPAN),
            kind=SpanKind.INTERNAL,
            attributes=attributes,
            start_time=event.t_us * 1000,
        )
        self._open[event.request_id] = _Open(root, event.stream, event.model)

    def _completed(self, event: RequestCompleted) -> None:
        found = self._open.get(event.request_id)
        if found is None:
            return
        usage: dict[str, AttributeValue] = {
            c.RESPONSE_MODEL: event.model,
            c.INPUT_TOKENS: event.input_tokens,
            c.OUTPUT_TOKENS: event.output_tokens,
            c.CACHE_READ_TOKENS: event.cached_input_tokens,
            c.REASONING_TOKENS: event.reasoning_tokens,
            "sandbox.usage.estimated": event.estimated,
        }
        if event.finish_reason:
            usage[c.FINISH_REASONS] = [event.finish_reason]
        for number in found.ended:
            found.attempts[number].set_attributes(usage)
        self._close(
            event.request_id,
            event.t_us,
            {
                c.RESPONSE_MODEL: event.model,
                "sandbox.provider": event.provider,
                "sandbox.outcome": "cached" if event.cached else "answered",
                "sandbox.cached": event.cached,
                "sandbox.failovers": event.failovers,
                **_money("sandbox.cost_usd", event.cost_usd),
                **_money("sandbox.waste_usd", event.waste_usd),
            },
        )

    def _failed(self, event: RequestFailed) -> None:
        found = self._open.get(event.request_id)
        if found is not None:
            found.root.set_status(Status(StatusCode.ERROR, event.error_type))
        told = {"sandbox.outcome": "failed", c.ERROR_TYPE: event.error_type}
        self._close(event.request_id, event.t_us, {**told, **_money("sandbox.waste_usd", event.waste_usd)})

    def _cancelled(self, event: RequestCancelled) -> None:
        told = {"sandbox.outcome": "cancelled", **_money("sandbox.waste_usd", event.waste_usd)}
        self._close(event.request_id, event.t_us, told)

    def _close(self, request_id: str, t_us: int, attributes: dict[str, AttributeValue]) -> None:
        found = self._open.pop(request_id, None)
        if found is None:
            return
        for number, span in found.attempts.items():
            # One that is under way was given up with its request.
            span.end(end_time=found.ended.get(number, t_us * 1000))
        found.root.set_attributes({**attributes, "sandbox.failed_attempts": found.failed})
        found.root.end(end_time=t_us * 1000)

    # --- its attempts -----------------------------------------------------------------------------------------------

    def _started(self, event: AttemptStarted) -> None:
        found = self._open.get(event.request_id)
        if found is None:
            return
        found.attempts[event.attempt] = self._tracer.start_span(
            f"{c.CHAT} {event.model}",
            context=set_span_in_context(found.root),
            kind=SpanKind.CLIENT,
            attributes={
                c.OPERATION: c.CHAT,
                c.PROVIDER: c.PROVIDERS.get(event.provider, event.provider),
                c.REQUEST_MODEL: event.model,
                c.REQUEST_STREAM: found.stream,
                "sandbox.provider": event.provider,
                "sandbox.attempt": event.attempt,
                "sandbox.retry": event.retry,
                "sandbox.breaker": event.breaker,
            },
            start_time=event.t_us * 1000,
        )

    def _broke(self, event: AttemptFailed) -> None:
        found = self._open.get(event.request_id)
        span = None if found is None else found.attempts.pop(event.attempt, None)
        if found is None or span is None:
            return
        found.failed += 1
        found.ended.pop(event.attempt, None)
        span.set_attribute(c.ERROR_TYPE, event.error_type)
        if event.status is not None:
            span.set_attribute(c.STATUS_CODE, event.status)
        span.set_status(Status(StatusCode.ERROR, event.error_type))
        span.end(end_time=event.t_us * 1000)

    def _succeeded(self, event: AttemptSucceeded) -> None:
        found = self._open.get(event.request_id)
        if found is None or event.attempt not in found.attempts:
            return
        found.ended[event.attempt] = event.t_us * 1000
        if event.ttft_ms is not None:
            found.attempts[event.attempt].set_attribute(c.TIME_TO_FIRST_CHUNK, event.ttft_ms / 1000)

    # --- what happens on the way ------------------------------------------------------------------------------------

    def _hit(self, event: CacheHit) -> None:
        self._note(event, "cache hit", {"coalesced": event.coalesced, **_money("saved_usd", event.saved_usd)})

    def _skipped(self, event: CandidateSkipped) -> None:
        self._note(event, "skipped", {"provider": event.provider, "reason": event.reason})

    def _retried(self, event: RetryScheduled) -> None:
        self._note(event, "retry", {"provider": event.provider, "retry": event.retry, "delay_s": event.delay_s})

    def _moved(self, event: FallbackTaken) -> None:
        told = {"from": event.from_provider, "to": event.to_provider, "reason": event.reason}
        self._note(event, "failover", told)

    def _restarted(self, event: StreamRestartedElsewhere) -> None:
        told = {"from": event.from_provider, "to": event.to_provider, "reason": event.reason}
        self._note(event, "stream restarted", told)

    def _note(self, event: Event, name: str, told: dict[str, Any]) -> None:
        found = self._open.get(event.request_id)
        if found is not None:
            attributes = {f"sandbox.{key}": value for key, value in told.items()}
            found.root.add_event(name, attributes, timestamp=event.t_us * 1000)


def _money(name: str, amount: Decimal | None) -> dict[str, AttributeValue]:
    """As a number, which collectors can add up; without a price there is none."""
    return {} if amount is None else {name: float(amount)}
