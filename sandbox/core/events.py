"""What happened, step by step: frozen, typed, past tense. Live runs, saved traces and the UI share these.

`t_us` is UTC microseconds of the run's clock. Money is USD as Decimal, None where unpriced. No event holds a
credential. Text of an answer is in ChunkReceived and ClientAnswered alone, that of a question in ClientAsked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

UNTRACED: Final[dict[str, Any]] = {"traced": False}
"""Marks a field that saved traces do without: one and the same scenario keeps its hash although events tell more."""

BreakerState = str
"""closed, open, half_open, forced_open, forced_closed, disabled."""


@dataclass(frozen=True, slots=True)
class Event:
    t_us: int
    request_id: str
    """Empty for events that belong to no request, such as a breaker forced by hand."""


@dataclass(frozen=True, slots=True)
class RequestReceived(Event):
    tenant: str
    agent: str
    model: str | None
    mode: str
    stream: bool
    deadline_s: float


@dataclass(frozen=True, slots=True)
class CacheHit(Event):
    provider: str
    model: str
    saved_usd: Decimal | None
    coalesced: bool
    similarity: float | None = None
    """How alike the answered question is, where it is another one; None: it is the same."""


@dataclass(frozen=True, slots=True)
class PlannedCandidate:
    provider: str
    model: str
    why: str
    skipped: str | None = None
    """Why it will not be asked (disabled, throttled, no_model), or None."""


@dataclass(frozen=True, slots=True)
class RouteChosen(Event):
    strategy: str
    candidates: tuple[PlannedCandidate, ...]


@dataclass(frozen=True, slots=True)
class CandidateSkipped(Event):
    provider: str
    model: str
    reason: str
    """breaker_open, throttled, disabled, budget, window, prefill, tools."""
    retry_after_s: float | None


@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    provider: str
    model: str
    attempt: int
    """Counts the attempts of the request from 0."""
    retry: int
    """Counts the retries on this candidate from 0."""
    breaker: BreakerState


@dataclass(frozen=True, slots=True)
class ChunkReceived(Event):
    provider: str
    text: str


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    provider: str
    model: str
    attempt: int
    error_type: str
    message: str
    status: int | None
    latency_ms: float


@dataclass(frozen=True, slots=True)
class AttemptSucceeded(Event):
    provider: str
    model: str
    attempt: int
    latency_ms: float
    ttft_ms: float | None


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    provider: str
    retry: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class FallbackTaken(Event):
    from_provider: str
    to_provider: str
    reason: str
    """Class name of the error, or why the first was skipped."""


@dataclass(frozen=True, slots=True)
class StreamRestartedElsewhere(Event):
    """What was shown is to be discarded; another candidate starts anew (or continues, when `kept_chars` is not 0)."""

    from_provider: str
    to_provider: str
    reason: str
    kept_chars: int


@dataclass(frozen=True, slots=True)
class BreakerChanged(Event):
    """Base of the breaker's transitions."""

    provider: str
    from_state: BreakerState
    reason: str
    until_us: int | None
    """When the next probe is allowed, for an open breaker."""


@dataclass(frozen=True, slots=True)
class BreakerOpened(BreakerChanged):
    pass


@dataclass(frozen=True, slots=True)
class BreakerHalfOpened(BreakerChanged):
    pass


@dataclass(frozen=True, slots=True)
class BreakerClosed(BreakerChanged):
    pass


@dataclass(frozen=True, slots=True)
class BreakerForced(BreakerChanged):
    """Set by hand; `state` is forced_open, forced_closed or disabled."""

    state: BreakerState


@dataclass(frozen=True, slots=True)
class ProviderDisabled(Event):
    provider: str
    model: str | None
    """None: the whole credential is out; otherwise only this model."""
    reason: str


