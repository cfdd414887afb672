"""The whole gateway under arbitrary trouble: what must hold for every request, whatever its providers do.

Providers keep their own log of what really reached them; requests, events and usage records are held against it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from providers.attempts import RetryPolicy
from providers.errors import (
    AuthenticationError,
    CircuitBreakerOpenError,
    ConnectionFailedError,
    ContentFilterError,
    InvalidRequestError,
    MalformedResponseError,
    ModelNotFoundError,
    ProviderError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from providers.pricing import catalogue, estimate_tokens
from providers.types import (
    AttemptRecord,
    Completion,
    GenerationRequest,
    LLMResponse,
    StreamEvent,
    StreamFinished,
    StreamInterrupted,
    StreamRestarted,
    TextDelta,
    TokenUsage,
)
from sandbox.core.events import (
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    BreakerChanged,
    BreakerHalfOpened,
    BreakerOpened,
    CandidateSkipped,
    ChunkReceived,
    CostComputed,
    Event,
    FallbackTaken,
    RequestCancelled,
    RequestCompleted,
    RequestFailed,
    RequestReceived,
    RetryScheduled,
    UsageRecorded,
)
from sandbox.gateway.breaker import BreakerPolicy
from sandbox.gateway.call import CallOptions
from sandbox.gateway.policies import Policy, StreamLimits
from sandbox.gateway.router import foreseen_tokens
from sandbox.gateway.strategies import RoutingStrategy
from sandbox.usage.base import UsageRecord
from tests.sandbox.gateway.support import Bench, Scripted, virtual
from tests.sandbox.gateway.test_breaker_model import NaiveBreaker, Permit

PRICES = catalogue("current")
OUTCOMES = (RequestCompleted, RequestFailed, RequestCancelled)
MODELS = {
    "openai": "gpt-4",
    "anthropic": "claude-3-opus-20240229",
    "gemini": "gemini-1.5-pro",
    "deepseek": "deepseek-chat",
}


def micros(seconds: float) -> int:
    return round(seconds * 1e6)


# --- what the providers see ------------------------------------------------------------------------------------------


@dataclass
class Upstream:
    """One call as it reached a provider. Times are microseconds."""

    provider: str
    question: str
    began: int
    ended: int = -1
    how: str = "running"
    text: list[str] = field(default_factory=list)
    text_at: list[int] = field(default_factory=list)
    retry_after: float | None = None
    billed: TokenUsage | None = None
    prefilled: bool = False


class Logging(Scripted):
    """A scripted provider that writes down what was asked of it and how each call ended."""

    def __init__(self, log: list[Upstream], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log = log

    def _opened(self, request: GenerationRequest) -> Upstream:
        question = next(m["content"] for m in request.chat() if m["role"] == "user")
        prefilled = request.chat()[-1]["role"] == "assistant"
        call = Upstream(self.kind, question, self.clock.time_us(), prefilled=prefilled)
        self.log.append(call)
        return call

    def _ended(self, call: Upstream, error: BaseException | None) -> None:
        call.ended = self.clock.time_us()
        call.how = "ok" if error is None else type(error).__name__
        call.retry_after = getattr(error, "retry_after", None)

    async def attempt(self, request: GenerationRequest, model_id: str) -> Completion:
        call = self._opened(request)
        try:
            completion = await super().attempt(request, model_id)
        except BaseException as error:
            self._ended(call, error)
            raise
        call.billed = completion.usage
        self._ended(call, None)
        return completion

    async def stream_attempt(self, request: GenerationRequest, model_id: str) -> AsyncGenerator[StreamEvent]:
        call = self._opened(request)
        source = super().stream_attempt(request, model_id)
        finished = False
        try:
            async for event in source:
                if isinstance(event, TextDelta):
                    call.text.append(event.text)
                    call.text_at.append(self.clock.time_us())
                elif isinstance(event, StreamFinished):
                    finished = True
                    call.billed = event.completion.usage
                yield event
        except BaseException as error:
            self._ended(call, None if finished else error)
            raise
        finally:
            await source.aclose()
            if call.ended < 0:
                self._ended(call, None if finished else StreamInterruptedError("no finish"))


class Shelf:
    """A cache that takes a moment to answer."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.kept.get(key)

    async def set(self, key: str, value: bytes, *, ttl: float) -> None:
        await asyncio.sleep(0)
        self.kept[key] = value


# --- what is asked of them -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """One request: `gap` seconds after the one before it began."""

    gap: float
    stream: str | None
    """Stream policy; None asks for a plain answer."""
    timeout: float | None = None
    cancel_after: float | None = None
    """Seconds after which its task is cancelled."""
    leave_after: int | None = None
    """Stream events after which the consumer goes away."""


