"""Walks a plan's candidates until one answers: admission, attempts with retries, and what each failure allows.

Plain calls take one answer. A stream may come back for the next candidate after its answer broke.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Generic, TypeVar

from providers.attempts import CANDIDATE_RESERVE, attempt_with_retries
from providers.clock import Clock, Randomness
from providers.errors import (
    ContentFilterError,
    ContextLengthError,
    InvalidRequestError,
    ProviderError,
    StreamInterruptedError,
)
from providers.pricing import Catalogue, estimate_tokens
from providers.types import AttemptRecord, Completion, TokenUsage
from sandbox.core.bus import Bus
from sandbox.core.events import (
    AttemptFailed,
    AttemptSucceeded,
    CandidateSkipped,
    FallbackTaken,
)
from sandbox.gateway.call import Call
from sandbox.gateway.final import Skip, final_error
from sandbox.gateway.policies import Policy
from sandbox.gateway.router import Candidate, Router, foreseen_tokens
from sandbox.gateway.watch import AttemptWatch

T = TypeVar("T")


@dataclass(slots=True)
class Tools:
    """What every walk of one gateway shares."""

    policy: Policy
    router: Router
    prices: Catalogue
    clock: Clock
    draws: Randomness
    bus: Bus


def check_withheld(policy: Policy, completion: Completion, *, shown: bool = False) -> None:
    """Where the policy fails over on filtered answers, one that was withheld is a failure, and one that was billed."""
    if policy.failover_on_content_filter and completion.stop == "content_filter" and not shown:
        error = ContentFilterError("the answer was withheld by the provider's content filter", status=200)
        error.billed = completion.usage
        raise error


@dataclass(slots=True)
class Answer(Generic[T]):
    """What one candidate gave, not yet judged: `settle_success` or `settle_failure` tells its breaker how it ended."""

    candidate: Candidate
    value: T
    record: AttemptRecord
    attempt: int
    began: float
    permit: int
    probed: bool = False
    """The breaker has had its verdict already, at a probe's first text."""


