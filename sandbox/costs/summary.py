"""What some time came to, in the words of the cost tracker: sums, and those of each provider, model, tenant, agent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from providers.clock import iso, utc
from sandbox.costs.rates import average_cost_usd, average_latency_ms, spent_usd
from sandbox.costs.reports import Bucket
from sandbox.costs.spans import Span
from sandbox.usage.base import DIMENSIONS, Breakdowns, UsageTotals


@dataclass(frozen=True, slots=True)
class CostSummary:
    """Money is USD: for answers, and for what was paid and not used (`waste_cost_usd`, which is part of the total).

    Unpriced requests are in the counts and not in the cost.
    """

    total_cost_usd: Decimal
    total_tokens: int
    input_tokens: int
    output_tokens: int
    total_requests: int
    failed_requests: int
    cached_requests: int
    unpriced_requests: int
    average_cost_usd: Decimal
    average_latency_ms: float
    waste_cost_usd: Decimal
    saved_cost_usd: Decimal
    """What the response cache saved."""
    premium_cost_usd: Decimal
    """What failing over cost beyond the first candidates; part of the total, below 0 where it was cheaper."""
    breakdown_by_provider: dict[str, Decimal]
    breakdown_by_model: dict[str, Decimal]
    breakdown_by_tenant: dict[str, Decimal]
    breakdown_by_agent: dict[str, Decimal]
    start_date: datetime | None
    end_date: datetime | None
    """The first moment that no longer counts."""


def summary_of(totals: UsageTotals, parts: Breakdowns, span: Span) -> CostSummary:
    """The summary of some sums and of their breakdowns by DIMENSIONS."""
    shares = {by: {key: spent_usd(sums) for key, sums in parts[by]} for by in DIMENSIONS}
    return CostSummary(
        total_cost_usd=spent_usd(totals),
        total_tokens=totals.tokens,
        input_tokens=totals.prompt_tokens,
        output_tokens=totals.completion_tokens,
        total_requests=totals.requests,
        failed_requests=totals.failed,
        cached_requests=totals.cached,
        unpriced_requests=totals.unpriced,
        average_cost_usd=average_cost_usd(totals),
        average_latency_ms=average_latency_ms(totals),
        waste_cost_usd=totals.waste_usd,
        saved_cost_usd=totals.saved_usd,
        premium_cost_usd=totals.premium_usd,
        breakdown_by_provider=shares["provider"],
        breakdown_by_model=shares["model"],
        breakdown_by_tenant=shares["tenant"],
        breakdown_by_agent=shares["agent"],
        start_date=None if span.since_us is None else utc(span.since_us),
        end_date=None if span.until_us is None else utc(span.until_us),
    )


def pairs(buckets: Iterable[Bucket]) -> list[tuple[datetime, Decimal]]:
    """A series as the beginning of each period (aware, UTC) and what was spent in it."""
    return [(utc(bucket.start_us), spent_usd(bucket.totals)) for bucket in buckets]


def as_json(totals: UsageTotals) -> dict[str, Any]:
    """Sums for a file or a script; money is USD, still as Decimal, averages are of a request."""
    return {
        "requests": totals.requests,
        "succeeded": totals.succeeded,
        "failed": totals.failed,
        "cached": totals.cached,
        "prompt_tokens": totals.prompt_tokens,
        "completion_tokens": totals.completion_tokens,
        "tokens": totals.tokens,
        "cost_usd": totals.cost_usd,
        "waste_usd": totals.waste_usd,
        "saved_usd": totals.saved_usd,
        "premium_usd": totals.premium_usd,
        "unpriced": totals.unpriced,
        "attempts": totals.attempts,
        "failovers": totals.failovers,
        "average_latency_ms": round(average_latency_ms(totals), 3),
    }


def document(totals: UsageTotals, parts: Breakdowns) -> dict[str, Any]:
    """The summary of an export: the sums, and those of each dimension by its values."""
    return {
        "total": as_json(totals),
        **{f"by_{by}": {key: as_json(sums) for key, sums in parts[by]} for by in DIMENSIONS},
    }


def head(mode: str | None, span: Span) -> dict[str, Any]:
    """What an export says of itself."""
    return {
        "mode": mode,
        "simulated": mode is not None and mode != "live",
        "since": None if span.since_us is None else iso(span.since_us),
        "until": None if span.until_us is None else iso(span.until_us),
    }