@dataclass
class Met:
    """What the caller of one request met."""

    question: str
    number: int
    ask: Ask
    began: int
    ended: int = 0
    how: str = ""
    response: LLMResponse | None = None
    error: BaseException | None = None
    events: list[StreamEvent] = field(default_factory=list)
    text_at: int | None = None


@dataclass
class Run:
    bench: Bench
    policy: Policy
    upstream: list[Upstream]
    met: list[Met]

    def of(self, met: Met) -> list[Event]:
        return [e for e in self.bench.events if e.request_id == self.request_id(met)]

    def request_id(self, met: Met) -> str:
        return f"request-{met.number}"

    def record(self, met: Met) -> UsageRecord:
        [record] = [r for r in self.bench.records if r.request_id == self.request_id(met)]
        return record

    def calls(self, met: Met) -> list[Upstream]:
        """Upstream calls as attempts: where a prefill was refused, the same attempt asks again without it."""
        attempts: list[Upstream] = []
        refused: Upstream | None = None
        for call in (u for u in self.upstream if u.question == met.question):
            if call.prefilled and call.how == "InvalidRequestError" and not call.text:
                refused = call
                continue
            attempts.append(call if refused is None else replace(call, began=refused.began))
            refused = None
        return attempts


async def play(
    policy: Policy,
    scripts: dict[str, tuple[Any, ...]],
    asks: list[Ask],
    *,
    per_minute: dict[str, int] | None = None,
    shared_question: bool = False,
) -> Run:
    """Ask and wait for all of it. `shared_question`: all ask the same, before a cache."""
    bench = Bench(policy, cache=Shelf()) if shared_question else Bench(policy)
    upstream: list[Upstream] = []
    for name, steps in scripts.items():
        prefills = name == "anthropic"
        provider = Logging(upstream, bench.clock, *steps, kind=name, model=MODELS[name], prefills=prefills)
        bench.gateway.register(name, provider, requests_per_minute=(per_minute or {}).get(name))
    met: list[Met] = []
    tasks = []
    for number, ask in enumerate(asks):
        await bench.clock.sleep(ask.gap)
        one = Met("the question" if shared_question else f"question-{number}", number, ask, bench.clock.time_us())
        met.append(one)
        task = asyncio.ensure_future(_experience(bench, one))
        tasks.append(task)
        if ask.cancel_after is not None:
            asyncio.get_running_loop().call_later(ask.cancel_after, task.cancel)
    await asyncio.gather(*tasks)
    return Run(bench, policy, upstream, met)


async def _experience(bench: Bench, met: Met) -> None:
    ask = met.ask
    request = GenerationRequest(prompt=met.question, timeout=ask.timeout)
    options = CallOptions(stream_policy=ask.stream, request_id=f"request-{met.number}")  # type: ignore[arg-type]
    try:
        if ask.stream is None:
            met.response = await bench.gateway.generate(request, options)
            met.how = "answered"
        else:
            await _read(bench, met, bench.gateway.stream(request, options))
    except asyncio.CancelledError as error:
        met.how, met.error = "cancelled", error
    except Exception as error:
        met.how, met.error = "failed", error
    met.ended = bench.clock.time_us()


async def _read(bench: Bench, met: Met, stream: AsyncGenerator[StreamEvent]) -> None:
    try:
        async for event in stream:
            met.events.append(event)
            if isinstance(event, TextDelta) and met.text_at is None:
                met.text_at = bench.clock.time_us()
            if isinstance(event, StreamFinished):
                met.response = event.response
            if met.ask.leave_after is not None and len(met.events) > met.ask.leave_after:
                met.how = "left"
                break
        else:
            met.how = "answered"
    finally:
        await stream.aclose()


# --- what must hold --------------------------------------------------------------------------------------------------


def check_everything(run: Run) -> None:
    for met in run.met:
        check_one_outcome(run, met)
        check_attempts(run, met)
        check_times(run, met)
        check_money(run, met)
        check_failovers(run, met)
        check_final_error(run, met)
        check_stream(run, met)
    assert len(run.bench.records) == len(run.met)
    assert all(u.ended >= 0 for u in run.upstream)
    check_breakers(run)


def rows(run: Run, met: Met) -> list[AttemptRecord]:
    attempts: list[AttemptRecord] = run.record(met).story["attempts"]
    return attempts