@dataclass(frozen=True, slots=True)
class ProviderEnabled(Event):
    provider: str
    model: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class HealthChecked(Event):
    """A provider was asked how it is; None is what could not be told."""

    provider: str
    is_healthy: bool
    latency_ms: float | None
    error: str | None
    reachable: bool | None
    authenticated: bool | None
    fast_enough: bool | None


@dataclass(frozen=True, slots=True)
class CostComputed(Event):
    cost_usd: Decimal | None
    waste_usd: Decimal
    premium_usd: Decimal | None
    """Paid more (or less) than the plan's first candidate would have cost for the same tokens; None if unpriced."""
    catalogue: str


@dataclass(frozen=True, slots=True)
class UsageRecorded(Event):
    log_id: str


@dataclass(frozen=True, slots=True)
class ExchangeRecorded(Event):
    """One exchange with a provider was kept as a fixture. It is kept behind the request's back, so none is named."""

    provider: str
    api: str
    file: str


@dataclass(frozen=True, slots=True)
class RequestCompleted(Event):
    provider: str
    model: str
    finish_reason: str | None
    input_tokens: int
    output_tokens: int
    estimated: bool
    cost_usd: Decimal | None
    waste_usd: Decimal
    latency_ms: float
    ttft_ms: float | None
    failovers: int
    cached: bool
    cached_input_tokens: int = 0
    """Of the input tokens, those that the vendor had in its own cache."""
    reasoning_tokens: int = 0
    """Of the output tokens, those that nobody sees."""


@dataclass(frozen=True, slots=True)
class RequestFailed(Event):
    error_type: str
    message: str
    retry_after_s: float | None
    latency_ms: float
    partial_chars: int
    waste_usd: Decimal = field(default=Decimal(0), metadata=UNTRACED)
    """Paid although there is no answer."""


@dataclass(frozen=True, slots=True)
class RequestCancelled(Event):
    latency_ms: float
    partial_chars: int
    waste_usd: Decimal = field(default=Decimal(0), metadata=UNTRACED)


@dataclass(frozen=True, slots=True)
class ComponentFailed(Event):
    """A store or cache failed and was passed over; the request went on."""

    component: str
    message: str


@dataclass(frozen=True, slots=True)
class BudgetThresholdCrossed(Event):
    scope: str
    """`all tenants`, or `tenant NAME`."""
    threshold: float
    """Share of the limit."""
    used_usd: Decimal
    limit_usd: Decimal


@dataclass(frozen=True, slots=True)
class BackendSwitched(Event):
    part: str
    from_backend: str
    to_backend: str


@dataclass(frozen=True, slots=True)
class ClientAsked(Event):
    """A request came in over HTTP, from a program other than this one."""

    api: str
    """Its wire format, as recordings name it."""
    prompt: str
    """The last words of its user; of long ones the beginning."""
    tag: str = ""
    """What the client calls the request, where it sends `x-sandbox-tag`."""


@dataclass(frozen=True, slots=True)
class ClientAnswered(Event):
    """An answer went out whole over HTTP, so that no other event holds its text; of a long one the beginning."""

    text: str


EVENT_TYPES: dict[str, type[Event]] = {
    cls.__name__: cls
    for cls in (
        RequestReceived,
        CacheHit,
        RouteChosen,
        CandidateSkipped,
        AttemptStarted,
        ChunkReceived,
        AttemptFailed,
        AttemptSucceeded,
        RetryScheduled,
        FallbackTaken,
        StreamRestartedElsewhere,
        BreakerOpened,
        BreakerHalfOpened,
        BreakerClosed,
        BreakerForced,
        ProviderDisabled,
        ProviderEnabled,
        HealthChecked,
        CostComputed,
        UsageRecorded,
        ExchangeRecorded,
        RequestCompleted,
        RequestFailed,
        RequestCancelled,
        ComponentFailed,
        BudgetThresholdCrossed,
        BackendSwitched,
        ClientAsked,
        ClientAnswered,
    )
}
"""Every event by its name, as traces spell it."""
