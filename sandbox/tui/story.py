"""The story of one request, folded from the bus's events. Pure: no widget, no clock, no I/O.

A live request and a saved trace fold the same way, and any beginning of a story is a story: the screen draws it while
it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    BreakerClosed,
    BreakerForced,
    BreakerHalfOpened,
    BreakerOpened,
    CacheHit,
    CandidateSkipped,
    ChunkReceived,
    ComponentFailed,
    CostComputed,
    Event,
    FallbackTaken,
    PlannedCandidate,
    ProviderDisabled,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RetryScheduled,
    RouteChosen,
    StreamRestartedElsewhere,
)
from sandbox.core.figures import tokens_per_second

Status = Literal["waiting", "writing", "done", "failed", "cancelled"]
Outcome = Literal["running", "ok", "failed", "cancelled"]


@dataclass(slots=True)
class Attempt:
    """One call to one provider. Times are UTC microseconds of the run's clock, latencies milliseconds."""

    number: int
    """Counts from 1."""
    provider: str
    model: str
    started_us: int
    retry: int = 0
    """0 for the first call to this candidate, 1 for its first retry, …"""
    breaker: str = "closed"
    """State of the breaker when the attempt began."""
    outcome: Outcome = "running"
    ended_us: int | None = None
    first_text_us: int | None = None
    latency_ms: float | None = None
    error_type: str | None = None
    message: str | None = None
    status: int | None = None


@dataclass(slots=True)
class Skip:
    """A candidate that was passed over."""

    provider: str
    model: str
    reason: str
    """breaker_open, throttled, disabled, budget, window, prefill, tools."""
    retry_after_s: float | None
    at_us: int


@dataclass(slots=True)
class Wait:
    """A pause before the same provider is asked again."""

    provider: str
    retry: int
    delay_s: float
    at_us: int


@dataclass(slots=True)
class Restart:
    """The text so far came from an answer that broke; another provider starts anew or goes on."""

    from_provider: str
    to_provider: str
    reason: str
    kept_chars: int
    at_us: int


@dataclass(slots=True)
class BreakerMove:
    """A breaker changed its state while this request was under way."""

    provider: str
    from_state: str
    state: str
    reason: str
    until_us: int | None
    at_us: int


@dataclass(slots=True)
class Disabled:
    """A provider (or one of its models) was taken out of rotation."""

    provider: str
    model: str | None
    reason: str
    at_us: int


Step = Attempt | Skip | Wait | Restart | BreakerMove | Disabled