def check_one_outcome(run: Run, met: Met) -> None:
    """One RequestReceived, one outcome that agrees with what the caller met, one usage record that says the same."""
    events = run.of(met)
    assert isinstance(events[0], RequestReceived)
    [outcome] = [e for e in events if isinstance(e, OUTCOMES)]
    assert sum(isinstance(e, UsageRecorded) for e in events) == 1
    record = run.record(met)
    # A kept answer is booked before it is read out.
    assert events[-1] is outcome or record.cached
    assert met.how in ("answered", "failed", "cancelled", "left")
    if isinstance(outcome, RequestCompleted):
        assert met.how in ("answered", "left")
        assert met.response is not None or record.cached
        assert (record.success, record.error_type) == (True, None)
        assert sum(isinstance(e, CostComputed) for e in events) == bool(record.attempts)
    elif isinstance(outcome, RequestFailed):
        assert met.how in ("failed", "left")
        assert (record.success, record.error_type) == (False, outcome.error_type)
        assert met.how == "left" or outcome.error_type == type(met.error).__name__
    else:
        assert met.how in ("cancelled", "left")
        assert (record.success, record.error_type) == (False, "Cancelled")


def check_attempts(run: Run, met: Met) -> None:
    """Events, rows of the story and the providers' own log tell of the same attempts in the same order."""
    events, calls = run.of(met), run.calls(met)
    attempted = [row for row in rows(run, met) if row.outcome != "skipped"]
    started = [e for e in events if isinstance(e, AttemptStarted)]
    assert [(e.provider, e.retry, e.breaker) for e in started] == [(r.provider, r.retry, r.breaker) for r in attempted]
    assert [e.attempt for e in started] == list(range(len(started)))
    assert [(u.provider, u.began) for u in calls] == [(e.provider, e.t_us) for e in started]
    assert run.record(met).attempts == len(started)
    skipped = [row for row in rows(run, met) if row.outcome == "skipped"]
    told = [(e.provider, e.reason) for e in events if isinstance(e, CandidateSkipped)]
    assert told == [(row.provider, row.error_type) for row in skipped]
    failed = {e.attempt: e for e in events if isinstance(e, AttemptFailed)}
    succeeded = {e.attempt: e for e in events if isinstance(e, AttemptSucceeded)}
    assert not failed.keys() & succeeded.keys()
    for number, (row, call) in enumerate(zip(attempted, calls, strict=True)):
        assert row.outcome == ("ok" if number in succeeded else "failed")
        if row.outcome == "ok":
            assert call.how == "ok"
        elif row.error_type != "Cancelled":
            assert failed[number].error_type == row.error_type
        else:
            assert number == len(attempted) - 1
            assert number not in failed
    if met.response is None:
        # A buffered answer may be whole and not yet read when its caller goes away.
        assert "ok" not in [row.outcome for row in attempted] or (met.ask.stream == "buffer" and met.how != "failed")
    limit = run.policy.retry.retries
    assert all(row.retry <= limit for row in attempted)
    retried = [(e.provider, e.retry) for e in events if isinstance(e, RetryScheduled)]
    assert [key for key in retried if key in {(r.provider, r.retry) for r in attempted}] == [
        (r.provider, r.retry) for r in attempted if r.retry
    ]


def check_times(run: Run, met: Met) -> None:
    """Nothing outlives its limits: an attempt, the deadline (of a stream: to each first text), silence, the whole."""
    limits = run.policy.streaming
    deadline = met.ask.timeout or run.policy.deadline
    to_text = run.policy.attempt_timeout
    if met.ask.stream is not None:
        to_text = min(limits.first_text, to_text)
    waiting_since = met.began
    for call in run.calls(met):
        assert met.began <= call.began <= call.ended <= met.ended
        first = call.text_at[0] if call.text_at else call.ended
        assert first - call.began <= micros(to_text)
        assert first - waiting_since <= micros(deadline)
        if call.text_at:
            for text_at, then in pairwise([*call.text_at, call.ended]):
                assert then - text_at <= micros(limits.silence)
            waiting_since = call.ended
    if met.response is None:
        assert met.ended - waiting_since <= micros(deadline)
    if met.ask.stream is not None:
        assert met.ended - met.began <= micros(max(limits.max_stream, deadline))


def check_money(run: Run, met: Met) -> None:
    """Answer and waste add up, to the last digit, to the sum over the attempts of what each really cost."""
    record = run.record(met)
    attempted = [row for row in rows(run, met) if row.outcome != "skipped"]
    for row, call in zip(attempted, run.calls(met), strict=True):
        text = "".join(call.text)
        if row.error_type == "Cancelled" and met.ask.stream != "buffer":
            # The first piece is read ahead; one that goes away before it is passed on has had nothing.
            text = passed_on(run, met) if call.text else ""
        assert row.cost_usd == billed(call, text, met)
    total = sum((row.cost_usd for row in attempted if row.cost_usd), Decimal(0))
    answer = sum(
        (row.cost_usd for row in attempted if row.outcome == "ok" and row.cost_usd and record.success), Decimal(0)
    )
    waste = total - answer
    assert (record.estimated_cost, record.waste_cost) == (answer, waste)
    if met.response is not None:
        assert (met.response.cost_usd, met.response.waste_usd) == (answer, waste)
        [outcome] = [e for e in run.of(met) if isinstance(e, RequestCompleted)]
        assert (outcome.cost_usd, outcome.waste_usd) == (answer, waste)