class Walk:
    """One walk over one plan. `advance` may be called again after an answer that broke."""

    def __init__(self, call: Call, candidates: Sequence[Candidate], tools: Tools) -> None:
        self.call = call
        self.candidates = candidates
        self.tools = tools
        self._asked = 0
        self._most = tools.policy.max_candidates or len(candidates)
        self._position = 0
        self._left: tuple[str, str] | None = None
        """The provider asked (or skipped) last, and why it was left."""
        self._last: ProviderError | None = None
        self._skips: list[Skip] = []
        self._only: Callable[[Candidate], bool] | None = None
        self._outgrown: int | None = None
        """Context window, in tokens, that this request did not fit."""

    async def advance(
        self,
        shot: Callable[[Candidate], Awaitable[T]],
        *,
        attempt_timeout: float | None,
        only: Callable[[Candidate], bool] | None = None,
    ) -> Answer[T]:
        """The next candidate's answer. Raises the request's final error when none is left or none may be asked.

        `only`: the others are passed over, now and later.
        `attempt_timeout`: seconds; None: the shot keeps its limits itself (see `attempt_with_retries`).
        """
        call, tools = self.call, self.tools
        self._only = only
        while self._position < len(self.candidates):
            if call.deadline.remaining() <= 0 or self._asked >= self._most:
                break
            candidate = self.candidates[self._position]
            self._position += 1
            permit = self._admit(candidate)
            if permit is None:
                continue
            self._moved_to(candidate)
            self._asked += 1
            observer = AttemptWatch(self, candidate, permit)
            try:
                value = await attempt_with_retries(
                    lambda c=candidate: shot(c),  # type: ignore[misc]
                    policy=tools.policy.retry,
                    clock=tools.clock,
                    draws=tools.draws,
                    deadline=call.deadline,
                    attempt_timeout=None
                    if attempt_timeout is None
                    else min(attempt_timeout, candidate.deployment.provider.timeout),
                    observer=observer,
                )
            except ProviderError as error:
                # This walk keeps it, and its traceback this walk: some forty objects for each failure, the request
                # among them, that only the collector would take apart.
                error.__traceback__ = None
                self._left = (candidate.deployment.id, type(error).__name__)
                if not self._goes_on(error, candidate):
                    break
                continue
            return Answer(candidate, value, observer.record, observer.attempt, observer.began, observer.permit)
        raise self.final_error()

    def others(self) -> int:
        """Candidates later in the plan that could be asked now. Counts no further than the deadline could matter."""
        enough = min(self.call.deadline.remaining() / CANDIDATE_RESERVE + 1, self._most - self._asked - 1)
        count = 0
        if enough < 0:
            return 0
        foreseen = -1
        for index in range(self._position, len(self.candidates)):
            candidate = self.candidates[index]
            if foreseen < 0 and candidate.deployment.limits is not None:
                foreseen = foreseen_tokens(self.call.request)
            if (
                candidate.deployment.available(candidate.model_id, foreseen)
                and self._fits(candidate)
                and self._lack(candidate) is None
                and (self._only is None or self._only(candidate))
                and (self.call.allowance is None or self.call.allowance.covers(candidate))
            ):
                count += 1
                if count > enough:
                    break
        return count

    # --- admission ------------------------------------------------------------------------------------------------

    def _fits(self, candidate: Candidate) -> bool:
        if self._outgrown is None:
            return True
        window = self.tools.router.window(candidate)
        return window is not None and window > self._outgrown

    def _lack(self, candidate: Candidate) -> str | None:
        """What of this request's tools the candidate cannot do."""
        request = self.call.request
        return candidate.deployment.provider.cannot(request, candidate.model_id) if request.tools else None

    def _admit(self, candidate: Candidate) -> int | None:
        """A permit of its breaker, or None after noting why it is passed over."""
        deployment, allowance = candidate.deployment, self.call.allowance
        if allowance is not None and not allowance.admits(candidate):
            self._skip(candidate, "budget", None, None)
            return None
        if not self._fits(candidate):
            self._skip(candidate, "window", None, None)
            return None
        if self._only is not None and not self._only(candidate):
            self._skip(candidate, "prefill", None, None)
            return None
        lack = self._lack(candidate)
        if lack is not None:
            self._skip(candidate, "tools", None, InvalidRequestError(lack, provider=deployment.id))
            return None
        gone = deployment.disabled(candidate.model_id)
        if gone is not None:
            self._skip(candidate, "disabled", None, gone)
            return None
        limits = deployment.limits
        if limits is not None:
            wait = limits.wait(foreseen_tokens(self.call.request))
            if wait > 0:
                self._skip(candidate, "throttled", wait, None)
                return None
        permit = deployment.breaker.admit()
        if permit is None:
            self._skip(candidate, "breaker_open", deployment.breaker.retry_after(), None)
            return None
        return permit

    def _skip(self, candidate: Candidate, reason: str, retry_after: float | None, error: ProviderError | None) -> None:
        call, deployment = self.call, candidate.deployment
        self._skips.append(Skip(reason, retry_after, error))
        if self._left is None:
            self._left = (deployment.id, reason)
        call.records.append(
            AttemptRecord(
                deployment.id,
                candidate.model,
                "skipped",
                error_type=reason,
                error_message=error.message if error else None,
                started_ms=call.elapsed_ms(),
                breaker=deployment.breaker.state,
            )
        )
        bus = self.tools.bus
        if bus.active:
            bus.publish(
                CandidateSkipped(
                    self.tools.clock.time_us(), call.id, deployment.id, candidate.model, reason, retry_after
                )
            )

    def _moved_to(self, candidate: Candidate) -> None:
        if self._left is None:
            return
        came_from, reason = self._left
        self.call.failovers += 1
        bus = self.tools.bus
        if bus.active:
            bus.publish(
                FallbackTaken(self.tools.clock.time_us(), self.call.id, came_from, candidate.deployment.id, reason)
            )

    # --- after a failure ------------------------------------------------------------------------------------------

    def _goes_on(self, error: ProviderError, candidate: Candidate) -> bool:
        """Whether the next candidate may be asked after this error."""
        after = error.recovery.next_provider
        if after == "larger_window" and isinstance(error, ContextLengthError):
            # Where its own window is unknown, only a candidate of known window can be larger.
            self._outgrown = max(self._outgrown or 0, self.tools.router.window(candidate) or 0)
            return True
        if after == "option":
            return self.tools.policy.failover_on_content_filter
        return bool(after)

    def note(self, error: ProviderError) -> None:
        """Remember the newest failure for the request's final error."""
        self._last = error

    def left(self, candidate: Candidate, error: ProviderError) -> None:
        """A candidate whose answer broke after it began is left for the next."""
        self._left = (candidate.deployment.id, type(error).__name__)
        self._last = error

    def final_error(self) -> ProviderError:
        """The one error that this request ends in, with the whole story in `.attempts`."""
        return final_error(self.call, len(self.candidates), self._skips, self._last)

    # --- verdicts -------------------------------------------------------------------------------------------------

    def settle_success(self, answer: Answer[Any], seconds: float) -> None:
        """The attempt ended well; `seconds` is its latency, or a stream's time to first text."""
        deployment, record, tools = answer.candidate.deployment, answer.record, self.tools
        record.latency_ms = (tools.clock.monotonic() - answer.began) * 1000.0
        if self.call.stream:
            record.ttft_ms = seconds * 1000.0
        if tools.bus.active:
            tools.bus.publish(
                AttemptSucceeded(
                    tools.clock.time_us(),
                    self.call.id,
                    deployment.id,
                    record.model,
                    answer.attempt,
                    record.latency_ms,
                    record.ttft_ms,
                )
            )
        if not answer.probed:
            deployment.breaker.success(answer.permit, seconds)
            answer.probed = True
        deployment.metrics.succeeded(seconds)

    def settle_probe(self, answer: Answer[Any], seconds: float) -> None:
        """A stream shows its first text: that is enough for a half-open breaker's probe, not for a closed one."""
        breaker = answer.candidate.deployment.breaker
        if breaker.state == "half_open":
            breaker.success(answer.permit, seconds)
            answer.probed = True

    def settle_failure(self, answer: Answer[Any], error: ProviderError) -> None:
        """An answer that had begun broke."""
        now = self.tools.clock.monotonic()
        self.failed(answer.candidate, answer.record, answer.attempt, error, now - answer.began)
        if not answer.probed:
            answer.candidate.deployment.breaker.failed(answer.permit, error, now - answer.began)
            answer.probed = True

    def settle_cancelled(self, answer: Answer[Any], partial_text: str) -> None:
        """The caller went away in the middle: nobody's fault, but what had come is paid for."""
        if not answer.probed:
            answer.candidate.deployment.breaker.neutral(answer.permit)
        record = answer.record
        record.outcome, record.error_type = "failed", "Cancelled"
        seconds = self.tools.clock.monotonic() - answer.began
        record.latency_ms = seconds * 1000.0
        record.cost_usd = self._waste(answer.candidate, self._partial(partial_text), seconds)

    def settle_unread(self, answer: Answer[Any], completion: Completion) -> None:
        """The caller went away before it had read an answer that was there: the whole of it is paid for."""
        candidate = answer.candidate
        usage = candidate.deployment.provider.usage_of(self.call.request, completion)
        answer.record.cost_usd = self._waste(candidate, usage, answer.record.latency_ms / 1000.0)

    def broke_off(self, candidate: Candidate, text: str) -> None:
        """The caller goes away during an attempt of which `text` had come."""
        record = self.call.records[-1]
        seconds = self.call.elapsed_ms() / 1000.0 - record.started_ms / 1000.0
        record.cost_usd = self._waste(candidate, self._partial(text), seconds)

    def failed(
        self, candidate: Candidate, record: AttemptRecord, attempt: int, error: ProviderError, seconds: float
    ) -> None:
        """Write a failed attempt into the story, with what it cost all the same."""
        deployment, call = candidate.deployment, self.call
        self._last = error
        error.provider = error.provider or deployment.id
        error.model = error.model or candidate.model
        record.outcome = "failed"
        record.error_type = type(error).__name__
        record.error_message = error.message
        record.status = error.status
        record.latency_ms = seconds * 1000.0
        usage = error.billed
        if isinstance(error, StreamInterruptedError) and error.partial_text:
            counted = self._partial(error.partial_text)
            if usage is None:
                usage = counted
            elif usage.output_tokens < counted.output_tokens:
                # Vendors that tell their numbers at the start know of hardly any output then.
                usage = replace(usage, output_tokens=counted.output_tokens, total_tokens=0, estimated=True)
        if usage is not None:
            record.cost_usd = self._waste(candidate, usage, seconds)
        deployment.metrics.failed(f"{record.error_type}: {error.message}")
        bus = self.tools.bus
        if bus.active:
            bus.publish(
                AttemptFailed(
                    self.tools.clock.time_us(),
                    call.id,
                    deployment.id,
                    candidate.model,
                    attempt,
                    record.error_type,
                    error.message,
                    error.status,
                    record.latency_ms,
                )
            )

    def _partial(self, text: str) -> TokenUsage:
        """Tokens of an answer that broke off, counted here because the vendor's numbers come at the end."""
        return TokenUsage(foreseen_tokens(self.call.request), estimate_tokens(text), estimated=True)

    def _waste(self, candidate: Candidate, usage: TokenUsage, seconds: float) -> Decimal | None:
        """Book tokens that were paid for and not used, after `seconds` of work; their price, None where unpriced."""
        call, tools = self.call, self.tools
        call.wasted_input_tokens += usage.input_tokens
        call.wasted_output_tokens += usage.output_tokens
        if candidate.deployment.limits is not None:
            candidate.deployment.limits.settle(foreseen_tokens(call.request), usage.total_tokens)
        price = tools.prices.price(
            candidate.deployment.kind,
            candidate.model_id,
            usage,
            at=tools.clock.time_us(),
            busy_seconds=seconds,
        )
        if price is None:
            return None
        call.waste += price.total
        candidate.deployment.metrics.spent(usage.total_tokens, price.total)
        return price.total
