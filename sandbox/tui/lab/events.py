"""Turns an event of a recorded run into a row: who, a mark, and what happened, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BackendSwitched,
    BreakerChanged,
    BudgetThresholdCrossed,
    CacheHit,
    CandidateSkipped,
    ChunkReceived,
    ClientAnswered,
    ClientAsked,
    ComponentFailed,
    CostComputed,
    Event,
    ExchangeRecorded,
    FallbackTaken,
    HealthChecked,
    ProviderDisabled,
    ProviderEnabled,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RetryScheduled,
    RouteChosen,
    StreamRestartedElsewhere,
    UsageRecorded,
)
from sandbox.core.figures import duration_ms
from sandbox.core.virtual import EPOCH_US
from sandbox.scenarios.faults import TimedFault
from sandbox.scenarios.recording import FaultBegan, FaultEnded, Recording
from sandbox.scenarios.telling import clock_time, fault_text, usd
from sandbox.tui.drawing import ERROR_WORDS, SKIP_WORDS
from sandbox.tui.pieces import (
    BAD,
    CANCELLED,
    DOT,
    FAILED,
    FAILOVER,
    GOOD,
    MUTED,
    OK,
    PLAIN,
    RESTART,
    RETRY,
    SHAPES,
    SKIPPED,
    WARN,
    Line,
    clip,
)
from sandbox.tui.story import breaker_state

NOTHING: Final = "·"
BEGINS, ENDS = "▶", "■"
_STATES: Final = {"closed": GOOD, "half_open": WARN, "open": BAD}
_TIME: Final = 11
LONGEST_NAME: Final = 12
"""Characters of a request's number; what is longer is none, and is known by its beginning."""


class Row(NamedTuple):
    who: str
    """The provider it is about; empty: none."""
    mark: str
    style: str
    text: str
    strong: bool = False
    """The text has the mark's style too."""


def request_name(request_id: str) -> str:
    """`request 123` of `req-000123`; of a long one the beginning."""
    name = request_id.rpartition("-")[2].lstrip("0") or request_id
    return f"request {name if len(name) <= LONGEST_NAME else request_id[:8]}"


def state_word(state: str) -> str:
    return state.replace("_", " ")


def row_of(event: Event, faults: Sequence[TimedFault], *, simulated: bool = True) -> Row:
    """What to say of an event; `faults` are those of the scenario, `simulated` is said of what it costs."""
    if isinstance(event, (FaultBegan, FaultEnded)):
        began = isinstance(event, FaultBegan)
        text = f"fault {'begins' if began else 'ends'}: {fault_text(faults[event.number])}"
        return Row(event.provider, BEGINS if began else ENDS, WARN, text, True)
    if isinstance(event, BreakerChanged):
        return _breaker(event)
    paid = _PAID.get(type(event))
    if paid is not None:
        return paid(event, simulated)
    teller = _TELLERS.get(type(event))
    if teller is None:
        return Row(getattr(event, "provider", ""), NOTHING, MUTED, type(event).__name__)
    return teller(event)


def _breaker(event: BreakerChanged) -> Row:
    state = breaker_state(event)
    shape = {"open": "open", "forced_open": "open", "half_open": "half_open"}.get(state, "closed")
    probe = "" if event.until_us is None else f", probe at {clock_time(event.until_us - EPOCH_US)}"
    text = f"breaker {state_word(event.from_state)} → {state_word(state)}: {event.reason}{probe}"
    return Row(event.provider, SHAPES[shape], _STATES[shape], text, True)


def failure_word(event: AttemptFailed) -> str:
    """`503 unavailable`."""
    word = ERROR_WORDS.get(event.error_type, event.error_type)
    return f"{event.status} {word}" if event.status else word


def _attempt_failed(event: AttemptFailed) -> Row:
    text = f"{failure_word(event)} after {duration_ms(event.latency_ms)}"
    return Row(event.provider, FAILED, BAD, f"{text}{DOT}{request_name(event.request_id)}, attempt {event.attempt + 1}")


def _completed(event: RequestCompleted, simulated: bool) -> Row:
    cost = "from the cache" if event.cached else usd(event.cost_usd, simulated=simulated)
    text = f"{request_name(event.request_id)} answered in {duration_ms(event.latency_ms)}{DOT}{cost}"
    if event.failovers:
        return Row(event.provider, FAILOVER, WARN, f"{text}{DOT}failed over")
    return Row(event.provider, OK, GOOD, text)


def _request_failed(event: RequestFailed) -> Row:
    return Row("", FAILED, BAD, f"{request_name(event.request_id)} failed: {event.error_type}: {event.message}", True)


def _skipped(event: CandidateSkipped) -> Row:
    word = SKIP_WORDS.get(event.reason, state_word(event.reason))
    probe = f", probe in {event.retry_after_s:.0f} s" if event.retry_after_s else ""
    return Row(event.provider, SKIPPED, WARN, f"passed over: {word}{probe}{DOT}{request_name(event.request_id)}")