def passed_on(run: Run, met: Met) -> str:
    """The text of the last attempt that reached the caller's side."""
    events = run.of(met)
    last = max(i for i, e in enumerate(events) if isinstance(e, AttemptStarted))
    return "".join(e.text for e in events[last:] if isinstance(e, ChunkReceived))


def billed(call: Upstream, text: str, met: Met) -> Decimal | None:
    """What the vendor charges for a call: its own count where it sent one, else the question and what had come."""
    usage = call.billed
    if usage is None:
        if not call.text:
            return None
        usage = TokenUsage(foreseen_tokens(GenerationRequest(prompt=met.question)), estimate_tokens(text))
    price = PRICES.price(call.provider, MODELS[call.provider], usage, at=call.ended)
    assert price is not None
    return price.total


def check_failovers(run: Run, met: Met) -> None:
    """Every candidate that is asked after another was asked or passed over is a failover."""
    expected, left = 0, None
    for row in rows(run, met):
        if row.outcome != "skipped" and row.retry == 0 and left is not None:
            expected += 1
        left = row.provider
    taken = [e for e in run.of(met) if isinstance(e, FallbackTaken)]
    assert run.record(met).failovers == len(taken) == expected
    if met.response is not None:
        assert met.response.failovers == expected
    asked = [r.provider for r in rows(run, met) if r.outcome != "skipped" and r.retry == 0]
    assert len(asked) == len(set(asked))
    assert [e.to_provider for e in taken] == asked[len(asked) - len(taken) :]


def check_final_error(run: Run, met: Met) -> None:
    error = met.error
    if not isinstance(error, ProviderError):
        return
    story = rows(run, met)
    failures = [row.error_type for row in story if row.outcome == "failed"]
    assert list(error.attempts) == story
    shown = any(isinstance(e, TextDelta) for e in met.events)
    if shown:
        assert isinstance(error, StreamInterruptedError)
    elif failures:
        same = len(set(failures)) == 1 or len(run.bench.gateway.registry) == 1
        assert type(error).__name__ == (failures[-1] if same else "AllProvidersFailedError")
    else:
        skips = [e for e in run.of(met) if isinstance(e, CandidateSkipped)]
        refused = [e.retry_after_s for e in skips if e.reason == "breaker_open"]
        throttled = [e.retry_after_s for e in skips if e.reason == "throttled"]
        assert type(error) is (
            CircuitBreakerOpenError if refused else RateLimitError if throttled else AuthenticationError
        )
        if refused or throttled:
            assert error.retry_after == min(wait for wait in refused or throttled if wait is not None)


def check_stream(run: Run, met: Met) -> None:
    """What was shown and not taken back is the answer; nothing follows the end."""
    if met.ask.stream is None:
        return
    events = met.events
    chunks = [e.text for e in run.of(met) if isinstance(e, ChunkReceived)]
    texts = [e.text for e in events if isinstance(e, TextDelta)]
    # A consumer that goes away may leave the last chunk unread.
    assert chunks[: len(texts)] == texts
    assert len(chunks) - len(texts) <= (met.how in ("cancelled", "left"))
    ends = [i for i, e in enumerate(events) if isinstance(e, (StreamFinished, StreamInterrupted))]
    assert len(ends) == (met.how == "answered" or (met.how == "failed" and bool(texts)) or (bool(ends)))
    assert not ends or ends == [len(events) - 1]
    restarts = [i for i, e in enumerate(events) if isinstance(e, StreamRestarted)]
    kept = events[restarts[-1] :] if restarts else events
    if met.response is not None:
        assert "".join(e.text for e in kept if isinstance(e, TextDelta)) == met.response.text
    if isinstance(met.error, StreamInterruptedError) and texts:
        assert met.error.partial_text == "".join(e.text for e in kept if isinstance(e, TextDelta))
    if met.ask.stream in ("fail", "buffer"):
        assert not restarts
    if met.ask.stream == "buffer" and texts:
        assert run.record(met).success or met.how in ("cancelled", "left")


