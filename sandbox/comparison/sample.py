"""One answer of one model, measured; or how it failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from providers.errors import ProviderError, StreamInterruptedError
from providers.redaction import redact
from providers.types import LLMResponse, TokenUsage
from sandbox.comparison.contestants import Contestant
from sandbox.core.figures import tokens_per_second

CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Problem:
    type: str
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Simulated:
    """Which figures of an answer nobody measured. Prices are the catalogue's in every mode."""

    answer: bool = False
    tokens: bool = False
    times: bool = False
    cost: bool = False
    prices: bool = False

    @classmethod
    def under(cls, mode: str) -> Simulated:
        """In replay mode the answer and its tokens were real once; nobody waited for them now, and nobody paid."""
        if mode == "mock":
            return cls(answer=True, tokens=True, times=True, cost=True)
        return cls(times=True, cost=True) if mode == "replay" else cls()


@dataclass(frozen=True, slots=True)
class Sample:
    """Times are milliseconds since the request was begun, retries included; money is USD, None is unpriced."""

    request_id: str
    provider: str
    """Who answered, or was asked last."""
    model: str
    model_id: str
    text: str = ""
    """Of an answer that broke off: what had come."""
    usage: TokenUsage | None = None
    cost_usd: Decimal | None = None
    waste_usd: Decimal = Decimal(0)
    """Paid for attempts whose answer was not used."""
    latency_ms: float | None = None
    ttft_ms: float | None = None
    finish_reason: str | None = None
    attempts: int = 0
    failovers: int = 0
    problem: Problem | None = None
    simulated: Simulated = field(default_factory=Simulated)

    @property
    def status(self) -> Literal["answered", "failed", "cancelled"]:
        if self.problem is None:
            return "answered"
        return "cancelled" if self.problem.type == CANCELLED else "failed"

    @property
    def rate(self) -> float | None:
        """Output tokens a second, from the first text to the end."""
        usage = self.usage
        return None if usage is None else tokens_per_second(usage.output_tokens, self.latency_ms, self.ttft_ms)


def answered(response: LLMResponse) -> Sample:
    return Sample(
        response.request_id,
        response.provider,
        response.model,
        response.model_id,
        response.text,
        response.usage,
        response.cost_usd,
        response.waste_usd,
        response.latency_ms,
        response.ttft_ms,
        response.finish_reason,
        sum(one.outcome != "skipped" for one in response.attempts),
        response.failovers,
        simulated=Simulated.under(response.mode),
    )


def failed(request_id: str, contestant: Contestant, error: Exception, mode: str) -> Sample:
    """What is known of a request that ended in an error: its attempts, what they cost, and the text that had come."""
    provider, message, retry_after, text = contestant.provider, redact(str(error)), None, ""
    attempts, waste = 0, Decimal(0)
    if isinstance(error, ProviderError):
        message, retry_after = error.message, error.retry_after
        tried = [one for one in error.attempts if one.outcome != "skipped"]
        attempts = len(tried)
        waste = sum((one.cost_usd for one in tried if one.cost_usd is not None), waste)
        if tried:
            provider = tried[-1].provider
        if isinstance(error, StreamInterruptedError):
            text = error.partial_text
    return Sample(
        request_id,
        provider,
        contestant.model,
        contestant.model_id,
        text,
        waste_usd=waste,
        attempts=attempts,
        problem=Problem(type(error).__name__, message, retry_after),
        simulated=Simulated.under(mode),
    )


def cancelled(request_id: str, contestant: Contestant, text: str, mode: str) -> Sample:
    """A request that was given up, with the text that had come."""
    return Sample(
        request_id,
        contestant.provider,
        contestant.model,
        contestant.model_id,
        text,
        problem=Problem(CANCELLED, "cancelled before the end of its answer"),
        simulated=Simulated.under(mode),
    )
