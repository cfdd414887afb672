"""Around the attempts on one candidate: what the retry loop reports goes to breaker, limits, story and events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.errors import CircuitBreakerOpenError, InputError, ProviderError, RateLimitError
from providers.redaction import redact
from providers.types import AttemptRecord
from sandbox.core.events import AttemptStarted, ProviderDisabled, RetryScheduled
from sandbox.gateway.router import Candidate, foreseen_tokens

if TYPE_CHECKING:
    from sandbox.gateway.walk import Walk


class AttemptWatch:
    """Around the attempts on one candidate: breaker, limits, story and events."""

    __slots__ = ("_breaker", "_candidate", "_walk", "attempt", "began", "permit", "record")

    def __init__(self, walk: Walk, candidate: Candidate, permit: int) -> None:
        self._walk = walk
        self._candidate = candidate
        self._breaker = candidate.deployment.breaker
        self.permit = permit
        self.began = 0.0
        self.attempt = 0
        self.record: AttemptRecord

    def before(self, retry: int) -> None:
        walk, candidate = self._walk, self._candidate
        call, tools, deployment = walk.call, walk.tools, candidate.deployment
        if retry:
            if call.allowance is not None and not call.allowance.admits(candidate):
                raise call.allowance.refusal()
            permit = self._breaker.admit()
            if permit is None:
                raise CircuitBreakerOpenError("the circuit breaker opened", provider=deployment.id)
            self.permit = permit
        if deployment.limits is not None:
            foreseen = foreseen_tokens(call.request)
            if retry and (wait := deployment.limits.wait(foreseen)) > 0:
                self._breaker.neutral(self.permit)
                raise RateLimitError("at its client-side limit", provider=deployment.id, retry_after=wait)
            deployment.limits.take(foreseen)
        self.began = tools.clock.monotonic()
        self.attempt = call.attempts
        call.attempts += 1
        state = self._breaker.state
        self.record = AttemptRecord(
            deployment.id,
            candidate.model,
            "ok",
            started_ms=(self.began - call.started) * 1000.0,
            retry=retry,
            breaker=state,
        )
        call.records.append(self.record)
        if tools.bus.active:
            tools.bus.publish(
                AttemptStarted(
                    tools.clock.time_us(), call.id, deployment.id, candidate.model, self.attempt, retry, state
                )
            )

    def succeeded(self, retry: int) -> None:
        self.record.latency_ms = (self._walk.tools.clock.monotonic() - self.began) * 1000.0

    def failed(self, error: ProviderError, retry: int, *, by_deadline: bool) -> None:
        walk, candidate = self._walk, self._candidate
        seconds = walk.tools.clock.monotonic() - self.began
        recovery = error.recovery
        walk.failed(candidate, self.record, self.attempt, error, seconds)
        if by_deadline:
            self._breaker.neutral(self.permit)
        else:
            self._breaker.failed(self.permit, error, seconds)
        if recovery.disables is not None and walk.tools.policy.disables:
            model_id = candidate.model_id if recovery.disables == "model" else None
            candidate.deployment.disable(error, model_id)
            bus = walk.tools.bus
            if bus.active:
                model = candidate.model if model_id else None
                bus.publish(
                    ProviderDisabled(
                        walk.tools.clock.time_us(), walk.call.id, candidate.deployment.id, model, error.message
                    )
                )

    def ended(self, error: BaseException, retry: int) -> None:
        self._breaker.neutral(self.permit)
        record = self.record
        record.outcome = "failed"
        if isinstance(error, InputError):
            record.error_type = type(error).__name__
            record.error_message = redact(error.without_quotes or str(error))
        else:
            record.error_type = "Cancelled"
        self.record.latency_ms = (self._walk.tools.clock.monotonic() - self.began) * 1000.0

    def others(self) -> int:
        return self._walk.others()

    def admits(self) -> bool:
        return self._breaker.would_admit()

    def retrying(self, error: ProviderError, delay: float, retry: int) -> None:
        tools = self._walk.tools
        if tools.bus.active:
            tools.bus.publish(
                RetryScheduled(tools.clock.time_us(), self._walk.call.id, self._candidate.deployment.id, retry, delay)
            )