def check_breakers(run: Run) -> None:
    """No attempt begins while its breaker is open; a half-open one lets no more through than it has permits."""
    policy = run.policy.breaker
    at_first = "disabled" if policy.mode == "off" else "closed"
    state: dict[str, str] = {}
    probes: dict[str, list[tuple[str, int]]] = {}
    for event in run.bench.events:
        if isinstance(event, BreakerChanged):
            state[event.provider] = {BreakerOpened: "open", BreakerHalfOpened: "half_open"}.get(type(event), "closed")
            probes[event.provider] = []
        elif isinstance(event, AttemptStarted):
            now = state.get(event.provider, at_first)
            assert now != "open"
            assert event.breaker == now
            if now == "half_open":
                probes[event.provider].append((event.request_id, event.attempt))
                assert len(probes[event.provider]) <= policy.half_open_permits
        elif isinstance(event, (AttemptFailed, AttemptSucceeded)):
            for out in probes.values():
                if (event.request_id, event.attempt) in out:
                    out.remove((event.request_id, event.attempt))
        elif isinstance(event, ChunkReceived):
            # A stream's probe has its verdict at its first text.
            for out in probes.values():
                out[:] = [probe for probe in out if probe[0] != event.request_id]
        elif isinstance(event, OUTCOMES):
            for out in probes.values():
                out[:] = [probe for probe in out if probe[0] != event.request_id]
    for deployment in run.bench.gateway.registry:
        breaker = deployment.breaker
        assert breaker.state == state.get(deployment.id, at_first)
        if breaker.state == "half_open":
            # Every permit has come back: as many probes as it has may go out.
            assert all(breaker.admit() is not None for _ in range(policy.half_open_permits))
            assert breaker.admit() is None


# --- the worlds ------------------------------------------------------------------------------------------------------

DELAYS = st.sampled_from([0.0, 0.0, 0.000001, 0.2, 0.2, 0.7, 0.7, 1.1, 4.9, 9.999999, 12.0])
ERRORS = st.sampled_from(
    [
        ServiceUnavailableError("down", status=503),
        ServiceUnavailableError("down", status=503),
        ConnectionFailedError("reset"),
        MalformedResponseError("no JSON"),
        RateLimitError("slow down", status=429),
        RateLimitError("slow down", status=429, retry_after=1.5),
        RateLimitError("slow down", status=429, retry_after=40.0),
        ModelNotFoundError("gone", status=404),
        InvalidRequestError("bad", status=400),
        ContentFilterError("no", status=400),
        AuthenticationError("bad key", status=401),
    ]
)
TEXTS = st.sampled_from(["one", "one two", "a longer answer of six words"])
STEPS = st.one_of(
    st.tuples(DELAYS, TEXTS),
    st.tuples(DELAYS, TEXTS, DELAYS, TEXTS),
    st.tuples(DELAYS, ERRORS),
    st.tuples(DELAYS, ERRORS),
    st.tuples(DELAYS, TEXTS, DELAYS, ERRORS),
    st.tuples(DELAYS, TEXTS, DELAYS, st.sampled_from(["<cut>", "<end>"])),
    st.tuples(DELAYS, TEXTS, DELAYS, TEXTS, st.just(1000.0), TEXTS),
    st.tuples(DELAYS, TEXTS),
    st.tuples(DELAYS, ERRORS),
    st.just((1000.0, "too late")),
)
SCRIPTS = st.integers(1, 4).flatmap(
    lambda n: st.fixed_dictionaries(
        {name: st.lists(STEPS, min_size=1, max_size=6).map(tuple) for name in list(MODELS)[:n]}
    )
)
ASKS = st.lists(
    st.builds(
        Ask,
        gap=st.sampled_from([0.0, 0.0, 0.3, 5.0, 31.0]),
        stream=st.sampled_from([None, None, None, "fail", "restart", "continue", "buffer"]),
        timeout=st.sampled_from([None] * 8 + [0.5, 8.0]),
        cancel_after=st.sampled_from([None] * 12 + [0.000001, 0.5, 3.3]),
        leave_after=st.sampled_from([None] * 8 + [0, 1, 2, 3]),
    ),
    min_size=1,
    max_size=10,
)
POLICIES = st.builds(
    Policy,
    strategy=st.sampled_from(["priority", "priority", *RoutingStrategy]),
    retry=st.builds(
        RetryPolicy,
        when=st.sampled_from(["always", "last_candidate"]),
        retries=st.integers(0, 3),
        jitter=st.sampled_from(["none", "none", "full"]),
    ),
    breaker=st.builds(
        BreakerPolicy,
        mode=st.sampled_from(["consecutive", "window", "rate", "consecutive", "window", "rate", "off"]),
        failure_threshold=st.integers(1, 4),
        minimum_calls=st.integers(1, 4),
        recovery_timeout=st.sampled_from([0.25, 3.0, 30.0]),
        half_open_permits=st.integers(1, 2),
        success_threshold=st.integers(1, 2),
    ),
    deadline=st.sampled_from([4.0, 20.0, 60.0]),
    attempt_timeout=st.sampled_from([2.0, 30.0]),
    streaming=st.builds(
        StreamLimits,
        first_text=st.sampled_from([1.0, 10.0]),
        silence=st.sampled_from([1.0, 15.0]),
        max_stream=st.sampled_from([6.0, 600.0]),
    ),
    failover_on_content_filter=st.booleans(),
)


