"""The usage statistics of the AWS adapter: one dictionary about a tenant's or an agent's recent requests."""

from __future__ import annotations

from decimal import Decimal
from typing import TypedDict

from providers.clock import Clock, iso
from sandbox.costs import rates
from sandbox.costs.spans import look_back
from sandbox.usage.base import UsageFilter, UsageStore


class UsageStats(TypedDict):
    """Costs are USD; rates are percentages from 0 to 100; `start_time` is ISO 8601, UTC."""

    agent_id: str | None
    tenant_id: str | None
    time_range: str
    start_time: str
    total_requests: int
    cached_requests: int
    failed_requests: int
    success_rate: float
    total_tokens: int
    total_cost: Decimal
    """With what was paid for answers that were not used; without the unpriced."""
    average_latency_ms: float
    average_tokens_per_request: float
    average_cost_per_request: Decimal
    cache_hit_rate: float
    provider_breakdown: dict[str, int]
    """Requests by the provider that answered, or failed last; those that asked nobody are in none."""
    waste_cost: Decimal
    unpriced_requests: int


async def usage_stats(
    usage: UsageStore,
    *,
    clock: Clock,
    mode: str,
    tenant_id: str | None = None,
    agent_id: str | None = None,
    time_range: str = "24h",
) -> UsageStats:
    """What the requests of the last `time_range` (90m, 24h, 7d, …) came to, from roll-ups.

    Raises InputError for what is no time range, UsageUnavailable where the records cannot be read.
    """
    span = look_back(time_range, clock.time_us())
    where = UsageFilter(mode, since_us=span.since_us, tenant_id=tenant_id, agent_id=agent_id)
    totals = await usage.totals(where)
    providers = await usage.breakdown(where, "provider")
    return UsageStats(
        agent_id=agent_id,
        tenant_id=tenant_id,
        time_range=time_range,
        start_time=iso(span.since_us or 0),
        total_requests=totals.requests,
        cached_requests=totals.cached,
        failed_requests=totals.failed,
        success_rate=rates.success_rate(totals),
        total_tokens=totals.tokens,
        total_cost=rates.spent_usd(totals),
        average_latency_ms=rates.average_latency_ms(totals),
        average_tokens_per_request=rates.average_tokens(totals),
        average_cost_per_request=rates.average_cost_usd(totals),
        cache_hit_rate=rates.cache_hit_rate(totals),
        provider_breakdown={provider: sums.requests for provider, sums in providers if provider},
        waste_cost=totals.waste_usd,
        unpriced_requests=totals.unpriced,
    )