@dataclass(slots=True)
class RequestStory:
    """What is known of one request so far. Money is USD, None where unpriced."""

    request_id: str = ""
    status: Status = "waiting"
    asked_model: str | None = None
    tenant: str = ""
    agent: str = ""
    mode: str = ""
    stream: bool = False
    deadline_s: float = 0.0
    started_us: int = 0
    ended_us: int | None = None
    strategy: str | None = None
    plan: tuple[PlannedCandidate, ...] = ()
    steps: list[Step] = field(default_factory=list)
    failovers: int = 0
    cached: bool = False
    coalesced: bool = False
    saved_usd: Decimal | None = None
    provider: str | None = None
    """Who answered, or who is answering."""
    model: str | None = None
    finish_reason: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    estimated: bool = False
    cost_usd: Decimal | None = None
    priced: bool = False
    """A cost was computed; without it a cost of None is unknown rather than unpriced."""
    waste_usd: Decimal = Decimal(0)
    premium_usd: Decimal | None = None
    """Beyond what the plan's first candidate would have cost; None where that is unknown."""
    catalogue: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    error_type: str | None = None
    error_message: str | None = None
    retry_after_s: float | None = None
    troubles: list[str] = field(default_factory=list)
    """Parts that failed and were passed over."""
    pieces: list[str] = field(default_factory=list)
    """The text so far, as it came."""
    replaced: int = 0
    """How often the text was discarded for a new one."""

    @property
    def ended(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    @property
    def simulated(self) -> bool:
        """Whether the figures come from simulated providers."""
        return self.mode != "live"

    @property
    def text(self) -> str:
        if len(self.pieces) > 1:
            self.pieces[:] = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    @property
    def attempts(self) -> list[Attempt]:
        return [step for step in self.steps if isinstance(step, Attempt)]

    @property
    def running(self) -> Attempt | None:
        """The attempt under way."""
        for step in reversed(self.steps):
            if isinstance(step, Attempt):
                return step if step.outcome == "running" and not self.ended else None
        return None

    @property
    def tokens_per_second(self) -> float | None:
        """How fast the answer was written; None where that says nothing."""
        return None if self.cached else tokens_per_second(self.output_tokens, self.latency_ms, self.ttft_ms)

    def span_us(self, now_us: int) -> int:
        """From the request's arrival to its end, or to now while it runs."""
        end = self.ended_us if self.ended_us is not None else now_us
        return max(0, end - self.started_us)

    def apply(self, event: Event) -> bool:
        """Take one event into the story; returns whether it belonged to it.

        Events of other requests are left alone. Breaker events name no request: they belong to the one under way.
        """
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return False
        if isinstance(event, BreakerChanged):
            if not self.started_us or self.ended:
                return False
        elif self.request_id and event.request_id != self.request_id:
            return False
        if not self.started_us:
            self.request_id = self.request_id or event.request_id
            self.started_us = event.t_us
        handler(self, event)
        return True

    # --- how each event changes it --------------------------------------------------------------------------------

    def _received(self, event: RequestReceived) -> None:
        self.started_us = event.t_us
        self.tenant, self.agent = event.tenant, event.agent
        self.asked_model, self.mode = event.model, event.mode
        self.stream, self.deadline_s = event.stream, event.deadline_s

    def _cache_hit(self, event: CacheHit) -> None:
        self.cached, self.coalesced = True, event.coalesced
        self.provider, self.model, self.saved_usd = event.provider, event.model, event.saved_usd

    def _routed(self, event: RouteChosen) -> None:
        self.strategy, self.plan = event.strategy, event.candidates

    def _skipped(self, event: CandidateSkipped) -> None:
        self.steps.append(Skip(event.provider, event.model, event.reason, event.retry_after_s, event.t_us))

    def _began(self, event: AttemptStarted) -> None:
        self.provider, self.model = event.provider, event.model
        self.steps.append(
            Attempt(event.attempt + 1, event.provider, event.model, event.t_us, event.retry, event.breaker)
        )

    def _chunk(self, event: ChunkReceived) -> None:
        if not self.ended:
            self.status = "writing"
        self.pieces.append(event.text)
        running = self.running
        if running is not None and running.first_text_us is None:
            running.first_text_us = event.t_us
        if self.ttft_ms is None:
            self.ttft_ms = (event.t_us - self.started_us) / 1000.0

    def _find(self, event: AttemptFailed | AttemptSucceeded) -> Attempt:
        number = event.attempt + 1
        for step in reversed(self.steps):
            if isinstance(step, Attempt) and step.number == number:
                return step
        # A trace may begin in the middle of a request.
        found = Attempt(number, event.provider, event.model, event.t_us - round(event.latency_ms * 1000))
        self.steps.append(found)
        return found

    def _attempt_failed(self, event: AttemptFailed) -> None:
        attempt = self._find(event)
        attempt.outcome, attempt.ended_us, attempt.latency_ms = "failed", event.t_us, event.latency_ms
        attempt.error_type, attempt.message, attempt.status = event.error_type, event.message, event.status

    def _attempt_succeeded(self, event: AttemptSucceeded) -> None:
        attempt = self._find(event)
        attempt.outcome, attempt.ended_us, attempt.latency_ms = "ok", event.t_us, event.latency_ms
        if event.ttft_ms is not None:
            attempt.first_text_us = attempt.started_us + round(event.ttft_ms * 1000)

    def _retry(self, event: RetryScheduled) -> None:
        self.steps.append(Wait(event.provider, event.retry, event.delay_s, event.t_us))

    def _fell_back(self, event: FallbackTaken) -> None:
        self.failovers += 1

    def _restarted(self, event: StreamRestartedElsewhere) -> None:
        if not event.kept_chars:
            # The chunks that came before this event are of the broken answer, and nothing of the new one is here yet.
            self.pieces.clear()
            self.replaced += 1
        self.steps.append(Restart(event.from_provider, event.to_provider, event.reason, event.kept_chars, event.t_us))

    def _breaker(self, event: BreakerChanged) -> None:
        self.steps.append(
            BreakerMove(
                event.provider, event.from_state, breaker_state(event), event.reason, event.until_us, event.t_us
            )
        )

    def _disabled(self, event: ProviderDisabled) -> None:
        self.steps.append(Disabled(event.provider, event.model, event.reason, event.t_us))

    def _cost(self, event: CostComputed) -> None:
        self.priced = True
        self.cost_usd, self.waste_usd, self.premium_usd = event.cost_usd, event.waste_usd, event.premium_usd
        self.catalogue = event.catalogue

    def _trouble(self, event: ComponentFailed) -> None:
        self.troubles.append(f"{event.component}: {event.message}")

    def _completed(self, event: RequestCompleted) -> None:
        self.status, self.priced = "done", True
        self.provider, self.model, self.finish_reason = event.provider, event.model, event.finish_reason
        self.input_tokens, self.output_tokens = event.input_tokens, event.output_tokens
        self.estimated, self.cached = event.estimated, event.cached
        self.cost_usd, self.waste_usd = event.cost_usd, event.waste_usd
        self.latency_ms, self.ttft_ms = event.latency_ms, event.ttft_ms
        self.failovers = event.failovers
        self._end(event.t_us)

    def _failed(self, event: RequestFailed) -> None:
        self.status = "failed"
        self.error_type, self.error_message = event.error_type, event.message
        self.retry_after_s, self.latency_ms = event.retry_after_s, event.latency_ms
        self._end(event.t_us)

    def _cancelled(self, event: RequestCancelled) -> None:
        self.status, self.latency_ms = "cancelled", event.latency_ms
        self._end(event.t_us)

    def _end(self, at_us: int) -> None:
        self.ended_us = at_us
        for attempt in self.attempts:
            if attempt.outcome == "running":
                attempt.outcome, attempt.ended_us = ("ok" if self.status == "done" else "cancelled"), at_us


def breaker_state(event: BreakerChanged) -> str:
    """The state a breaker is in after its event."""
    if isinstance(event, BreakerForced):
        return event.state
    return {BreakerOpened: "open", BreakerHalfOpened: "half_open"}.get(type(event), "closed")


_HANDLERS: dict[type[Event], Callable[[RequestStory, Any], None]] = {
    RequestReceived: RequestStory._received,
    CacheHit: RequestStory._cache_hit,
    RouteChosen: RequestStory._routed,
    CandidateSkipped: RequestStory._skipped,
    AttemptStarted: RequestStory._began,
    ChunkReceived: RequestStory._chunk,
    AttemptFailed: RequestStory._attempt_failed,
    AttemptSucceeded: RequestStory._attempt_succeeded,
    RetryScheduled: RequestStory._retry,
    FallbackTaken: RequestStory._fell_back,
    StreamRestartedElsewhere: RequestStory._restarted,
    BreakerOpened: RequestStory._breaker,
    BreakerHalfOpened: RequestStory._breaker,
    BreakerClosed: RequestStory._breaker,
    BreakerForced: RequestStory._breaker,
    ProviderDisabled: RequestStory._disabled,
    CostComputed: RequestStory._cost,
    ComponentFailed: RequestStory._trouble,
    RequestCompleted: RequestStory._completed,
    RequestFailed: RequestStory._failed,
    RequestCancelled: RequestStory._cancelled,
}


def fold(events: Iterable[Event], request_id: str = "") -> RequestStory:
    """The story that these events tell of one request: the given one, or the first that is named."""
    story = RequestStory(request_id)
    for event in events:
        story.apply(event)
    return story