# Without shrinking: each example is a whole run of a gateway, and a failure would be shrunk for minutes.
QUICK = settings(deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
PER_MINUTE = st.dictionaries(st.sampled_from(sorted(MODELS)), st.integers(1, 4), max_size=2)


@settings(QUICK, max_examples=250)
@given(POLICIES, SCRIPTS, ASKS, PER_MINUTE)
def test_whatever_happens(
    policy: Policy, scripts: dict[str, tuple[Any, ...]], asks: list[Ask], per_minute: dict[str, int]
) -> None:
    @virtual
    async def body() -> None:
        check_everything(await play(policy, scripts, asks, per_minute=per_minute))

    body()


@settings(QUICK, max_examples=60)
@given(POLICIES, SCRIPTS, ASKS)
def test_the_same_seed_tells_the_same_story(
    policy: Policy, scripts: dict[str, tuple[Any, ...]], asks: list[Ask]
) -> None:
    stories = []

    @virtual
    async def body() -> None:
        run = await play(policy, scripts, asks)
        stories.append((run.bench.events, run.bench.records, [(m.how, m.ended, repr(m.error)) for m in run.met]))

    body()
    body()
    assert stories[0] == stories[1]


@settings(QUICK, max_examples=100)
@given(POLICIES, SCRIPTS, ASKS)
def test_one_outcome_each_when_all_ask_the_same(
    policy: Policy, scripts: dict[str, tuple[Any, ...]], asks: list[Ask]
) -> None:
    """Hits, followers and leaders: one outcome and one record for each, and money only where a call was made."""

    @virtual
    async def body() -> None:
        run = await play(policy, scripts, asks, shared_question=True)
        assert len(run.bench.records) == len(run.met)
        for met in run.met:
            record = run.record(met)
            if met.how == "cancelled" and record.error_type != "Cancelled":
                # Its caller went away; the call that it began went on for those who had joined it.
                ended = RequestCompleted if record.success else RequestFailed
                assert [type(e) for e in run.of(met) if isinstance(e, OUTCOMES)] == [ended]
                continue
            check_one_outcome(run, met)
            if met.response is not None and (met.response.cached or met.response.coalesced):
                assert (record.estimated_cost, record.attempts) == (Decimal(0), 0)
        paid = sum((r.estimated_cost or 0) + r.waste_cost for r in run.bench.records)
        told = [row for r in run.bench.records for row in r.story["attempts"] if row.cost_usd is not None]
        assert paid == sum((row.cost_usd for row in told), Decimal(0))
        assert all(u.ended >= 0 for u in run.upstream)
        assert len(run.upstream) >= sum(r.attempts for r in run.bench.records)

    body()


# --- breakers --------------------------------------------------------------------------------------------------------

CLOSE_ASKS = st.lists(
    st.builds(
        Ask,
        gap=st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0]),
        stream=st.sampled_from([None, None, None, "fail", "restart", "continue", "buffer"]),
        cancel_after=st.sampled_from([None, None, None, 0.5]),
    ),
    min_size=5,
    max_size=15,
)
TOUCHY = st.builds(
    BreakerPolicy,
    mode=st.sampled_from(["consecutive", "window", "rate"]),
    failure_threshold=st.integers(1, 3),
    window=st.sampled_from([2.0, 60.0]),
    minimum_calls=st.integers(1, 3),
    recovery_timeout=st.sampled_from([0.25, 3.0]),
    backoff_multiplier=st.sampled_from([1.0, 2.0]),
    half_open_permits=st.integers(1, 2),
    success_threshold=st.integers(1, 2),
    slow_call_seconds=st.sampled_from([None, 1.0]),
)
COUNTED = {
    "RateLimitError",
    "ProviderTimeoutError",
    "ConnectionFailedError",
    "ServiceUnavailableError",
    "MalformedResponseError",
    "StreamInterruptedError",
}


@settings(QUICK, max_examples=100)
@given(POLICIES, TOUCHY, SCRIPTS, CLOSE_ASKS)
def test_every_breaker_goes_the_way_its_attempts_say(
    policy: Policy, touchy: BreakerPolicy, scripts: dict[str, tuple[Any, ...]], asks: list[Ask]
) -> None:
    """What the events tell of attempts, put into the naive breaker, gives the transitions that the events tell."""

    @virtual
    async def body() -> None:
        run = await play(replace(policy, breaker=touchy), scripts, asks)
        for name in scripts:
            retell(run, touchy, name)

    body()


