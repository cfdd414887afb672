"""Which one error a failed request ends in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from providers.errors import (
    AllProvidersFailedError,
    CircuitBreakerOpenError,
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from providers.types import AttemptRecord
from sandbox.gateway.call import Call


class Skip(NamedTuple):
    """A candidate that was passed over."""

    reason: str
    retry_after: float | None
    """Seconds until it could be asked, where known."""
    error: ProviderError | None
    """What disabled it, or what it cannot do."""


def final_error(call: Call, candidates: int, skips: Sequence[Skip], last: ProviderError | None) -> ProviderError:
    """The class of every attempt if they agree or there was one candidate, else AllProvidersFailedError."""
    records = tuple(call.records)
    failed = [r for r in records if r.outcome == "failed"]
    if not failed:
        return _refusal(call, skips, records)
    if last is not None and (len({r.error_type for r in failed}) == 1 or candidates == 1):
        last.attempts = records
        return last
    told = ", ".join(f"{r.provider} {r.error_type}" + (f" {r.status}" if r.status else "") for r in failed[-6:])
    providers = len({r.provider for r in failed})
    return AllProvidersFailedError(
        f"{len(failed)} attempts on {providers} {'provider' if providers == 1 else 'providers'} failed: {told}",
        attempts=records,
        model=call.request.model,
    )


def _refusal(call: Call, skips: Sequence[Skip], records: tuple[AttemptRecord, ...]) -> ProviderError:
    """Nothing was attempted: say what would have to change."""
    waits: dict[str, list[float]] = {}
    for skip in skips:
        waits.setdefault(skip.reason, []).extend([] if skip.retry_after is None else [skip.retry_after])
    if "breaker_open" in waits:
        soonest = min((wait for some in waits.values() for wait in some), default=None)
        when = "" if soonest is None else f"; the next probe is due in {soonest:.1f} s"
        message = f"every candidate's circuit breaker refuses{when}"
        return CircuitBreakerOpenError(message, retry_after=soonest, attempts=records)
    if "throttled" in waits:
        soonest = min(waits["throttled"], default=None)
        return RateLimitError("every candidate is at its client-side limit", retry_after=soonest, attempts=records)
    if "budget" in waits and call.allowance is not None:
        return call.allowance.refusal(records)
    for skip in skips:
        if skip.error is not None and skip.reason != "tools":
            message = f"{skip.error.message} (disabled until it is re-tested)"
            return type(skip.error)(message, provider=skip.error.provider, status=skip.error.status, attempts=records)
    if "tools" in waits:
        lacks = [skip.error.message for skip in skips if skip.error is not None]
        told = lacks[0] if len(lacks) == 1 else f"{lacks[0]}; nor can the other {len(lacks) - 1} candidates"
        return InvalidRequestError(told, attempts=records, model=call.request.model)
    if call.deadline.remaining() <= 0:
        return ProviderTimeoutError(f"the request's deadline of {call.deadline.seconds:g} s passed", attempts=records)
    return AllProvidersFailedError("no candidate could be asked", attempts=records)