def _routed(event: RouteChosen) -> Row:
    plan = " → ".join(one.provider for one in event.candidates)
    return Row("", NOTHING, MUTED, f"{request_name(event.request_id)} is to go to {plan} ({event.strategy})")


def _restarted(event: StreamRestartedElsewhere) -> Row:
    how = "goes on" if event.kept_chars else "starts anew"
    text = f"broke off: {event.to_provider} {how}{DOT}{request_name(event.request_id)}"
    return Row(event.from_provider, RESTART, WARN, text)


def _costs(event: CostComputed, simulated: bool) -> Row:
    return Row("", NOTHING, MUTED, f"{request_name(event.request_id)} costs {usd(event.cost_usd, simulated=simulated)}")


def _budget(event: BudgetThresholdCrossed, simulated: bool) -> Row:
    limit = usd(event.limit_usd, simulated=simulated)
    return Row("", BEGINS, WARN, f"{event.scope} has used {event.threshold * 100:g} % of {limit}", True)


_PAID: Final[dict[type[Event], Callable[[Any, bool], Row]]] = {
    RequestCompleted: _completed,
    CostComputed: _costs,
    BudgetThresholdCrossed: _budget,
}
"""What names money, which is simulated or real."""


def _quiet(write: Callable[[Any], str]) -> Callable[[Any], Row]:
    """A row about what belongs to every request."""
    return lambda event: Row(
        getattr(event, "provider", ""), NOTHING, MUTED, f"{request_name(event.request_id)} {write(event)}"
    )


_TELLERS: Final[dict[type[Event], Callable[[Any], Row]]] = {
    AttemptFailed: _attempt_failed,
    RequestFailed: _request_failed,
    CandidateSkipped: _skipped,
    RouteChosen: _routed,
    StreamRestartedElsewhere: _restarted,
    RequestReceived: _quiet(lambda event: f"comes from {event.tenant}"),
    AttemptStarted: _quiet(lambda event: f"is asked, attempt {event.attempt + 1}, {event.model}"),
    ChunkReceived: _quiet(lambda event: f"gets {len(event.text)} characters"),
    UsageRecorded: _quiet(lambda event: "is in the books" if event.log_id else "is counted"),
    ClientAsked: _quiet(lambda event: f"comes from outside, {event.api}"),
    ClientAnswered: _quiet(lambda event: f"went out, {len(event.text):,} characters"),
    ExchangeRecorded: lambda event: Row(event.provider, BEGINS, MUTED, f"recorded as {event.file}"),
    HealthChecked: lambda event: Row(
        event.provider,
        OK if event.is_healthy else FAILED,
        GOOD if event.is_healthy else BAD,
        f"checked: {'well' if event.is_healthy else event.error or 'not well'}",
    ),
    BackendSwitched: lambda event: Row(
        "", BEGINS, WARN, f"{event.part} moved from {event.from_backend} to {event.to_backend}", True
    ),
    AttemptSucceeded: lambda event: Row(
        event.provider,
        OK,
        GOOD,
        f"{request_name(event.request_id)} has its answer after {duration_ms(event.latency_ms)}",
    ),
    CacheHit: lambda event: Row(event.provider, OK, GOOD, f"{request_name(event.request_id)} is in the cache"),
    RetryScheduled: lambda event: Row(
        event.provider, RETRY, WARN, f"{request_name(event.request_id)} again after {duration_ms(event.delay_s * 1000)}"
    ),
    FallbackTaken: lambda event: Row(
        event.from_provider,
        FAILOVER,
        WARN,
        f"{request_name(event.request_id)} goes to {event.to_provider}: "
        f"{ERROR_WORDS.get(event.reason, SKIP_WORDS.get(event.reason, event.reason))}",
    ),
    RequestCancelled: lambda event: Row("", CANCELLED, WARN, f"{request_name(event.request_id)} is cut off", True),
    ProviderDisabled: lambda event: Row(
        event.provider, SHAPES["disabled"], BAD, f"out of rotation: {event.reason}", True
    ),
    ProviderEnabled: lambda event: Row(
        event.provider, SHAPES["closed"], GOOD, f"back in rotation: {event.reason}", True
    ),
    ComponentFailed: lambda event: Row("", FAILED, WARN, f"{event.component} failed: {event.message}"),
}


def row_line(recording: Recording, position: int, faults: Sequence[TimedFault], names: int, width: int) -> Line:
    """A row in columns: time, provider (`names` wide), mark, words."""
    row = row_of(recording.event(position), faults, simulated=recording.simulated)
    room = width - _TIME - names - 3
    return [
        (f"{clock_time(recording.times[position]):<{_TIME}}", MUTED),
        (f"{clip(row.who, names):<{names}} ", PLAIN),
        (f"{row.mark} ", row.style),
        (clip(row.text, room), row.style if row.strong else PLAIN),
    ]


def holds(recording: Recording, position: int, faults: Sequence[TimedFault], words: Sequence[str]) -> bool:
    """Whether every word (in lower case) is in what a row says."""
    event = recording.event(position)
    row = row_of(event, faults, simulated=recording.simulated)
    text = f"{row.who} {row.text} {type(event).__name__}".lower()
    return all(word in text for word in words)