def retell(run: Run, policy: BreakerPolicy, name: str) -> None:
    naive, permits, began = NaiveBreaker(policy), dict[tuple[str, int], Permit](), dict[tuple[str, int], int]()
    calls = {run.request_id(met): run.calls(met) for met in run.met}
    told: list[tuple[str, str, int | None]] = []
    start = run.met[0].began
    for event in run.bench.events:
        naive.now = event.t_us - start
        of_request = [key for key in permits if key[0] == event.request_id]
        if isinstance(event, RequestCancelled):
            for key in of_request:
                naive.finish(permits.pop(key), "neutral", 0.0, None)
        if getattr(event, "provider", None) != name:
            continue
        if isinstance(event, BreakerChanged):
            to = {"BreakerOpened": "open", "BreakerHalfOpened": "half_open"}.get(type(event).__name__, "closed")
            told.append((event.from_state, to, None if event.until_us is None else event.until_us - start))
        elif isinstance(event, CandidateSkipped) and event.reason == "breaker_open":
            assert not naive.would_admit()
            assert event.retry_after_s is not None
            assert micros(event.retry_after_s) == naive.retry_after()
        elif isinstance(event, AttemptStarted):
            permit = naive.admit()
            assert permit is not None
            permits[event.request_id, event.attempt] = permit
            began[event.request_id, event.attempt] = event.t_us
        elif isinstance(event, ChunkReceived) and of_request and naive.state == "half_open":
            # A stream's probe has its verdict at its first text.
            [key] = of_request
            naive.finish(permits.pop(key), "success", (event.t_us - began[key]) / 1e6, None)
        elif isinstance(event, AttemptSucceeded) and (event.request_id, event.attempt) in permits:
            permit = permits.pop((event.request_id, event.attempt))
            waited = event.latency_ms if event.ttft_ms is None else event.ttft_ms
            naive.finish(permit, "success", waited / 1000, None)
        elif isinstance(event, AttemptFailed) and (event.request_id, event.attempt) in permits:
            by_deadline = event.message.startswith("the request's deadline")
            outcome = "failure" if event.error_type in COUNTED and not by_deadline else "neutral"
            call = calls[event.request_id][event.attempt]
            retry_after = call.retry_after if call.how == event.error_type else None
            permit = permits.pop((event.request_id, event.attempt))
            naive.finish(permit, outcome, event.latency_ms / 1000, retry_after)
    assert told == naive.transitions
    assert not permits


# --- cases worked out by hand ----------------------------------------------------------------------------------------

ONE_SHOT = Policy(retry=RetryPolicy("last_candidate", retries=0))


def stream_of(bench: Bench, policy: str, **request: Any) -> AsyncGenerator[StreamEvent]:
    return bench.gateway.stream(GenerationRequest(prompt="hello", **request), CallOptions(stream_policy=policy))  # type: ignore[arg-type]


@virtual
async def test_going_away_at_a_restart_closes_the_new_stream_at_once() -> None:
    bench = Bench(ONE_SHOT)
    bench.add("openai", ("one", "<cut>"))
    second = bench.add("anthropic", ("two", 30.0, "three"))
    stream = stream_of(bench, "restart")
    async for event in stream:
        if isinstance(event, StreamRestarted):
            break
    await stream.aclose()
    assert second.closed == 1
    assert bench.names()[-1] == "RequestCancelled"


@virtual
async def test_going_away_from_a_continued_stream_pays_for_its_own_text_only() -> None:
    """openai's text of 20 words is its own waste; anthropic had sent one word when its reader left."""
    bench = Bench(ONE_SHOT)
    words = " ".join(["word"] * 20)
    bench.add("openai", (words, "<cut>"), model="gpt-4")
    bench.add("anthropic", (" last", 30.0, "never"), model="claude-3-opus-20240229", prefills=True)
    stream = stream_of(bench, "continue")
    async for event in stream:
        if isinstance(event, TextDelta) and event.text.endswith("last"):
            break
    await stream.aclose()
    first, second = bench.records[0].story["attempts"]
    prompt = foreseen_tokens(GenerationRequest(prompt="hello"))
    for row, kind, text in ((first, "openai", words), (second, "anthropic", " last")):
        price = PRICES.price(kind, MODELS[kind], TokenUsage(prompt, estimate_tokens(text)))
        assert price is not None
        assert row.cost_usd == price.total
    assert bench.records[0].waste_cost == first.cost_usd + second.cost_usd


@pytest.mark.parametrize("policy", ["fail", "buffer"])
def test_a_silent_stream_ends_when_the_longest_time_is_over(policy: str) -> None:
    """Text at 0, 8 and 16 s, then nothing: silence alone would end it at 31 s, the longest time is 20 s."""

    @virtual
    async def body() -> None:
        bench = Bench(ONE_SHOT, streaming=StreamLimits(max_stream=20.0))
        bench.add("openai", ("a", 8.0, "b", 8.0, "c", 100.0, "d"))
        with pytest.raises(StreamInterruptedError, match="longer than 20 s"):
            async for _ in stream_of(bench, policy):
                pass
        assert bench.clock.monotonic() == 20.0
        assert bench.records[0].waste_cost > 0

    body()


@pytest.mark.parametrize("policy", ["restart", "continue", "buffer"])
def test_a_stream_that_breaks_after_the_deadline_still_goes_on_elsewhere(policy: str) -> None:
    """The deadline of 10 s ran to the first text at 1 s. The cut comes at 13 s; the next has a first text at 13.5 s.
    Had that one none, its own limit would end it at 13 + 10 s."""

    @virtual
    async def body() -> None:
        for next_text, ends_at in ((0.5, 13.5), (1000.0, 23.0)):
            bench = Bench(ONE_SHOT, deadline=10.0, streaming=StreamLimits(first_text=20.0))
            bench.add("openai", (1.0, "one", 12.0, "<cut>"))
            bench.add("anthropic", (next_text, "whole"))
            began = bench.clock.monotonic()
            shown: list[StreamEvent] = []
            try:
                async for event in stream_of(bench, policy):
                    shown.append(event)
            except ProviderError:
                assert next_text == 1000.0
            else:
                texts = [e.text for e in shown if isinstance(e, TextDelta)]
                assert texts == (["whole"] if policy == "buffer" else ["one", "whole"])
            assert bench.clock.monotonic() - began == ends_at

    body()


@virtual
async def test_a_buffered_stream_keeps_its_deadline_and_blames_nobody_for_it() -> None:
    """Deadline 15 s, first text within 10 s: openai is given up at 10 s (its failure), anthropic at 15 s (nobody's),
    deepseek is not asked. With one candidate that fails at 3 s of 4 s, a backoff of 1 s would end at the deadline."""
    bench = Bench(ONE_SHOT, deadline=15.0)
    for name in ("openai", "anthropic", "deepseek"):
        bench.add(name, (1000.0, "never"))
    with pytest.raises(ProviderError, match="the request's deadline of 15 s passed"):
        async for _ in stream_of(bench, "buffer"):
            pass
    assert bench.clock.monotonic() == 15.0
    assert [bench.gateway.breaker(n).snapshot().failures for n in ("openai", "anthropic", "deepseek")] == [1, 0, 0]
    assert bench.records[0].attempts == 2
    bench = Bench(deadline=4.0)
    bench.add("openai", (3.0, ServiceUnavailableError("down", status=503)))
    began = bench.clock.monotonic()
    with pytest.raises(ServiceUnavailableError):
        async for _ in stream_of(bench, "buffer"):
            pass
    assert bench.clock.monotonic() - began == 3.0


@virtual
async def test_what_a_buffered_stream_had_held_is_paid_for_when_its_reader_leaves() -> None:
    """Left while it was held: the question and one word. Left while it was read out: all that the vendor counted."""
    prompt = foreseen_tokens(GenerationRequest(prompt="hello"))
    for leave_at, usage in ((1.0, TokenUsage(prompt, estimate_tokens("one"))), (None, TokenUsage(100, 50))):
        bench = Bench(ONE_SHOT)
        openai = bench.add("openai", ("one", 2.0, " two"), model="gpt-4")
        stream = stream_of(bench, "buffer")
        if leave_at is None:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break
            await stream.aclose()
        else:
            task = asyncio.ensure_future(anext(stream))
            await bench.clock.sleep(leave_at)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        price = PRICES.price("openai", "gpt-4", usage)
        assert price is not None
        [record] = bench.records
        assert (record.waste_cost, record.error_type, openai.closed) == (price.total, "Cancelled", 1)


@pytest.mark.parametrize("policy", ["fail", "buffer"])
def test_going_away_at_the_last_event_is_no_cancelling(policy: str) -> None:
    @virtual
    async def body() -> None:
        bench = Bench(ONE_SHOT)
        bench.add("openai", "one two")
        stream = stream_of(bench, policy)
        async for event in stream:
            if isinstance(event, StreamFinished):
                break
        await stream.aclose()
        assert [type(e) for e in bench.events if isinstance(e, OUTCOMES)] == [RequestCompleted]
        assert [(r.success, r.error_type) for r in bench.records] == [(True, None)]

    body()


@pytest.mark.parametrize("stream", [False, True])
def test_going_away_during_the_look_into_the_cache_is_booked(stream: bool) -> None:
    @virtual
    async def body() -> None:
        bench = Bench(ONE_SHOT, cache=Shelf())
        openai = bench.add("openai", "one two")
        asked = anext(stream_of(bench, "fail")) if stream else bench.gateway.generate("hello")
        task = asyncio.ensure_future(asked)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert openai.times == []
        assert [type(e) for e in bench.events if isinstance(e, OUTCOMES)] == [RequestCancelled]
        assert [(r.success, r.error_type) for r in bench.records] == [(False, "Cancelled")]

    body()
